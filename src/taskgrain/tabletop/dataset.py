"""The embedded worlds as datasets: in the format in which Something-Something v2 ships."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import cv2

from taskgrain.data.decode import write_webm
from taskgrain.data.files import make_folder, write_text
from taskgrain.randomness import Draws
from taskgrain.tabletop import scene
from taskgrain.tabletop.draw import render
from taskgrain.tabletop.film import Pixels
from taskgrain.tabletop.kitchen import doing, far
from taskgrain.tabletop.kitchen.doing import MEANINGS, TOOLS
from taskgrain.tabletop.kitchen.far import FarScene, sample_far_scene
from taskgrain.tabletop.kitchen.far_draw import render_far
from taskgrain.tabletop.kitchen.near import NearScene, sample_near_scene
from taskgrain.tabletop.kitchen.near_draw import render_near
from taskgrain.tabletop.scene import Factor, Scene, sample_scene
from taskgrain.tabletop.tasks import asked_of

World = Literal["tabletop", "tabletop-tasks", "kitchenware", "kitchenware-far"]
"""The source; its look and templates with held-back things too; the kitchen in two looks."""
AnyScene = Scene | NearScene | FarScene
SplitName = Literal["train", "validation", "test"]

TABLETOPS: tuple[World, ...] = ("tabletop", "tabletop-tasks")
_WORLDS = " or ".join(f'"{name}"' for name in get_args(World))
WIDTH, HEIGHT = 128, 96  # pixels
DRAW_SECONDS = 0.04  # a clip of 30 frames on one thread, VP9 included
FIRST_ID: dict[SplitName, int] = {"train": 1_000_001, "validation": 5_000_001, "test": 8_000_001}
"""Ids count up from here, so that a split's ids do not depend on the others' sizes."""


@dataclass(frozen=True, slots=True)
class WorldSpec:
    """Which world to draw, from which seed, and how many clips of each split."""

    world: World
    seed: int
    train: int
    validation: int
    test: int = 0


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """A clip before it is drawn."""

    clip_id: str
    split: SplitName
    scene: AnyScene
    # Beside the scene's own factors.
    task_factors: Mapping[str, str | None] = field(default_factory=dict)


def category_names(world: World) -> tuple[str, ...]:
    """List a world's categories (templates without brackets), in alphabetical order."""
    return scene.CATEGORIES if world in TABLETOPS else doing.CATEGORIES


def plan(spec: WorldSpec) -> tuple[ClipPlan, ...]:
    """Decide every clip of a dataset, without drawing any: training, validation, test.

    Categories differ by at most one clip in number, in a shuffled order. A clip's scene depends
    on the seed, its split and its place there only: a larger split begins with the smaller one.

    Raises:
        ValueError: if the world is unknown or a split's size is negative.
    """
    if spec.world not in get_args(World):
        raise ValueError(f"world {spec.world!r}: expected {_WORLDS}")
    sizes: dict[SplitName, int] = {
        "train": spec.train,
        "validation": spec.validation,
        "test": spec.test,
    }
    for split, size in sizes.items():
        if size < 0:
            raise ValueError(f"{split} = {size}: a split has 0 clips or more")
    return tuple(
        _plan_clip(spec, split, index) for split, size in sizes.items() for index in range(size)
    )


def _plan_clip(spec: WorldSpec, split: SplitName, index: int) -> ClipPlan:
    names = category_names(spec.world)
    block, position = divmod(index, len(names))
    # Both looks have the same draws, so that their clips are pairs. The tabletop's target has
    # others than its source, so that no clip of it was learned from, whatever the seeds are.
    stream = spec.world if spec.world in TABLETOPS else doing.WORLD
    draws = Draws(stream, spec.seed, split)
    category = draws.shuffled(f"categories/{block}", names)[position]
    own = draws.within(str(index))
    clip_id = str(FIRST_ID[split] + index)
    if spec.world in TABLETOPS:
        is_target = spec.world == "tabletop-tasks"
        drawn = sample_scene(category, own, shows_held_back=is_target)
        return ClipPlan(clip_id, split, drawn, asked_of(drawn) if is_target else {})
    motion, tool = MEANINGS[category]
    if tool is None:  # other things take the tools in turn
        tool = draws.shuffled(f"tools/{block // len(TOOLS)}", TOOLS)[block % len(TOOLS)]
    sample = sample_far_scene if spec.world == far.WORLD else sample_near_scene
    return ClipPlan(clip_id, split, sample(motion, tool, own))


