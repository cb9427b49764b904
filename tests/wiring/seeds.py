"""The wires of what a seed draws of the source's clips, and of what is kept from it."""

from __future__ import annotations

from collections.abc import Iterable

from tests.wiring.laying_out import ABSENT
from tests.wiring.small_study import CATEGORIES, Places
from tests.wiring.wire import Check, Moves, Wire, renamed

PUSH, PULL, PRETEND, PUSH_BACK = CATEGORIES
OF_SEED = renamed("floors ", "floors seed 3 ")  # cells: each seed has floors of its own
ALL_CATEGORIES = {"sources[3].classify": "category"}  # of the others too few may be left
LEVELS = {
    **ALL_CATEGORIES,
    "data.levels": {
        "hand": {"right": [PULL, PRETEND], "left": [PUSH], "both": [PUSH_BACK]},
        "verb": {"push": [PUSH, PUSH_BACK], "other": [PULL, PRETEND]},
        "kind": {"all": [*CATEGORIES]},
    },
}


def keeps(number: int) -> Check:
    """Check that so many clips are left, in their order and none of them new."""
    return lambda before, after: (
        len(after) == number and after == [clip for clip in before if clip in after]
    )


def learns(*categories: str) -> Moves:
    """Name the clips and classes of every source that learns these categories alone."""

    def are_of_them(_: object, after: list[str]) -> bool:
        return {CATEGORIES[int(clip) % 4] for clip in after} == set(categories)

    def is_level_of_them(_: object, after: dict[str, Iterable[str]]) -> bool:
        return {len([*names]) for names in after.values()} == {len(categories)}

    def are_their_words(_: object, after: Iterable[str]) -> bool:
        words = {word for name in categories for word in name.lower().split()}
        said = {word for name in CATEGORIES for word in name.lower().split()} - {"something"}
        return words & said == said & {*after}

    return {
        "sources[*].training.clips": are_of_them,
        "sources[*].validation.clips": are_of_them,
        "sources[*].task.levels": is_level_of_them,
        "sources[1].task.words": are_their_words,
    }


def classes(number: int) -> Moves:
    """Name the number of classes of every head."""
    return {"sources[*].task.num_classes": number}


def seeds_wires(places: Places) -> list[Wire]:
    """List the wires of base and novel categories, and of drawn clips."""
    rotating = {**ALL_CATEGORIES, "data.hold_out": {"groups": 1}}
    shown = "targets[1].data"
    return [
        Wire("data.draw", 12, {"sources[*].training.clips": keeps(12), "cells": OF_SEED}),
        Wire(
            "data.hold_out.siblings",
            2,
            {**learns(PRETEND, PUSH_BACK), **classes(2)},
            {**LEVELS, "data.hold_out": {"siblings": 1, "level": "kind"}},
        ),
        Wire(
            "data.hold_out.groups",
            1,
            {**learns(PULL, PRETEND), **classes(2), "cells": OF_SEED},
            ALL_CATEGORIES,
        ),
        Wire(
            "data.hold_out.level",
            "hand",
            learns(PUSH, PUSH_BACK),
            {**LEVELS, "data.hold_out": {"groups": 1}},
        ),
        Wire(
            "data.hold_out.few_shot",
            str(places.held_out),
            {**learns(PUSH, PULL, PUSH_BACK), **classes(3)},
            ALL_CATEGORIES,
        ),
        Wire(
            "targets[1].novel",
            True,
            {
                f"{shown}.root": str(places.clips),
                f"{shown}.store": "RUN/store/source",
                **dict.fromkeys(_drawn(f"{shown}.world"), ABSENT),
                f"{shown}.world": None,
                f"{shown}.num_clips": 14,  # of the two categories of pushing
                f"{shown}.num_training": 8,
                f"{shown}.num_shards": 1,
                f"{shown}.levels": lambda old, new: old == {} and [*new] == ["verb"],
                f"{shown}.is_held_out": True,
                "targets[1].support": 8,
                "targets[1].scored": 6,
                "cells": lambda old, new: (
                    [each for each in old if "prepare attic" in each] != []
                    and [each for each in new if "prepare attic" in each] == []
                ),
            },
            {
                **rotating,
                **{"targets[1].root": None, "targets[1].support": 40, "targets[1].scored": 40},
            },
        ),
    ]


def _drawn(world: str) -> list[str]:
    return [f"{world}.{name}" for name in ("world", "seed", "train", "validation", "test")]
