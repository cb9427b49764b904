from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import get_args

import av
import cv2
import numpy as np
import pytest

from taskgrain.data.decode import write_webm
from taskgrain.labels.template import fill
from taskgrain.tabletop.dataset import (
    World,
    WorldSpec,
    category_names,
    draw_clip,
    plan,
    redraw,
    scene_of,
    write_annotations,
    write_clip,
)

SPEC = WorldSpec("tabletop", 7, train=85, validation=41, test=5)


def _rows(path: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(path.read_text(encoding="utf-8"))
    return rows


@pytest.mark.parametrize("world", get_args(World))
def test_categories_differ_by_at_most_one_clip(world: World) -> None:
    spec = WorldSpec(world, 1, 95, 0)
    names = category_names(spec.world)
    counts = Counter(clip.scene.category for clip in plan(spec))
    every = [counts[name] for name in names]
    assert sum(every) == 95
    assert max(every) - min(every) <= 1


def test_the_order_of_categories_is_shuffled() -> None:
    clips = plan(WorldSpec("tabletop", 1, 80, 0))
    first, second = clips[:40], clips[40:]
    assert [clip.scene.category for clip in first] != [clip.scene.category for clip in second]


def test_ids_are_numeric_and_unique_over_splits() -> None:
    ids = [clip.clip_id for clip in plan(SPEC)]
    assert len(set(ids)) == len(ids) == 131
    assert all(clip_id.isdecimal() for clip_id in ids)


def test_a_split_does_not_change_with_another_splits_size() -> None:
    larger = WorldSpec("tabletop", 7, train=200, validation=41, test=0)
    for split in ("train", "validation"):
        before = [clip for clip in plan(SPEC) if clip.split == split]
        after = [clip for clip in plan(larger) if clip.split == split]
        assert after[: len(before)] == before


def test_another_seed_gives_other_scenes() -> None:
    other = plan(WorldSpec("tabletop", 8, 85, 41, 5))
    assert not {clip.scene for clip in plan(SPEC)} & {clip.scene for clip in other}


def test_splits_share_no_scene() -> None:
    scenes = [clip.scene for clip in plan(SPEC)]
    assert len(set(scenes)) == len(scenes)


def test_an_impossible_size_is_refused() -> None:
    with pytest.raises(ValueError, match="train = -1"):
        plan(WorldSpec("tabletop", 0, -1, 0))


def test_annotations_are_in_the_format_of_something_something(tmp_path: Path) -> None:
    root = tmp_path / "a folder with a space"
    clips = plan(SPEC)
    write_annotations(root, clips)
    train = _rows(root / "train.json")
    assert len(train) == 85
    for row in train:
        assert list(row) == ["id", "label", "template", "placeholders"]
        placeholders = row["placeholders"]
        assert isinstance(placeholders, list)
        assert row["label"] == fill(str(row["template"]), placeholders)
    assert len(_rows(root / "validation.json")) == 41
    assert all(set(row) == {"id"} for row in _rows(root / "test.json"))
    labels = json.loads((root / "labels.json").read_text(encoding="utf-8"))
    assert [labels[name] for name in sorted(labels)] == [str(i) for i in range(len(labels))]
    named = {str(row["template"]).replace("[", "").replace("]", "") for row in train}
    assert named == set(labels)


def test_the_truth_of_every_clip_is_kept(tmp_path: Path) -> None:
    clips = plan(SPEC)
    write_annotations(tmp_path, clips)
    lines = (tmp_path / "factors.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["id"] for row in rows] == [clip.clip_id for clip in clips]
    assert {row["split"] for row in rows} == {"train", "validation", "test"}
    assert [scene_of(row) for row in rows] == [clip.scene for clip in clips]
    assert all(row["motion"] and row["object"] for row in rows)


@pytest.mark.parametrize("world", ["kitchenware", "kitchenware-far"])
def test_kitchen_annotations_have_no_placeholders(tmp_path: Path, world: World) -> None:
    write_annotations(tmp_path, plan(WorldSpec(world, 0, 13, 13)))
    rows = _rows(tmp_path / "train.json")
    labels = json.loads((tmp_path / "labels.json").read_text(encoding="utf-8"))
    assert {row["template"] for row in rows} == set(labels)
    assert all(row["placeholders"] == [] for row in rows)
    assert all(row["label"] == str(row["template"]).lower() for row in rows)


def test_no_annotations_without_clips(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one clip or more"):
        write_annotations(tmp_path, ())


def test_files_are_equal_to_the_byte(tmp_path: Path) -> None:
    for world in get_args(World):
        (clip,) = plan(WorldSpec(world, 2, 1, 0))
        contents = []
        for root in (tmp_path / "a", tmp_path / "b"):
            write_clip(root, clip)
            contents.append((root / "videos" / f"{clip.clip_id}.webm").read_bytes())
        assert contents[0] == contents[1]


def test_a_written_clip_can_be_read_and_says_how_long_it_is(tmp_path: Path) -> None:
    clip = plan(WorldSpec("tabletop", 4, 1, 0))[0]
    write_clip(tmp_path, clip)
    with av.open(str(tmp_path / "videos" / f"{clip.clip_id}.webm")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name in ("vp9", "libvpx-vp9")
        assert (stream.width, stream.height) == (128, 96)
        assert stream.average_rate == Fraction(12)
        assert container.duration is not None
        assert container.duration / 1e6 == pytest.approx(clip.scene.num_frames / 12, abs=0.01)
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
    drawn = draw_clip(clip.scene)
    assert decoded.shape == drawn.shape
    assert np.abs(decoded.astype(int) - drawn).mean() < 6


def test_nothing_but_whole_clips_is_in_the_folder(tmp_path: Path) -> None:
    clip = plan(WorldSpec("tabletop", 4, 1, 0))[0]
    write_clip(tmp_path, clip)
    assert [path.name for path in (tmp_path / "videos").iterdir()] == [f"{clip.clip_id}.webm"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "clip.webm"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="shape"):
        write_webm(path, np.zeros((3, 96, 128, 4), np.uint8))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_writing_leaves_opencvs_threads_as_they_were(tmp_path: Path) -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        write_clip(tmp_path, plan(WorldSpec("tabletop", 4, 1, 0))[0])
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize("world", get_args(World))
def test_a_clip_is_redrawn_from_its_line_of_factors(world: World) -> None:
    clip = plan(WorldSpec(world, 5, 1, 0))[0]
    line = json.dumps({"id": clip.clip_id, "split": clip.split} | clip.scene.to_factors())
    again = redraw(json.loads(line), width=128, height=96)
    assert np.array_equal(again, draw_clip(clip.scene))
    assert redraw(json.loads(line), width=320, height=240).shape[1:] == (240, 320, 3)


def test_a_line_of_another_world_is_refused() -> None:
    with pytest.raises(ValueError, match="mars"):
        redraw({"world": "mars"}, width=128, height=96)


def test_a_failed_write_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "clip.webm"
    path.mkdir()  # a file cannot take its place
    with pytest.raises(OSError, match=r"clip\.webm"):
        write_webm(path, np.zeros((2, 96, 128, 3), np.uint8))
    assert list(tmp_path.iterdir()) == [path]