def draw_clip(clip: AnyScene, *, width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    """Draw a scene of any world; uint8 (T, H, W, 3), RGB.

    On x86 processors with AVX2 the pixels are the same; on others fewer than one value in 10,000
    differs, by a grey level or two (`tests/tabletop/test_pixels.py`).
    """
    with _opencv_alone():
        if isinstance(clip, Scene):
            return render(clip, width=width, height=height)
        if isinstance(clip, NearScene):
            return render_near(clip, width=width, height=height)
        return render_far(clip, width=width, height=height)


@contextmanager
def _opencv_alone() -> Iterator[None]:
    """Keep OpenCV to one thread, and to its own code: IPP's differs from maker to maker."""
    threads, ipp = cv2.getNumThreads(), cv2.ipp.useIPP()
    cv2.setNumThreads(1)
    cv2.ipp.setUseIPP(False)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
        cv2.ipp.setUseIPP(ipp)


def redraw(factors: Mapping[str, Factor], *, width: int, height: int) -> Pixels:
    """Draw a clip again from its parsed line of factors.jsonl: uint8 (T, H, W, 3), RGB.

    Frames may have any size in pixels; scenes are composed for 4 : 3.

    Raises:
        ValueError: as `scene_of`.
    """
    return draw_clip(scene_of(factors), width=width, height=height)


def scene_of(factors: Mapping[str, Factor]) -> AnyScene:
    """Read the scene of a parsed line of factors.jsonl.

    Raises:
        ValueError: if the line is not one of ours.
    """
    world = factors.get("world")
    if world == scene.WORLD:
        return Scene.from_factors(factors)
    if world == doing.WORLD:
        return NearScene.from_factors(factors)
    if world == far.WORLD:
        return FarScene.from_factors(factors)
    raise ValueError(f"factors of world {world!r}: expected {_WORLDS}")


def clip_path(root: Path, clip_id: str) -> Path:
    """Return where a clip's file is."""
    return root / "videos" / f"{clip_id}.webm"


def write_clip(root: Path, clip: ClipPlan) -> None:
    """Draw and encode one clip: 12 frames a second, 128 x 96; equal plans give equal bytes."""
    path = clip_path(root, clip.clip_id)
    with _opencv_alone():
        write_webm(path, draw_clip(clip.scene))


def write_annotations(root: Path, plans: Sequence[ClipPlan]) -> None:
    """Write train.json, validation.json, test.json, labels.json and factors.jsonl.

    Test clips are listed by id alone; their truth is in factors.jsonl.

    Raises:
        ValueError: if there is no clip.
    """
    if not plans:
        raise ValueError("a dataset has one clip or more, got none")
    make_folder(root)
    rows: dict[SplitName, list[dict[str, object]]] = {"train": [], "validation": [], "test": []}
    for clip in plans:
        rows[clip.split].append(_annotation(clip))
    for split, of_split in rows.items():
        text = ",\n".join(map(json.dumps, of_split))
        write_text(root / f"{split}.json", f"[\n{text}\n]\n")
    names = scene.CATEGORIES if isinstance(plans[0].scene, Scene) else doing.CATEGORIES
    labels = {name: str(index) for index, name in enumerate(names)}
    write_text(root / "labels.json", json.dumps(labels, indent=1) + "\n")
    lines = []
    for clip in plans:
        factors = {**clip.scene.to_factors(), **clip.task_factors}
        lines.append(json.dumps({"id": clip.clip_id, "split": clip.split, **factors}) + "\n")
    write_text(root / "factors.jsonl", "".join(lines))


def _annotation(clip: ClipPlan) -> dict[str, object]:
    if clip.split == "test":
        return {"id": clip.clip_id}
    return {
        "id": clip.clip_id,
        "label": clip.scene.caption,
        "template": clip.scene.bracketed,
        "placeholders": list(clip.scene.placeholders),
    }
