from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from taskgrain.data.decode import decode_clip
from taskgrain.data.manifest import Split
from taskgrain.errors import ClipError, StoppedError
from taskgrain.tools.cut.footage import (
    Choice,
    FilePlan,
    Footage,
    Look,
    Windowing,
    cut_windows,
    find_footage,
    look_at,
    plan_files,
)
from tests.making import moving_square, write_video

WINDOW = Windowing(num_frames=8, height=24, width=32, needs_new_frames=False)


def look(path: Path, windowing: Windowing = WINDOW) -> Look:
    return look_at(path, windowing, lambda share: None)


def whole(path: Path, windowing: Windowing = WINDOW) -> NDArray[np.uint8]:
    height, width = windowing.height, windowing.width
    return decode_clip(path, height=height, width=width, fit="crop").frames


def cut(path: Path, starts: tuple[int, ...]) -> dict[int, NDArray[np.uint8]]:
    return {start: frames.copy() for start, frames in cut_windows(path, starts, WINDOW)}


def test_footage_is_found_at_any_depth_by_name(tmp_path: Path) -> None:
    for name in ("b.webm", "a/c.MP4", "a/b/d.ts", "é ü/x.mov", ".hidden/e.mp4", ".f.mp4", "g.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"123")
    (tmp_path / "folder.mp4").mkdir()
    found = find_footage(tmp_path)
    assert [each.name for each in found] == ["a/b/d.ts", "a/c.MP4", "b.webm", "é ü/x.mov"]
    assert [each.num_bytes for each in found] == [3] * 4
    assert found[0].path == tmp_path / "a" / "b" / "d.ts"


def test_a_folder_without_footage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match=r"holds no video; expected files called \*\.webm"):
        find_footage(tmp_path)
    with pytest.raises(ClipError, match="no such folder"):
        find_footage(tmp_path / "nowhere")


@pytest.mark.parametrize("rate", [5, 12, 25, 30])
def test_windows_are_those_of_the_clip_decoded_whole(rate: int, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving_square(3 * rate, size=48), rate=rate)
    frames = whole(path)
    seen = look(path)
    assert seen.num_frames == len(frames) == 36
    assert (seen.truncated, seen.problem) == (False, None)
    assert seen.starts == (0, 8, 16, 24)  # what is left at the end is no window
    found = cut(path, seen.starts)
    assert list(found) == [0, 8, 16, 24]
    for start, window in found.items():
        np.testing.assert_array_equal(window, frames[start : start + 8])
    assert list(cut(path, (16,))) == [16]


def test_windows_in_which_nothing_moves_are_passed_over(tmp_path: Path) -> None:
    moving = moving_square(16, size=48)
    noise = np.random.default_rng(0).integers(-3, 4, (24, 48, 48, 1))
    still = np.clip(moving[15] + noise, 0, 255).astype(np.uint8)
    path = write_video(tmp_path / "a.webm", np.concatenate([moving, still]))
    seen = look(path)
    assert seen.starts == (0, 8)
    assert seen.num_still == 3


def test_frames_that_are_shown_twice_count_where_new_ones_are_needed(tmp_path: Path) -> None:
    path = write_video(tmp_path / "slow.mp4", moving_square(30, size=48), rate=10)
    assert look(path).num_repeating == 0
    seen = look(path, Windowing(8, 24, 32, needs_new_frames=True))
    assert seen.starts == ()
    assert seen.num_repeating == 4
    path = write_video(tmp_path / "fast.mp4", moving_square(36, size=48), rate=12)
    assert look(path, Windowing(8, 24, 32, needs_new_frames=True)).starts == (0, 8, 16, 24)


