from __future__ import annotations

import json
from importlib.resources import files

import pytest

from taskgrain.labels.ssv2 import (
    BRACKETED,
    CONTRASTIVE_GROUPS,
    GROUP_OF,
    OFFICIAL_INDEX,
    TEN_CLASS_OF,
    VERSION,
    load_packaged,
)
from taskgrain.labels.symmetry import SSV2_MIRROR
from taskgrain.labels.template import placeholder_count
from tests.making import ssv2_counts

FILES = sorted(
    path.name for path in files("taskgrain.labels.ssv2").iterdir() if path.name.endswith(".json")
)


def test_every_packaged_file_says_its_version_and_its_source() -> None:
    assert len(FILES) == 5
    for name in FILES:
        packaged = load_packaged(name)
        assert packaged["version"] == VERSION
        assert len(str(packaged["source"])) > 20, name


def test_the_counts_are_those_of_the_data_set() -> None:
    train, validation = ssv2_counts("train"), ssv2_counts("validation")
    assert sum(train.values()) == 168_913
    assert sum(validation.values()) == 24_777
    assert set(train) == set(validation) == set(OFFICIAL_INDEX)
    assert (min(train.values()), max(train.values())) == (91, 3284)


def test_the_official_index_is_alphabetical_without_brackets() -> None:
    assert list(OFFICIAL_INDEX.values()) == list(range(174))
    assert list(OFFICIAL_INDEX) == sorted(OFFICIAL_INDEX)
    assert sorted(BRACKETED.values()) != [BRACKETED[name] for name in OFFICIAL_INDEX]


def test_ten_classes_cover_41_templates() -> None:
    assert len(TEN_CLASS_OF) == 41
    assert len(set(TEN_CLASS_OF.values())) == 10
    assert set(TEN_CLASS_OF) <= set(GROUP_OF)
    assert TEN_CLASS_OF["Something falling like a rock"] == "Dropping something"


def test_every_template_is_mirrored_or_kept_or_listed_as_never() -> None:
    never = load_packaged("mirror.json")["never"]
    assert never == [
        "Digging something out of something",
        "Moving something and something closer to each other",
    ]
    assert isinstance(never, list)
    assert {*SSV2_MIRROR, *never} == set(OFFICIAL_INDEX)
    assert len(SSV2_MIRROR) + len(never) == 174
    assert sum(name != image for name, image in SSV2_MIRROR.items()) == 6


@pytest.mark.parametrize("name", FILES)
def test_packaged_names_are_those_of_templates_and_nothing_like_a_caption(name: str) -> None:
    known = {*OFFICIAL_INDEX, *BRACKETED.values(), *GROUP_OF.values(), *TEN_CLASS_OF.values()}
    known |= {"groups", "classes"}
    packaged = load_packaged(name)
    said = {key: value for key, value in packaged.items() if key not in ("source", "decision")}
    texts = [text for text in _texts(list(said.values())) if not text.isdigit()]
    assert texts
    assert set(texts) <= known


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [*value, *_texts(list(value.values()))]
    if isinstance(value, list):
        return [text for part in value for text in _texts(part)]
    return [value] if isinstance(value, str) else []


def test_a_key_is_nowhere_twice() -> None:
    def refuse(pairs: list[tuple[str, object]]) -> dict[str, object]:
        assert len({key for key, _ in pairs}) == len(pairs)
        return dict(pairs)

    assert FILES
    for name in FILES:
        text = files("taskgrain.labels.ssv2").joinpath(name).read_text(encoding="utf-8")
        json.loads(text, object_pairs_hook=refuse)


def test_brackets_never_nest() -> None:
    for template in BRACKETED.values():
        assert template.count("[") == template.count("]") == placeholder_count(template)


def test_there_are_69_groups_of_known_templates() -> None:
    assert len(CONTRASTIVE_GROUPS) == 69
    for group in CONTRASTIVE_GROUPS:
        assert len(group.classes) >= 2
        assert all(group.classes)
        assert set(group.categories) <= set(OFFICIAL_INDEX)
        assert len(set(group.categories)) == len(group.categories)


def test_three_groups_merge_templates() -> None:
    merging = [group for group in CONTRASTIVE_GROUPS if len(group.categories) > len(group.classes)]
    assert [tuple(map(len, group.classes)) for group in merging] == [(2, 2), (2, 1, 1), (2, 1)]
    assert merging[2].classes[0] == (
        "Letting something roll along a flat surface",
        "Rolling something on a flat surface",
    )
