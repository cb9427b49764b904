from __future__ import annotations

from taskgrain.labels.contrastive import CONTRASTIVE_GROUPS
from taskgrain.labels.ssv2 import OFFICIAL_INDEX


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
