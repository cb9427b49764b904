from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from taskgrain.data.decode import decode_clip
from taskgrain.errors import ClipError, StoppedError
from taskgrain.prepare.self_labelled_footage import (
    Look,
    Windowing,
    cut_windows,
    find_footage,
    look_at,
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
