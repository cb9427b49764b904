from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from taskgrain.errors import ManifestError
from taskgrain.tools.compare.division import divide
from taskgrain.tools.compare.labels import LabelTable, Side


def table_of(labels: str, sides: tuple[Side, ...] | None = None) -> LabelTable:
    clips = tuple(f"c{index:03d}" for index in range(len(labels)))
    return LabelTable(Path("y.csv"), clips, tuple(labels), sides)


def test_each_class_is_divided_to_the_clip() -> None:
    table = table_of("a" * 10 + "b" * 7 + "c" * 2)
    sides = divide(table, None, seed=0, support_share=0.5)
    support = Counter(
        label for label, side in zip(table.labels, sides, strict=True) if side == "support"
    )
    assert support == {"a": 5, "b": 4, "c": 1}
    few = divide(table, None, seed=0, support_share=0.01)
    assert Counter(few)["support"] == 3  # one of each class at least


def test_a_seed_gives_one_division_whatever_the_order_of_rows() -> None:
    table = table_of("ab" * 20)
    sides = dict(zip(table.clip_ids, divide(table, None, seed=1, support_share=0.5), strict=True))
    turned = LabelTable(table.path, table.clip_ids[::-1], table.labels[::-1], None)
    again = divide(turned, None, seed=1, support_share=0.5)
    assert dict(zip(turned.clip_ids, again, strict=True)) == sides
    other = divide(table, None, seed=2, support_share=0.5)
    assert dict(zip(table.clip_ids, other, strict=True)) != sides


@settings(max_examples=40, deadline=None)
@given(
    groups=st.lists(
        st.lists(st.sampled_from("abc"), min_size=1, max_size=5), min_size=8, max_size=25
    ),
    seed=st.integers(0, 5),
)
def test_a_group_is_on_one_side_and_every_class_on_both(groups: list[list[str]], seed: int) -> None:
    labels = "".join("".join(group) for group in groups)
    names = [str(index) for index, group in enumerate(groups) for _ in group]
    table = table_of(labels)
    try:
        sides = divide(table, names, seed=seed, support_share=0.5)
    except ManifestError:  # a class in one group only
        reject()
    of_group, of_class = defaultdict(set), defaultdict(set)
    for group, label, side in zip(names, labels, sides, strict=True):
        of_group[group].add(side)
        of_class[label].add(side)
    assert {len(found) for found in of_group.values()} == {1}
    assert {len(found) for found in of_class.values()} == {2}


def test_recordings_of_one_class_each_are_dealt_near_the_share() -> None:
    labels = "a" * 40 + "b" * 40
    groups = [f"{label}{index // 4}" for index, label in enumerate(labels)]
    sides = divide(table_of(labels), groups, seed=3, support_share=0.25)
    support = Counter(label for label, side in zip(labels, sides, strict=True) if side == "support")
    assert all(8 <= count <= 12 for count in support.values())
    assert len(support) == 2


def test_a_class_of_one_recording_is_named() -> None:
    with pytest.raises(ManifestError, match=r"y\.csv: class 'b' has one group; it takes at least"):
        divide(table_of("aabb"), ["1", "2", "3", "3"], seed=0, support_share=0.5)
    with pytest.raises(ManifestError, match=r"class 'b' has one clip; it takes at least 2"):
        divide(table_of("aab"), None, seed=0, support_share=0.5)


def test_classes_that_only_ever_come_together_in_two_recordings_of_three_cannot_be_divided() -> (
    None
):
    # Each pair of recordings shares a class: two of them are always on one side.
    with pytest.raises(ManifestError, match="no division by group had clips of every class"):
        divide(table_of("abbcca"), ["1", "1", "2", "2", "3", "3"], seed=0, support_share=0.5)


def test_a_given_split_stays_unless_it_tears_a_recording_apart() -> None:
    sides: tuple[Side, ...] = ("support", "scored", "support", "scored", "left out")
    table = table_of("aabba", sides)
    assert divide(table, None, seed=0, support_share=0.5) == sides
    assert divide(table, ["1", "2", "3", "4", "1"], seed=0, support_share=0.5) == sides
    with pytest.raises(ManifestError, match="group 3 is on both sides: clip c002 is support, clip"):
        divide(table, ["1", "2", "3", "3", "1"], seed=0, support_share=0.5)
