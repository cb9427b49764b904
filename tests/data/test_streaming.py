from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from taskgrain.data.decode import decode_clip
from taskgrain.data.sampling import FrameSampling, see
from taskgrain.data.streaming import SlidingWindows, WindowStream, expected_windows
from taskgrain.errors import ClipError
from tests.making import moving_square, write_video

WINDOWS = SlidingWindows(12, 5)
SPREAD = FrameSampling(4, 24, 32, 20, 28, fit="crop")
STRIDED = FrameSampling(5, 36, 36, 36, 36, stride=2)
BOTH = (SPREAD, STRIDED)


def assert_each_window_is_seen_as_a_clip(path: Path, num_frames: int) -> None:
    stream = WindowStream(path, WINDOWS, BOTH)
    found = list(stream)
    assert len(found) == WINDOWS.count(num_frames) > 1
    assert (stream.num_frames, stream.problem) == (num_frames, None)
    for sampling in BOTH:
        size = sampling.framing
        frames = decode_clip(path, height=size.height, width=size.width, fit=size.fit).frames
        assert len(frames) == num_frames
        for number, shown in enumerate(found):
            clip = frames[5 * number : 5 * number + 12]
            np.testing.assert_array_equal(shown[sampling], see(clip, sampling))


@pytest.mark.parametrize("rate", [5, 12, 30])
def test_each_window_is_seen_as_a_clip_of_its_frames(rate: int, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving_square(3 * rate, size=48), rate=rate)
    assert_each_window_is_seen_as_a_clip(path, 36)
    assert expected_windows(path, WINDOWS) == 5


def test_a_frame_that_stays_for_seconds_lies_in_many_windows(tmp_path: Path) -> None:
    path = write_video(tmp_path / "slow.mp4", moving_square(2, size=48), rate=1)
    found = list(WindowStream(path, SlidingWindows(4, 1), [SPREAD]))
    assert len(found) == 24 - 3
    same = [np.array_equal(each[SPREAD], found[0][SPREAD]) for each in found]
    assert same[:2] == [True, True]
    assert not any(same[12:])


def test_a_folder_of_frames_is_a_video_too(tmp_path: Path) -> None:
    for number, frame in enumerate(moving_square(30, size=48)):
        Image.fromarray(frame).save(tmp_path / f"{number:03}.png")
    assert_each_window_is_seen_as_a_clip(tmp_path, 30)
    assert expected_windows(tmp_path, WINDOWS) == 4


def test_a_video_shorter_than_a_window_is_one_window(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.webm", moving_square(7, size=48))
    (shown,) = WindowStream(path, WINDOWS, BOTH)
    frames = decode_clip(path, height=36, width=36).frames
    np.testing.assert_array_equal(shown[STRIDED], see(frames, STRIDED))


@pytest.mark.parametrize(("num_frames", "count"), [(0, 0), (1, 1), (12, 1), (16, 1), (17, 2)])
def test_windows_are_counted(num_frames: int, count: int) -> None:
    assert WINDOWS.count(num_frames) == count


@pytest.mark.parametrize(("num_frames", "step"), [(0, 0), (4, 0), (4, 5)])
def test_windows_that_leave_gaps_are_refused(num_frames: int, step: int) -> None:
    with pytest.raises(ValueError, match="expected a step of 1 or more, and of at most"):
        SlidingWindows(num_frames, step)


def test_a_truncated_video_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    ground = np.random.default_rng(0).integers(0, 256, (48, 128, 3), np.uint8)
    video = np.stack([ground[:, t : t + 48] for t in range(48)])
    path = write_video(tmp_path / "a.webm", video)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    clip = decode_clip(path, height=36, width=36)
    stream = WindowStream(path, WINDOWS, [STRIDED])
    assert len(list(stream)) == WINDOWS.count(len(clip.frames))
    assert clip.problem is not None
    assert (stream.num_frames, stream.problem) == (len(clip.frames), clip.problem)


def test_a_file_that_is_no_video_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no video")
    with pytest.raises(ClipError, match=r"a\.mp4: not a video"):
        expected_windows(path, WINDOWS)
    with pytest.raises(ClipError, match=r"a\.mp4: not a video"):
        list(WindowStream(path, WINDOWS, BOTH))


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    large = FrameSampling(4, 96, 96, 96, 96)
    peaks = []
    for seconds in (10, 100):
        path = write_video(tmp_path / f"{seconds}.mp4", moving_square(seconds, size=32), rate=1)
        tracemalloc.start()
        num_windows = sum(1 for _ in WindowStream(path, SlidingWindows(24, 6), [large]))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert num_windows == 1 + (12 * seconds - 24) // 6
    assert peaks[1] < 1.1 * peaks[0] < 2.5e6  # 24 frames are .66 MB, those of 100 s 33 MB
