from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from taskgrain.config.clips import HoldOut, SourceData
from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.errors import ConfigError
from taskgrain.labels.taxonomy import Taxonomy
from taskgrain.study.seed_clips import categories_rotate, differ_by_seed, seed_clips

SIZES = {"alone": 1, "pair": 2, "couple": 2, "trio": 3, "five": 5, "seven": 7}
GROUP_OF = {f"{name} {n}": name for name, size in SIZES.items() for n in range(size)}
SEEDS = range(60)


def manifest_of(
    group_of: Mapping[str, str] = GROUP_OF, *, training: int = 4, scored: int = 2
) -> Manifest:
    """Make so many clips of each category, category after category within a split."""
    names = tuple(sorted(group_of))
    records = [
        ClipRecord(f"{split}-{name}-{n}", split, name, (), (name,), Path("clips"), "a.webm")
        for split, number in ((Split.TRAIN, training), (Split.VALIDATION, scored))
        for name in names
        for n in range(number)
    ]
    taxonomy = Taxonomy(names, {"kind": tuple(group_of[name] for name in names)})
    return Manifest(Path("clips"), tuple(records), (), taxonomy)


def data(draw: int | None = None, **hold_out: object) -> SourceData:
    settings = HoldOut.model_validate({"level": "kind", **hold_out}) if hold_out else None
    return SourceData(draw=draw, hold_out=settings)


def categories(manifest: Manifest) -> set[str]:
    return {record.category for record in manifest.records}


def test_without_settings_every_seed_learns_from_all_clips() -> None:
    manifest = manifest_of()
    found = seed_clips(data(), manifest, 3)
    assert found.learned is manifest
    assert found.novel.records == ()
    assert not differ_by_seed(data())


def test_held_out_categories_are_in_no_clip_class_or_group_that_is_learned() -> None:
    manifest = manifest_of()
    for seed in SEEDS:
        found = seed_clips(data(siblings=4, groups=1), manifest, seed)
        held = categories(found.novel)
        assert held == {*found.strata["siblings"], *found.strata["groups"]}
        assert len(found.strata["siblings"]) == 4
        assert categories(found.learned) == set(GROUP_OF) - held
        assert set(found.learned.taxonomy.categories) == set(GROUP_OF) - held
        assert set(found.novel.taxonomy.categories) == held
        gone = {GROUP_OF[name] for name in found.strata["groups"]}
        assert len(gone) == 1
        assert set(found.learned.taxonomy.names("kind")) == set(SIZES) - gone
        both = [*found.learned.records, *found.novel.records]
        assert sorted(both) == sorted(manifest.records)


def test_no_group_keeps_exactly_one_base_category_unless_it_never_had_more() -> None:
    for seed in SEEDS:
        settings = data(siblings=8, groups=2) if seed % 2 else data(siblings=4, groups=1)
        found = seed_clips(settings, manifest_of(), seed)
        kept = Counter(GROUP_OF[name] for name in found.learned.taxonomy.categories)
        assert kept["alone"] == 1
        assert 1 not in {number for name, number in kept.items() if name != "alone"}
        for name in found.strata["siblings"]:
            assert kept[GROUP_OF[name]] >= 2


def test_every_sibling_is_held_out_equally_often() -> None:
    manifest, number = manifest_of(), 1000
    able = [name for name, group in GROUP_OF.items() if SIZES[group] > 2]
    counts = Counter(
        name
        for seed in range(number)
        for name in seed_clips(data(siblings=4), manifest, seed).strata["siblings"]
    )
    assert set(counts) == set(able)
    expected = number * 4 / len(able)
    assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


def test_every_group_of_two_or_more_is_held_out_equally_often() -> None:
    manifest, number = manifest_of(), 500
    counts = Counter(
        group
        for seed in range(number)
        for group in {
            GROUP_OF[name] for name in seed_clips(data(groups=2), manifest, seed).strata["groups"]
        }
    )
    assert set(counts) == set(SIZES) - {"alone"}
    expected = number * 2 / 5
    assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


def test_groups_that_can_give_no_more_leave_the_rest_to_others() -> None:
    for seed in SEEDS:
        found = seed_clips(data(siblings=9), manifest_of(), seed)  # all that can go: 1 + 3 + 5
        counts = Counter(GROUP_OF[name] for name in found.strata["siblings"])
        assert counts == {"trio": 1, "five": 3, "seven": 5}


def test_whole_groups_leave_what_the_siblings_need() -> None:
    for seed in SEEDS:  # of 1 + 3 + 5 siblings that can go, 8 are left without five and seven
        found = seed_clips(data(siblings=8, groups=2), manifest_of(), seed)
        assert {GROUP_OF[name] for name in found.strata["groups"]} < {"pair", "couple", "trio"}
        assert len(found.strata["siblings"]) == 8
        kept = seed_clips(data(siblings=5, groups=1), manifest_of(), seed)
        assert "seven 0" not in kept.strata["groups"]


