"""The wires of the settings of clips: where they lie, what is seen, what is varied."""

from __future__ import annotations

import re

from tests.wiring.small_study import CATEGORIES, Places
from tests.wiring.wire import Moves, Wire, loses, renamed, without

DRAWN = {
    "data.root": None,
    "data.levels": None,
    "data.train": 50,
    "data.validation": 40,
    "sources[3].classify": "action-group",
}
DRAWN_TARGET = {"targets[1].root": None, "targets[1].support": 40, "targets[1].scored": 40}


def seen(name: str, value: object) -> Moves:
    """Name what the encoder sees of a clip wherever it is handed on."""
    batches = ("sources[*].training.sampling", "sources[*].validation.sampling")
    places = ("sources[*].sampling", *batches, "features.sampling", "features.header")
    return {f"{place}.{name}": value for place in places}


def stored(value: tuple[int, int]) -> Moves:
    """Name the size of stored frames in every dataset."""
    return {f"{place}.store_size": value for place in ("data", "targets[*].data")}


def varied(name: str, value: object) -> Moves:
    """Name an argument of the augmentation of every training."""
    return {f"sources[*].training.variation.augmentation.{name}": value}


def data_wires(places: Places) -> list[Wire]:
    """List the wires of the source's clips."""
    return [
        Wire("data.root", str(places.other_clips), {"data.root": str(places.other_clips)}),
        Wire(
            "data.store",
            str(places.store),
            {
                "data.store": str(places.store),
                "data.is_packed": True,
                "cells": without("prepare source 00000"),
            },
        ),
        Wire(
            "data.levels",
            {"verb": {"push": [CATEGORIES[0]], "other": [*CATEGORIES[1:]]}},
            {
                "data.levels": {
                    "verb": dict(zip(CATEGORIES, ("push", *["other"] * 3), strict=True))
                },
                "sources[*].task.levels": lambda old, new: (
                    sorted(new.pop("verb")) == ["other", "other", "other", "push"]
                    and new == {key: old[key] for key in old if key != "verb"}
                ),
            },
        ),
        Wire(
            "data.mirror",
            {CATEGORIES[1]: CATEGORIES[0], CATEGORIES[0]: CATEGORIES[1]},
            {
                "sources[*].task.mirror": lambda old, new: (
                    new == {**old, CATEGORIES[1]: CATEGORIES[0], CATEGORIES[0]: CATEGORIES[1]}
                )
            },
        ),
        Wire("data.seed", 5, {"data.world.seed": 5}, DRAWN),
        Wire(
            "data.train",
            51,
            {"data.world.train": 51, "data.num_training": 51, "data.num_clips": 91},
            DRAWN,
        ),
        Wire("data.validation", 41, {"data.world.validation": 41, "data.num_clips": 91}, DRAWN),
    ]


def video_wires() -> list[Wire]:
    """List the wires of what the encoder sees."""
    return [
        Wire("video.num_frames", 6, seen("num_frames", 6)),
        Wire("video.store_height", 28, {**seen("store_height", 28), **stored((28, 20))}),
        Wire("video.store_width", 30, {**seen("store_width", 30), **stored((24, 30))}),
        Wire("video.height", 18, seen("height", 18)),
        Wire("video.width", 14, seen("width", 14)),
        Wire("video.stride", 3, seen("stride", 3)),
        Wire(
            "video.fit",
            "crop",
            {
                **seen("fit", "crop"),
                **{f"{each}.fit": "crop" for each in ("data", "targets[*].data")},
            },
        ),
    ]


def augment_wires() -> list[Wire]:
    """List the wires of what training varies."""
    return [
        Wire("augment.rate_jitter", 0.31, varied("rate_jitter", 0.31)),
        Wire("augment.crop_scale", [0.4, 0.7], varied("crop_scale", (0.4, 0.7))),
        Wire("augment.crop_aspect", [0.6, 1.1], varied("crop_aspect", (0.6, 1.1))),
        Wire("augment.mirror", 0.32, varied("mirror", 0.32)),
        Wire(
            "augment.mirror",
            0.0,
            {**varied("mirror", 0.0), "sources[*].task.mirror": {}},
        ),
        Wire("augment.brightness", 0.33, varied("brightness", 0.33)),
        Wire("augment.contrast", 0.34, varied("contrast", 0.34)),
        Wire("augment.saturation", 0.35, varied("saturation", 0.35)),
        Wire("augment.hue", 0.36, varied("hue", 0.36)),
    ]


