"""Choose which clips are learned from and which are scored, where the labels do not say it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from taskgrain.errors import ManifestError, list_problems
from taskgrain.names import CLIP_METRICS
from taskgrain.statistics.groups import GroupSums
from taskgrain.statistics.intervals import FEWEST_CLIPS, clip_weights
from taskgrain.tools.compare.labels import LabelTable, Side

DIVISION_STREAM = 3  # keeps it apart from draws, permutations and episodes of the same seed
ATTEMPTS = 20


def divide(
    table: LabelTable, groups: Sequence[str] | None, *, seed: int, support_share: float
) -> tuple[Side, ...]:
    """Choose the side of each clip, in the table's order.

    A split of the labels is taken as it is. Otherwise whole groups are dealt, the largest
    first, to the side whose classes lack most of them; without groups each clip is a group of
    its own, and each class is divided to the clip. It depends on the clips, their labels and
    groups and on the seed: neither on the order of rows nor on any features.

    Args:
        table: the labels.
        groups: of each clip, as "the same recording"; a group is never on both sides.
        seed: of the division.
        support_share: of the clips to learn from.

    Raises:
        ManifestError: naming the groups that the split puts on both sides, or the classes that
            cannot be on both sides.
    """
    if table.sides is not None:
        _check_groups(table, table.sides, groups)
        return table.sides
    order = sorted(range(len(table.clip_ids)), key=lambda index: table.clip_ids[index])
    members: dict[str, list[int]] = defaultdict(list)
    for index in order:
        members[table.clip_ids[index] if groups is None else groups[index]].append(index)
    _check_divisible(table, members, by_group=groups is not None)
    counts = [Counter(table.labels[index] for index in clips) for clips in members.values()]
    # Where groups hold clips of several classes, a deal may leave a class on one side, and another
    # order of the groups need not.
    for attempt in range(ATTEMPTS):
        is_support = _deal(counts, entropy=(seed, attempt, DIVISION_STREAM), share=support_share)
        lacking = _lacking(counts, is_support)
        if not lacking:
            break
    else:
        raise ManifestError(
            f"{table.path}: in {ATTEMPTS} attempts no division by group had clips of every class "
            f"on both sides ({lacking[0]!r} was lacking); give a split column"
        )
    sides: dict[int, Side] = {
        index: "support" if supports else "scored"
        for clips, supports in zip(members.values(), is_support, strict=True)
        for index in clips
    }
    return tuple(sides[index] for index in range(len(table.clip_ids)))


def small_class(
    table: LabelTable,
    groups: Sequence[str] | None,
    *,
    seed: int,
    support_share: float,
    most_shots: int,
) -> str | None:
    """Phrase why a division would leave too few clips to judge by; None where it would not.

    Args:
        table: the labels, without a split.
        groups: of each clip.
        seed: of the division.
        support_share: of the clips to learn from.
        most_shots: support clips that are wanted of each class.
    """
    try:
        sides = divide(table, groups, seed=seed, support_share=support_share)
    except ManifestError:
        return f"a division needs two {'recordings' if groups else 'clips'} of each class"
    for side, fewest, what in (
        ("support", most_shots, "to learn from"),
        ("scored", FEWEST_CLIPS, "to score"),
    ):
        of_class = Counter(
            name for name, own in zip(table.labels, sides, strict=True) if own == side
        )
        name, count = min(of_class.items(), key=lambda item: (item[1], item[0]))
        if count < fewest:
            return f"a division would leave class {name!r} {count} of {fewest} clips {what}"
    if groups is None:
        return None
    places = [place for place, side in enumerate(sides) if side == "scored"]
    labels, units = (
        np.unique([each[place] for place in places], return_inverse=True)[1].astype(np.int64)
        for each in (table.labels, groups)
    )
    sums = GroupSums(labels, units)
    if all(sums.is_sound(clip_weights(labels, metric=metric)) for metric in CLIP_METRICS):
        return None
    return "a division would leave too few recordings to score"


def _deal(
    counts: Sequence[Counter[str]], *, entropy: tuple[int, int, int], share: float
) -> list[bool]:
    """Choose for each group whether it is support."""
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    wanted = {name: _support_clips(number, share) for name, number in total.items()}
    sizes = {True: wanted, False: {name: total[name] - wanted[name] for name in wanted}}
    left = {side: dict(of_class) for side, of_class in sizes.items()}  # may fall below 0
    shuffled = np.random.default_rng(entropy).permutation(len(counts)).tolist()
    shuffled.sort(key=lambda group: -counts[group].total())  # stable: equals stay shuffled
    is_support = [False] * len(counts)
    for group in shuffled:
        # A clip counts by the share of its class that its side still lacks: otherwise large
        # classes would decide where a group goes, and small ones would be divided badly.
        need = {
            side: sum(
                number * lacking[name] / max(sizes[side][name], 1)
                for name, number in counts[group].items()
            )
            for side, lacking in left.items()
        }
        is_support[group] = need[True] >= need[False]
        for name, number in counts[group].items():
            left[is_support[group]][name] -= number
    return is_support


def _support_clips(number: int, share: float) -> int:
    """Round the share of a class, leaving a clip on either side where there are two."""
    return min(max(round(number * share), 1), max(number - 1, 1))


def _lacking(counts: Sequence[Counter[str]], is_support: Sequence[bool]) -> list[str]:
    """List the classes that are on one side only."""
    seen: dict[bool, set[str]] = {True: set(), False: set()}
    for each, side in zip(counts, is_support, strict=True):
        seen[side].update(each)
    return sorted(seen[True] ^ seen[False])


def _check_divisible(table: LabelTable, members: dict[str, list[int]], *, by_group: bool) -> None:
    groups_of: dict[str, set[str]] = defaultdict(set)
    for group, clips in members.items():
        for index in clips:
            groups_of[table.labels[index]].add(group)
    what = "group" if by_group else "clip"
    alone = sorted(name for name, held in groups_of.items() if len(held) < 2)
    if alone:
        raise ManifestError(
            list_problems(
                [
                    f"{table.path}: class {name!r} has one {what}; it takes at least 2, one to "
                    "learn from and one to score; add some or leave the class out"
                    for name in alone
                ]
            )
        )


def _check_groups(table: LabelTable, sides: Sequence[Side], groups: Sequence[str] | None) -> None:
    torn = [
        f"{table.path}: group {group} is on both sides: clip {clips['support']} is support, "
        f"clip {clips['scored']} is scored"
        for group, clips in torn_groups(table, sides, groups or ()).items()
    ]
    if torn:
        raise ManifestError(list_problems(torn))


def torn_groups(
    table: LabelTable, sides: Sequence[Side], groups: Sequence[str]
) -> dict[str, dict[Side, str]]:
    """Return the groups on both sides, with a clip of each; no groups, none."""
    on: dict[str, dict[Side, str]] = defaultdict(dict)
    for clip, side, group in zip(table.clip_ids, sides, groups, strict=bool(groups)):
        on[group].setdefault(side, clip)
    return {group: clips for group, clips in on.items() if "support" in clips and "scored" in clips}