def test_the_split_rotates_with_the_seed_and_is_the_same_for_one() -> None:
    settings = data(siblings=4, groups=1)
    found = [seed_clips(settings, manifest_of(), seed).strata for seed in SEEDS]
    assert found == [seed_clips(settings, manifest_of(), seed).strata for seed in SEEDS]
    assert len({strata["siblings"] for strata in found}) > 20
    assert categories_rotate(settings)


def test_a_seed_draws_training_clips_without_replacement_in_their_order() -> None:
    manifest = manifest_of()
    found = [seed_clips(data(draw=50), manifest, seed).learned for seed in range(8)]
    training = [record.clip_id for record in manifest.split(Split.TRAIN)]
    for learned in found:
        clips = [record.clip_id for record in learned.split(Split.TRAIN)]
        assert len(set(clips)) == len(clips) == 50
        assert {Counter(r.category for r in learned.split(Split.TRAIN))[c] for c in GROUP_OF} == {
            2,
            3,
        }
        assert clips == sorted(clips, key=training.index)
        assert learned.split(Split.VALIDATION) == manifest.split(Split.VALIDATION)
        assert learned.taxonomy == manifest.taxonomy
    assert len({learned.records for learned in found}) == 8
    assert differ_by_seed(data(draw=50))
    assert not categories_rotate(data(draw=50))


def test_every_clip_is_drawn_equally_often() -> None:
    manifest, number = manifest_of(training=3), 750
    counts = Counter(
        record.clip_id
        for seed in range(number)
        for record in seed_clips(data(draw=25), manifest, seed).learned.split(Split.TRAIN)
    )
    assert len(counts) == 60
    expected = number * 25 / 60
    assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


def test_drawn_clips_are_of_base_categories_and_their_draw_has_a_stream_of_its_own() -> None:
    manifest = manifest_of()
    for seed in range(8):
        found = seed_clips(data(draw=40, siblings=4), manifest, seed)
        assert len(found.learned.split(Split.TRAIN)) == 40
        assert not categories(found.learned) & categories(found.novel)
        alone = seed_clips(data(siblings=4), manifest, seed)
        assert alone.novel == found.novel


def test_excluded_clips_are_neither_drawn_nor_make_a_category_one_that_can_be_held_out() -> None:
    manifest = manifest_of({f"big {n}": "big" for n in range(4)} | {"other": "other"})
    lost = tuple(
        record._replace(excluded="broken")
        if record.category == "big 0" and record.split is Split.VALIDATION
        else record
        for record in manifest.records
    )
    broken = Manifest(manifest.root, lost, (), manifest.taxonomy)
    held = {seed_clips(data(siblings=1), broken, seed).strata["siblings"][0] for seed in SEEDS}
    assert held == {"big 1", "big 2", "big 3"}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (data(groups=6), r"groups is 6, but of the 6 groups of level 'kind'.* 5 can be held out"),
        (data(groups=9), r"data\.hold_out\.groups is 9"),
        (data(siblings=10), r"siblings is 10, .* can spare 9 at most \(two of each stay, and 0"),
        (data(siblings=6, groups=4), r"siblings is 6, .* can spare 5 at most"),
        (data(siblings=1, level="verb"), r"data\.hold_out\.level: clips: no level 'verb'"),
        (data(draw=81), r"draw is 81, but under seed 0 clips has 80 training clips of 20 base"),
        (data(draw=77, siblings=1), r"draw is 77, .* has 76 training clips of 19 base"),
        (data(draw=2), r"draw is 2, .* leaves no training clip of '[a-z]+ \d', .* and 15 more"),
    ],
)
def test_what_cannot_be_satisfied_is_refused_by_name(settings: SourceData, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        seed_clips(settings, manifest_of(), 0)


def test_the_categories_of_a_list_are_held_out_under_every_seed(tmp_path: Path) -> None:
    lines = [f"{name}/{split}-{name}-{n}\n" for name in ("trio 0", "pair 0", "pair 1")
             for split in ("train", "validation") for n in range(2)]  # fmt: skip
    path = tmp_path / "test.txt"
    path.write_text("".join(lines))
    settings = data(few_shot=str(path))
    first = seed_clips(settings, manifest_of(), 0)
    assert first.strata == {"siblings": ("trio 0",), "groups": ("pair 0", "pair 1")}
    assert len(first.novel.records) == 3 * 6  # whatever the list leaves out of its categories
    other = seed_clips(settings, manifest_of(), 1)
    assert (other.learned, other.novel) == (first.learned, first.novel)
    assert not differ_by_seed(settings)
    unknown = seed_clips(data(few_shot=str(path), level="verb"), manifest_of(), 0)
    assert (unknown.strata, unknown.learned) == ({}, first.learned)