def checks_apart(before: list[str], after: list[str]) -> bool:
    """Check that learning waits for no clip of attic, and that features wait for all clips."""
    first, second = "check", "check sealed"
    clips = needs(before, first)
    names = [each.partition(" after ")[0] for each in after]
    return (
        needs(after, first) == [each for each in clips if not each.startswith("prepare attic")]
        and needs(after, second) == clips
        and [each for each in names if each != second]
        == [each.partition(" after ")[0] for each in before]
        and [each.split()[0] for each in after if second in each.partition(" after ")[2]]
        == [name.split()[0] for name in names if name.startswith(("features", "examples"))]
    )


def needs(cells: list[str], name: str) -> list[str]:
    """Return the names of the cells that a cell waits for."""
    line = next(each for each in cells if each.startswith(f"{name} after "))
    return line.removeprefix(f"{name} after ").split(", ")


def targets_wires(places: Places) -> list[Wire]:
    """List the wires of the targets' clips."""
    return [
        Wire(
            "targets[1].name",
            "loft",
            {
                "targets[1].data.name": "loft",
                "targets[1].data.store": "RUN/store/loft",
                "targets[1].tasks": ["loft"],
                "cells": renamed("attic", "loft"),
                "examples": {"source": 6, "kitchen": 2, "loft": 2},
            },
            {"family": None},
        ),
        Wire(
            "targets[0].root",
            str(places.other_clips),
            {"targets[0].data.root": str(places.other_clips)},
        ),
        Wire(
            "targets[0].store",
            str(places.store),
            {
                "targets[0].data.store": str(places.store),
                "targets[0].data.is_packed": True,
                "cells": without("prepare kitchen 00000"),
            },
        ),
        Wire("targets[1].seed", 5, {"targets[1].data.world.seed": 5}, DRAWN_TARGET),
        Wire(
            "targets[1].sealed",
            True,
            {"cells": checks_apart},
            {**DRAWN_TARGET, "seal": {"commit": "3" * 40, "seeds": 1}},
        ),
        Wire(
            "targets[1].support",
            45,
            {
                "targets[1].data.world.train": 45,
                "targets[1].data.num_training": 45,
                "targets[1].data.num_clips": 85,
                "targets[1].support": 45,
            },
            DRAWN_TARGET,
        ),
        Wire(
            "targets[1].scored",
            50,
            {
                "targets[1].data.world.validation": 50,
                "targets[1].data.num_clips": 90,
                "targets[1].scored": 50,
            },
            DRAWN_TARGET,
        ),
        Wire(
            "targets[1].few_shot",
            str(places.few_shot),
            {
                "targets[1].data.few_shot": str(places.few_shot),
                "targets[1].data.num_clips": 24,
                "targets[1].data.num_training": 12,
                "targets[1].support": 12,
                "targets[1].episodes.pooled": [True],
                # Norms of the target would have seen the queries of a pooled episode.
                "targets[1].asked": loses("target-norm"),
                "cells": lambda old, new: (
                    new
                    == [
                        each
                        for each in old
                        if not re.match(r"episodes \S+-target-norm on attic ", each)
                    ]
                ),
            },
            {"transfer.batch_norm": ["source", "target"]},
        ),
        Wire(
            "targets[1].factors",
            ["motion"],
            {"targets[1].tasks": ["attic", "attic/motion"]},
            DRAWN_TARGET,
        ),
        Wire(
            "targets[1].world",
            "tabletop",
            {"targets[1].data.world.world": "tabletop-tasks"},
            DRAWN_TARGET,
        ),
        Wire(
            "targets[1].tasks",
            7,
            {
                "targets[1].task_draw.number": 7,
                "targets[1].task_draw.seed": 6,
                "cells": lambda old, new: (
                    new
                    == [
                        f"{each}, alignment" if re.match(r"evaluate \S+ on attic ", each) else each
                        for each in old
                    ]
                    != old
                ),
            },
            {
                **{**DRAWN, **DRAWN_TARGET, "alignment": 4000},
                **{"targets[1].world": "tabletop", "targets[1].seed": 6},
            },
        ),
    ]
