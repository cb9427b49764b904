from __future__ import annotations

from math import log2
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgrain.data.manifest import Manifest, Split
from taskgrain.data.opening import read_manifest
from taskgrain.labels.ssv2 import BRACKETED, CONTRASTIVE_GROUPS
from taskgrain.labels.taxonomy import ACTION_GROUP, CATEGORY, Taxonomy
from taskgrain.tools.labels.summary import LabelSummary, nested_levels, summarise_labels
from tests.making import PRETEND, PULL, PUSH, row, write_annotations

SQUEEZE = "Squeezing [something]"
PRETEND_SQUEEZE = "Pretending to squeeze [something]"


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    train: list[object] = [
        row("1", PUSH, "a small red cup"),
        row("2", PUSH, "a bottle of water"),
        row("3", SQUEEZE, "a bottle of water"),
        row("4", PRETEND_SQUEEZE, "cup"),
    ]
    validation: list[object] = [row("5", PUSH, "a green cup"), row("6", SQUEEZE, "a small red cup")]
    return read_manifest(write_annotations(tmp_path, train, validation))


@pytest.fixture
def summary(manifest: Manifest) -> LabelSummary:
    return summarise_labels(manifest)


def test_entropy_is_that_of_the_training_labels(summary: LabelSummary) -> None:
    assert summary.entropy_bits[CATEGORY] == pytest.approx(1.5)
    assert summary.entropy_bits[ACTION_GROUP] == pytest.approx(1.0)  # 2 push, 2 squeeze
    assert summary.entropy_bits["template"] == summary.entropy_bits[CATEGORY]
    assert summary.entropy_bits["full"] == pytest.approx(2.0)


def test_an_unknown_word_is_one_that_training_says_too_seldom(manifest: Manifest) -> None:
    full = summarise_labels(manifest).forms["full"]
    assert full.train.unknown_rate == 0
    assert full.validation.num_unknown == 1  # green
    assert full.validation.num_captions == 2
    assert full.validation.coverage == 0.5
    rare = summarise_labels(manifest, min_count=2).forms["full"]
    assert rare.words < full.words
    assert rare.train.unknown_rate > 0


def test_the_tree_has_every_clip_once_at_each_depth(summary: LabelSummary) -> None:
    assert summary.chain == (ACTION_GROUP, CATEGORY)
    assert len(summary.tree) == 2
    assert sum(branch.train for branch in summary.tree) == 4
    for branch in summary.tree:
        assert branch.branches
        assert sum(inner.train for inner in branch.branches) == branch.train
        assert sum(inner.validation for inner in branch.branches) == branch.validation


def test_simplifications_are_listed_by_their_number(summary: LabelSummary) -> None:
    first = summary.simplifications["last-word"].most_frequent[0]
    assert (first.placeholder, first.word, first.count) == ("a bottle of water", "water", 2)
    head = summary.simplifications["head-noun"].most_frequent[0]
    assert (head.placeholder, head.word, head.count) == ("a bottle of water", "bottle", 2)
    rule = summary.simplifications["last-word"]
    assert (rule.placeholders, rule.changed) == (4, 3)  # "cup" stays "cup"
    assert (rule.distinct_before, rule.distinct_after) == (3, 2)


def test_contrastive_groups_are_there_with_two_of_their_classes(tmp_path: Path) -> None:
    one, other = (merged[0] for merged in CONTRASTIVE_GROUPS[0].classes[:2])
    rows: list[object] = [row("1", BRACKETED[one]), row("2", BRACKETED[other])]
    data = write_annotations(tmp_path / "both", rows, rows_of("3"))
    found = summarise_labels(read_manifest(data)).contrastive_groups
    assert any({one, other} <= set(group) for group in found)
    data = write_annotations(tmp_path / "one", rows[:1], rows_of("3"))
    found = summarise_labels(read_manifest(data)).contrastive_groups
    assert not any({one, other} & set(group) for group in found)


def rows_of(*ids: str) -> list[object]:
    return [row(clip_id, SQUEEZE) for clip_id in ids]


def test_clips_are_counted_that_can_be_mirrored(tmp_path: Path) -> None:
    rows: list[object] = [
        row("1", PUSH, "a cup"),
        row("2", PULL, "a box with two left overs"),
        row("3", "Filming [my own clips]", "nothing"),
    ]
    manifest = read_manifest(write_annotations(tmp_path, rows, [row("4", PRETEND)]))
    assert summarise_labels(manifest).mirrored == 1


def test_a_level_that_leaves_categories_out_is_no_part_of_the_tree() -> None:
    taxonomy = Taxonomy(
        ("a", "b", "c"),
        {"part": ("x", None, "x"), "whole": ("y", "y", "z"), "across": ("u", "v", "u")},
    )
    assert nested_levels(taxonomy, ["category", "part", "whole"]) == ("category", "whole")
    assert nested_levels(taxonomy, ["category", "whole", "across"]) == ("category", "whole")


NAMES = st.sampled_from("xyz")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=6))
def test_levels_of_a_tree_nest(pairs: list[tuple[str, str]]) -> None:
    categories = tuple(str(n) for n in range(len(pairs)))
    names = tuple(zip(*pairs, strict=True))
    taxonomy = Taxonomy(categories, {"one": names[0], "two": names[1]})
    chain = nested_levels(taxonomy, ["category", "one", "two"])
    assert chain[:2] == ("category", "one")
    is_nested = len(set(pairs)) == len(set(names[0]))
    assert ("two" in chain) == is_nested


def test_a_dataset_without_training_clips_of_a_level_has_no_bits_there(manifest: Manifest) -> None:
    empty = Manifest(
        manifest.root, manifest.split(Split.VALIDATION), (), manifest.taxonomy, manifest.factors
    )
    summary = summarise_labels(empty)
    assert summary.entropy_bits[CATEGORY] == 0.0
    assert summary.forms["full"].to_json()["train"] == {
        "captions": 0,
        "coverage": None,
        "unknown_rate": None,
        "cut": 0,
    }


def test_fewer_than_one_is_no_threshold(manifest: Manifest) -> None:
    with pytest.raises(ValueError, match="min_count is 0"):
        summarise_labels(manifest, min_count=0)


def test_finer_grains_never_tell_less(summary: LabelSummary) -> None:
    bits = summary.entropy_bits
    assert bits[ACTION_GROUP] <= bits[CATEGORY] <= bits["simplified"] <= bits["full"] <= log2(4)


def test_free_sentences_have_the_forms_that_a_study_can_learn(tmp_path: Path) -> None:
    rows: list[object] = [{**row("1", "Nodding"), "label": "a man says yes"}, row("2", "Waving")]
    manifest = read_manifest(write_annotations(tmp_path, rows, [row("3", "Nodding")]))
    summary = summarise_labels(manifest)
    assert list(summary.forms) == ["full"]
    assert set(summary.entropy_bits) == {CATEGORY, "full"}
    assert summary.to_json()["mirror_table"] == "something-something-v2"