def test_a_truncated_file_is_used_as_far_as_it_goes(tmp_path: Path) -> None:
    ground = np.random.default_rng(0).integers(0, 256, (48, 128, 3), np.uint8)
    video = np.stack([ground[:, t : t + 48] for t in range(48)])
    path = write_video(tmp_path / "a.webm", video)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    seen, clip = look(path), decode_clip(path, height=24, width=32, fit="crop")
    assert clip.truncated
    assert (seen.truncated, seen.problem) == (True, clip.problem)
    assert seen.num_frames == len(clip.frames) < 48
    for start, window in cut(path, seen.starts).items():
        np.testing.assert_array_equal(window, clip.frames[start : start + 8])


def test_a_file_that_is_no_video_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"ffconcat version 1.0\nfile b.mp4\n")
    write_video(tmp_path / "b.mp4", moving_square(24))
    with pytest.raises(ClipError, match=r"a\.mp4: not a video"):
        look(path)


def test_a_file_that_became_shorter_is_named(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.webm", moving_square(20))
    with pytest.raises(ClipError, match=r"a\.webm: ends before 2\.7 s"):
        cut(path, (0, 24))


def test_looking_can_be_stopped(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving_square(60, size=16), rate=2)
    told = []

    def tell(share: float) -> None:
        told.append(share)
        raise StoppedError

    with pytest.raises(StoppedError):
        look_at(path, WINDOW, tell)
    assert told == [pytest.approx(240 / 360, rel=0.05)]


@pytest.mark.slow
def test_an_hour_takes_the_memory_of_a_window(tmp_path: Path) -> None:
    blocks = np.random.default_rng(0).integers(0, 256, (3600, 4, 4, 3), np.uint8)
    video = blocks.repeat(4, axis=1).repeat(4, axis=2)
    path = write_video(tmp_path / "hour.mp4", video, rate=1)
    large = Windowing(24, 96, 128, needs_new_frames=False)
    tracemalloc.start()
    seen = look(path, large)
    windows = sum(1 for _ in cut_windows(path, seen.starts, large))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen.num_frames == 43_200
    assert windows == len(seen.starts) > 1000
    assert peak < 10e6  # all frames would be 1.6 GB


@pytest.mark.slow
def test_real_footage_is_cut_as_it_is_decoded(media: Path) -> None:
    cut_files = 0
    for file in find_footage(media):
        try:
            seen = look(file.path)
        except ClipError:
            with pytest.raises(ClipError):
                whole(file.path)
            continue
        frames = whole(file.path)
        assert seen.num_frames == len(frames), file.name
        for start, window in cut(file.path, seen.starts).items():
            np.testing.assert_array_equal(window, frames[start : start + 8], file.name)
            cut_files += start == seen.starts[0]
    assert cut_files > 8


CHOICE = Choice(most=4, seed=0, window_frames=24)


def file(name: str) -> Footage:
    return Footage(Path("videos") / name, name, 1000)


def seen(sha: str, *starts: int, frames: int = 240, still: int = 0, repeating: int = 0) -> Look:
    return Look(sha, frames, starts, still, repeating, truncated=False, problem=None)


def planned(
    looks: dict[str, Look | str],
    choice: Choice = CHOICE,
    groups: dict[str, str] | None = None,
) -> dict[str, FilePlan]:
    plans = plan_files([file(name) for name in looks], list(looks.values()), choice, groups or {})
    assert [plan.footage.name for plan in plans] == list(looks)
    return {plan.footage.name: plan for plan in plans}


def many(count: int, windows: int = 6) -> dict[str, Look | str]:
    return {f"{n}.mp4": seen(str(n), *range(0, 24 * windows, 24)) for n in range(count)}


def test_files_are_split_into_halves_with_as_many_windows() -> None:
    plans = planned(many(10))
    splits = [plan.split for plan in plans.values()]
    assert splits.count(Split.TRAIN) == splits.count(Split.VALIDATION) == 5
    lengths = {f"{n}.mp4": seen(str(n), *range(0, 24 * 2**n, 24)) for n in range(5)}
    plans = planned(dict(lengths), Choice(most=100, seed=0, window_frames=24))
    held = dict.fromkeys((Split.TRAIN, Split.VALIDATION), 0)
    for plan in plans.values():
        assert plan.split is not None
        held[plan.split] += len(plan.starts)
    assert sorted(held.values()) == [15, 16]


def test_windows_are_drawn_by_the_seed_up_to_the_most_of_a_file() -> None:
    plans = planned(many(10, windows=20))
    for plan in plans.values():
        assert len(plan.starts) == 4
        assert plan.starts == tuple(sorted(plan.starts))
        assert set(plan.starts) <= set(range(0, 480, 24))
        assert plan.num_usable == 20
    assert len({plan.starts for plan in plans.values()}) > 5
    assert planned(many(10, windows=20)) == plans
    others = planned(many(10, windows=20), Choice(most=4, seed=1, window_frames=24))
    assert {name: plan.starts for name, plan in others.items()} != {
        name: plan.starts for name, plan in plans.items()
    }
    assert {name: plan.split for name, plan in others.items()} != {
        name: plan.split for name, plan in plans.items()
    }


def test_windows_of_a_file_do_not_depend_on_the_other_files() -> None:
    few, more = planned(many(3, windows=20)), planned(many(9, windows=20))
    assert all(few[name].starts == more[name].starts for name in few)


def test_files_of_one_recording_lie_on_one_side() -> None:
    groups = {f"{n}.mp4": f"camera {n % 3}" for n in range(9)}
    plans = planned(many(12), groups=groups)
    for camera in range(3):
        assert len({plans[f"{n}.mp4"].split for n in range(camera, 9, 3)}) == 1
    assert {plan.split for plan in plans.values()} == {Split.TRAIN, Split.VALIDATION}


def test_the_same_bytes_are_used_once() -> None:
    looks: dict[str, Look | str] = {
        "a.mp4": seen("x", 0, 24),
        "b.mp4": seen("y", 0),
        "copy of a.mp4": seen("x", 0, 24),
    }
    plans = planned(looks)
    assert plans["copy of a.mp4"].starts == ()
    assert plans["copy of a.mp4"].split is None
    assert plans["copy of a.mp4"].problem == "the same bytes as a.mp4"
    del looks["b.mp4"]
    with pytest.raises(ClipError, match="from 1 recording;"):
        planned(looks)


def test_footage_that_cannot_be_used_says_why() -> None:
    looks: dict[str, Look | str] = {
        "broken.mp4": "no frame could be decoded",
        "short.mp4": seen("sha 1", frames=18),
        "still.mp4": seen("sha 2", still=10),
        "slow.mp4": seen("sha 3", still=2, repeating=8),
    }
    with pytest.raises(ClipError) as refused:
        planned(looks)
    assert str(refused.value).splitlines() == [
        "clips can be cut from no recording; expected two or more, as the clips to fit on and "
        "those to score come from different ones: add footage, or ask for shorter clips",
        "broken.mp4: no frame could be decoded",
        "short.mp4: 1.50 s; a window takes 2.00 s of footage",
        "still.mp4: nothing moves in it",
        "slow.mp4: fewer than 12 new frames a second; double speed would show by their repetition",
    ]
    plans = planned(looks | many(2))
    assert plans["broken.mp4"].state == "failed"
    assert plans["broken.mp4"].to_json() == {
        "file": "broken.mp4",
        "state": "failed",
        "split": None,
        "windows": 0,
        "usable": 0,
        "still": 0,
        "repeating": 0,
        "seconds": 0.0,
        "bytes": 1000,
        "problem": "no frame could be decoded",
    }


def test_two_files_of_one_recording_are_too_few() -> None:
    groups = {"0.mp4": "camera", "1.mp4": "camera"}
    with pytest.raises(ClipError, match="from 1 recording; expected two or more"):
        planned(many(2), groups=groups)
    assert planned(many(3), groups=groups)["2.mp4"].split is Split.VALIDATION
