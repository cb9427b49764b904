from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from taskgrain.data.decode import decode_sizes
from taskgrain.errors import ManifestError
from taskgrain.randomness import Draws
from taskgrain.tabletop.draw import render
from taskgrain.tabletop.scene import CATEGORIES, Scene, sample_scene
from taskgrain.teaching.lesson import ALONE, Lesson, link_near_duplicates, read_lesson
from taskgrain.teaching.near_duplicates import (
    ALIKE,
    SIGNATURE_FRAMING,
    Signature,
    difference,
    near_duplicates,
    signature_of,
)
from tests.making import moving_square, row, write_annotations, write_video


def clip(path: Path, number: int = 0) -> Path:
    """Write a small video; other numbers give other files."""
    return write_video(path, moving_square(8 + number))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two actions of two clips each, in a folder with a space in its name."""
    for number, name in enumerate(
        ("jump/a.mp4", "jump/b.webm", "wave hand/a.avi", "wave hand/c.mp4")
    ):
        clip(tmp_path / "my clips" / name, number)
    return tmp_path / "my clips"


def ids(lesson: Lesson) -> dict[str, str | None]:
    return {each.clip_id: each.label for each in lesson.clips}


def of(lesson: Lesson) -> dict[str, str]:
    return {each.clip_id: each.recording for each in lesson.clips}


def test_a_folder_for_each_action_is_a_lesson(folder: Path) -> None:
    lesson = read_lesson(folder)
    assert ids(lesson) == {
        "jump/a": "jump",
        "jump/b": "jump",
        "wave hand/a": "wave hand",
        "wave hand/c": "wave hand",
    }
    assert [each.clip_id for each in lesson.clips] == sorted(ids(lesson))
    assert lesson.clips[1].path == folder / "jump" / "b.webm"
    assert lesson.classes == ("jump", "wave hand")
    assert lesson.linked_by == {}
    assert lesson.notes == (ALONE,)  # none of a validation split, which no lesson needs
    assert len(set(of(lesson).values())) == 4


def test_what_lies_below_an_action_is_of_it_and_its_folders_are_recordings(folder: Path) -> None:
    for number, name in enumerate(("jump/ann/d/e.mp4", "wave hand/ann/e.mp4", "jump/clips/f.mp4")):
        clip(folder / name, 10 + number)
    lesson = read_lesson(folder)
    assert ids(lesson)["jump/ann/d/e"] == "jump"
    assert of(lesson)["jump/ann/d/e"] == of(lesson)["wave hand/ann/e"] == "ann"
    assert of(lesson)["jump/clips/f"] == "jump/clips/f"  # called after a modality, not a recording
    assert lesson.linked_by == {"folder": 2}
    assert lesson.notes[-1] == "7 clips are of 6 recordings; linked are 2 by their folders"


def test_folders_of_frames_are_clips(folder: Path) -> None:
    frames = folder / "jump" / "frames of d"
    frames.mkdir()
    for number, image in enumerate(moving_square(4)):
        cv2.imwrite(str(frames / f"{number:03}.jpg"), image)
    lesson = read_lesson(folder)
    assert ids(lesson)["jump/frames of d"] == "jump"
    assert of(lesson)["jump/frames of d"] == "jump/frames of d"


def test_a_dataset_is_a_lesson_of_all_its_splits(tiny_dataset: Path) -> None:
    lesson = read_lesson(tiny_dataset)
    assert [each.clip_id for each in lesson.clips] == [f"videos/{n}" for n in range(8)]
    assert lesson.classes == tuple(sorted({str(each.label) for each in lesson.clips}))
    (tiny_dataset / "ledger.jsonl").write_text(
        '{"clip": "3", "state": "excluded", "problem": "shows a face"}\n'
    )
    lesson = read_lesson(tiny_dataset)
    assert len(lesson.clips) == 7
    assert "1 clips are excluded by ledger.jsonl and are left out (3)" in lesson.notes


def test_labelled_clips_of_a_test_split_are_taken(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "validation", "test")):
        for action in ("jump", "wave"):
            clip(
                tmp_path / split / action / f"{split}{number}.mp4", 2 * number + (action == "wave")
            )
    lesson = read_lesson(tmp_path)
    assert len(lesson.clips) == 6
    assert lesson.classes == ("jump", "wave")


def test_a_list_names_the_actions(tmp_path: Path) -> None:
    for number in range(4):
        clip(tmp_path / "videos" / f"{number}.mp4", number)
    rows = [f"videos/{n}.mp4,{('jump', 'wave')[n % 2]},train" for n in range(4)]
    (tmp_path / "all.csv").write_text("\n".join(["path,label,split", *rows]))
    assert ids(read_lesson(tmp_path)) == {f"videos/{n}": ("jump", "wave")[n % 2] for n in range(4)}


def test_clips_of_none_have_no_label_and_an_id_of_their_own(folder: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("a.mp4", "kitchen/b.mp4", "kitchen/c.mp4")):
        clip(tmp_path / "others" / name, 20 + number)
    lesson = read_lesson(folder, none=tmp_path / "others")
    assert {name for name, label in ids(lesson).items() if label is None} == {
        "none/a",
        "none/kitchen/b",
        "none/kitchen/c",
    }
    assert lesson.classes == ("jump", "wave hand")
    assert of(lesson)["none/kitchen/b"] == of(lesson)["none/kitchen/c"] == "kitchen"
    assert [each.clip_id for each in lesson.clips] == sorted(ids(lesson))


def test_the_folder_of_none_may_lie_beside_those_of_the_actions(folder: Path) -> None:
    clip(folder / "None" / "x.mp4", 9)
    with pytest.raises(ManifestError, match="an action is called 'None', which stands for"):
        read_lesson(folder)
    lesson = read_lesson(folder, none=folder / "None")
    assert ids(lesson)["none/x"] is None
    assert lesson.classes == ("jump", "wave hand")


def test_a_table_of_recordings_may_lie_in_the_folder(folder: Path) -> None:
    (folder / "recordings.csv").write_text(
        "clip,recording\njump/a.mp4,monday\nwave hand/a,monday\nwave hand/c,tuesday\n"
    )
    lesson = read_lesson(folder, recordings=folder / "recordings.csv")
    assert of(lesson) == {
        "jump/a": "monday",
        "jump/b": "jump/b",
        "wave hand/a": "monday",
        "wave hand/c": "tuesday",
    }
    assert lesson.linked_by == {"declared": 2}
    assert lesson.declared == {"jump/a", "wave hand/a", "wave hand/c"}


def test_equal_files_of_one_action_are_one_recording(folder: Path) -> None:
    shutil.copy(folder / "jump" / "a.mp4", folder / "jump" / "again.mp4")
    os.link(folder / "wave hand" / "c.mp4", folder / "wave hand" / "linked.mp4")
    lesson = read_lesson(folder)
    assert lesson.linked_by == {"equal files": 4}
    assert of(lesson)["jump/again"] == of(lesson)["jump/a"]
    assert of(lesson)["wave hand/linked"] == of(lesson)["wave hand/c"]


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda root: shutil.rmtree(root), r"my clips: no such folder; expected a folder with"),
        (
            lambda root: root.rename(root.parent / "x") and root.write_text(""),
            "is a file, not a folder",
        ),
        (lambda root: shutil.rmtree(root / "jump"), r"one folder alone holds clips \(wave hand\)"),
        (lambda root: (root / "jump" / "a.mp4").unlink(), "action 'jump' has one clip; expected"),
        (lambda root: (root / "jump").rename(root / "NONE"), "an action is called 'NONE', which"),
        (
            lambda root: shutil.copy(root / "jump" / "a.mp4", root / "wave hand" / "x.mp4"),
            r"a\.mp4 and .*x\.mp4 are equal files, but one shows 'jump', the other 'wave hand'",
        ),
        (lambda root: clip(root / "jump" / "a.webm"), r"clip 'jump/a' are jump/a\.mp4 and jump/a"),
        (
            lambda root: [each.unlink() for each in root.glob("*/*")],
            "expected one folder per action|has none of the other layouts",
        ),
    ],
)
def test_a_lesson_of_which_nothing_can_be_learned_is_refused(
    folder: Path, spoil: object, found: str
) -> None:
    assert callable(spoil)
    spoil(folder)
    with pytest.raises(ManifestError, match=found):
        read_lesson(folder)


def test_a_class_without_a_name_is_refused_by_line(tmp_path: Path) -> None:
    rows: list[object] = [
        row(str(n), "waving") | {"template": ("[]", "waving")[n % 2]} for n in range(4)
    ]
    write_annotations(tmp_path, rows[:2], rows[2:])
    with pytest.raises(ManifestError, match=r'train\.json:\d: template "\[\]" names no category'):
        read_lesson(tmp_path)


def test_clips_of_none_that_cannot_be_used_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="others: no such folder; expected a folder of videos"):
        read_lesson(folder, none=tmp_path / "others")
    (tmp_path / "others").mkdir()
    with pytest.raises(ManifestError, match="others: holds no video"):
        read_lesson(folder, none=tmp_path / "others")
    shutil.copy(folder / "jump" / "a.mp4", tmp_path / "others" / "x.mp4")
    with pytest.raises(ManifestError, match="the other none of the actions; remove one of them"):
        read_lesson(folder, none=tmp_path / "others")


def test_a_file_that_is_no_video_is_no_error_of_the_lesson(folder: Path) -> None:
    (folder / "jump" / "broken.mp4").write_bytes(b"no video")
    (folder / "jump" / "empty.mp4").touch()
    (folder / "jump" / "list.mp4").write_text("ffconcat version 1.0\nfile a.mp4\n")
    (folder / "jump" / "20240131_104532.mp4").symlink_to("nowhere.mp4")
    os.mkfifo(folder / "jump" / "pipe.mp4")
    assert len(read_lesson(folder).clips) == 9


def test_odd_names_are_read_and_written_out(folder: Path) -> None:
    odd = (b"d\xff_part1.mp4", b"e'\"<b>_part1.mp4", "f ü\\n_part1.mp4".encode(), b"\ng_part1.mp4")
    for number, name in enumerate(odd):
        path = Path(os.fsdecode(os.fsencode(folder) + b"/jump/" + name))
        shutil.copy(clip(folder / "t.mp4", 30 + number), path)
    (folder / "t.mp4").unlink()
    lesson = read_lesson(folder)
    assert len(lesson.clips) == 8
    for each in lesson.clips:
        assert f"{each.clip_id} {each.recording}".encode()  # can be written as UTF-8
        assert each.path.is_file()


def filmed(scene: Scene) -> NDArray[np.uint8]:
    return render(scene, width=128, height=96)


def signature(path: Path, frames: NDArray[np.uint8]) -> Signature:
    write_video(path, frames)
    return signature_of(decode_sizes(path, [SIGNATURE_FRAMING])[0].frames)


def test_a_signature_is_the_grey_grid_of_each_frame() -> None:
    frames = np.zeros((800, 56, 56, 3), np.uint8)
    frames[:, :28] = 200
    found = signature_of(frames)
    assert found.shape == (720, 12, 12)
    assert found.dtype == np.uint8
    assert (found[:, :6] == 200).all()
    assert not found[:, 6:].any()


def noise(seed: int) -> Signature:
    return np.random.default_rng(seed).integers(0, 256, (30, 12, 12)).astype(np.uint8)


def test_the_difference_is_of_what_changes_at_the_best_place() -> None:
    long = noise(0)
    assert difference(long, long) < 1e-6
    assert difference(long[4:], long) == difference(long, long[4:]) < 1e-6
    for one, other in ((long[6:], long[:24]), (long[:24], long[6:])):
        assert difference(one, other) < 1e-6  # three quarters in common
    assert difference(long[9:], long[:20]) > 0.5  # half in common
    assert difference(long // 4, long // 4 + 100) < 1e-6  # what stands still plays no part
    assert difference(long, noise(1)) > 0.8
    quiet = (noise(2) > 250).astype(np.uint8)
    assert difference(quiet, quiet) > 0.8  # noise below a grey level is unlike noise


def test_clips_in_which_nothing_moves_are_compared_by_what_stands_there() -> None:
    room = np.repeat(noise(3)[:1], 20, axis=0)
    held = {"room": room, "again": room[5:], "lit": room // 2, "short": room[:5]}
    assert list(near_duplicates(held)) == [("room", "again")]


def test_copies_are_near_duplicates_and_other_takes_of_the_scene_are_not(tmp_path: Path) -> None:
    scene = sample_scene(CATEGORIES[9], Draws("lesson"))
    other = sample_scene(CATEGORIES[9], Draws("another"))
    take = replace(scene, manner=replace(other.manner, direction=scene.manner.direction))
    frames = filmed(scene)
    cut = len(frames) // 6
    small = np.stack([cv2.resize(each, (80, 60), interpolation=cv2.INTER_AREA) for each in frames])
    held = {
        "whole": signature(tmp_path / "whole.webm", frames),
        "take": signature(tmp_path / "take.webm", filmed(take)),
        "begins later": signature(tmp_path / "later.mp4", frames[cut:]),
        "ends earlier": signature(tmp_path / "earlier.avi", frames[:-cut]),
        "half the size": signature(tmp_path / "small.mp4", small),
    }
    copies = {"whole", "begins later", "ends earlier", "half the size"}
    found = list(near_duplicates(held))
    assert {name for pair in found for name in pair} == copies  # so the take is in no pair
    assert difference(held["take"], held["whole"]) > 2 * ALIKE


def test_near_duplicates_are_linked_unless_a_table_names_their_recordings(folder: Path) -> None:
    rng = np.random.default_rng(0)
    one = rng.integers(0, 256, (20, 12, 12)).astype(np.uint8)
    far = rng.integers(0, 256, (20, 12, 12)).astype(np.uint8)
    same = {"jump/a": one, "jump/b": one[2:], "wave hand/a": far, "wave hand/c": far}
    lesson = read_lesson(folder)
    assert lesson.notes == (ALONE,)
    linked = link_near_duplicates(lesson, same)
    assert of(linked) == {
        **dict.fromkeys(("jump/a", "jump/b"), "jump/a"),
        **dict.fromkeys(("wave hand/a", "wave hand/c"), "wave hand/a"),
    }
    assert linked.linked_by == {"near-duplicate": 4}
    assert linked.notes == ("4 clips are of 2 recordings; linked are 4 by what they show",)
    assert link_near_duplicates(lesson, {}) == lesson
    table = folder.parent / "r.csv"
    table.write_text("clip,recording\njump/a,monday\njump/b,tuesday\n")
    declared = link_near_duplicates(read_lesson(folder, recordings=table), same)
    assert of(declared)["jump/a"] == "monday"
    assert of(declared)["jump/b"] == "tuesday"
    assert declared.linked_by == {"near-duplicate": 2}
    assert declared.notes[0] == (
        "jump/a and jump/b show the same footage, but their recordings are monday and tuesday"
    )


def test_the_same_footage_under_two_actions_is_noted(folder: Path) -> None:
    one = np.random.default_rng(0).integers(0, 256, (20, 12, 12)).astype(np.uint8)
    linked = link_near_duplicates(read_lesson(folder), {"jump/a": one, "wave hand/c": one})
    assert linked.notes[0] == (
        "jump/a and wave hand/c show the same footage, but one shows 'jump', the other 'wave hand'"
    )
    assert of(linked)["jump/a"] == of(linked)["wave hand/c"]
