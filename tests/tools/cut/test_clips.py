from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from taskgrain.data.decode import decode_clip
from taskgrain.data.inspect import inspect_clip
from taskgrain.errors import ManifestError
from taskgrain.tools.cut.clips import (
    NOISE_LEVELS,
    TASKS,
    TaskName,
    read_groups,
    write_pair,
)
from tests.making import moving_square

NAMES = sorted(TASKS)


def numbered(num_frames: int) -> NDArray[np.uint8]:
    """Frames that say which they are: every pixel of frame t is 40 + t."""
    frames = np.empty((num_frames, 16, 24, 3), np.uint8)
    frames[:] = np.arange(40, 40 + num_frames)[:, None, None, None]
    return frames


def numbers(frames: NDArray[np.uint8]) -> list[int]:
    return [int(frame[0, 0, 0]) - 40 for frame in frames]


def sides(name: TaskName, num_frames: int, seed: int = 0) -> tuple[NDArray[np.uint8], ...]:
    task = TASKS[name]
    return task.make(numbered(num_frames * task.stretch), np.random.default_rng(seed))


@pytest.mark.parametrize("name", NAMES)
def test_both_sides_have_as_many_frames_of_one_size(name: TaskName) -> None:
    for num_frames in (6, 7, 24):
        first, second = sides(name, num_frames)
        assert first.shape == second.shape == (num_frames, 16, 24, 3)
        assert first.dtype == second.dtype == np.uint8


@pytest.mark.parametrize("name", NAMES)
def test_sides_are_drawn_from_the_generator_alone(name: TaskName) -> None:
    for one, other in zip(sides(name, 12, seed=5), sides(name, 12, seed=5), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_is_called_after_its_sides(name: TaskName) -> None:
    assert "-or-".join(TASKS[name].sides) == name


def test_reversed_is_forward_backwards() -> None:
    forward, reversed_ = sides("forward-or-reversed", 9)
    assert numbers(forward) == list(range(9))
    assert numbers(reversed_) == list(range(8, -1, -1))


def test_double_speed_shows_twice_as_long_about_the_same_moment() -> None:
    normal, double = sides("normal-or-double-speed", 8)
    assert numbers(normal) == list(range(4, 12))
    assert numbers(double) == list(range(0, 16, 2))
    assert abs(np.mean(numbers(normal)) - np.mean(numbers(double))) <= 0.5


@given(num_frames=st.integers(6, 40), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_shuffled_has_the_same_frames_and_the_same_ends(num_frames: int, seed: int) -> None:
    ordered, shuffled = (numbers(side) for side in sides("ordered-or-shuffled", num_frames, seed))
    assert ordered == sorted(shuffled) == list(range(num_frames))
    stayed = [place for place, number in enumerate(shuffled) if place == number]
    assert stayed == [0, num_frames - 1]


def test_frozen_is_any_frame_of_the_window_under_the_noise_that_real_has() -> None:
    footage = numbered(12)
    chosen = set()
    for seed in range(30):
        real, frozen = (side.astype(int) for side in sides("real-or-frozen", 12, seed))
        noise = real - footage
        still = frozen - noise
        assert len(np.unique(still)) == 1
        chosen.add(int(still[0, 0, 0, 0]) - 40)
    assert len(chosen) > 6
    assert noise.std() == pytest.approx(NOISE_LEVELS, rel=0.05)
    assert (noise[1:] != noise[:-1]).any(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(noise[..., 0], noise[..., 2])


def test_noise_stays_within_what_a_pixel_can_hold() -> None:
    for value in (0, 255):
        footage = np.full((6, 8, 8, 3), value, np.uint8)
        real, frozen = TASKS["real-or-frozen"].make(footage, np.random.default_rng(0))
        np.testing.assert_array_equal(real, frozen)
        assert np.abs(real.astype(int) - value).max() < 8 * NOISE_LEVELS


Video = NDArray[np.uint8]


def textured(num_frames: int) -> Video:
    """Noise that drifts: as hard to predict as footage."""
    ground = np.random.default_rng(0).integers(0, 256, (48, 96, 3), np.uint8)
    return np.stack([ground[:, 2 * t : 2 * t + 48] for t in range(num_frames)])


def written(folder: Path, first: Video, second: Video) -> tuple[Path, Path]:
    paths = folder / "one side.webm", folder / "other side.webm"
    write_pair(paths, (first, second))
    return paths


def decoded(path: Path) -> Video:
    clip = decode_clip(path, height=48, width=48)
    assert not clip.truncated
    return clip.frames


def test_a_frame_decodes_to_the_same_pixels_wherever_it_stands(tmp_path: Path) -> None:
    video = textured(20)
    order = np.random.default_rng(1).permutation(20)
    first, second = (decoded(path) for path in written(tmp_path, video, video[order]))
    np.testing.assert_array_equal(first[order], second)
    assert len(np.unique(first.reshape(20, -1), axis=0)) == 20


def test_a_frame_that_is_repeated_stays_the_same(tmp_path: Path) -> None:
    video = textured(10)
    still = np.broadcast_to(video[4], video.shape)
    real, frozen = (decoded(path) for path in written(tmp_path, video, still))
    np.testing.assert_array_equal(frozen, np.broadcast_to(real[4], frozen.shape))


def test_both_files_have_as_many_bytes_and_frames(tmp_path: Path) -> None:
    busy, calm = textured(12), np.full((12, 48, 48, 3), 90, np.uint8)
    first, second = written(tmp_path, busy, calm)
    assert first.stat().st_size == second.stat().st_size
    for path in (first, second):
        facts = inspect_clip(path)
        assert (facts.num_frames, facts.seconds, facts.truncated) == (12, 1.0, False)
    with av.open(str(second)) as container:  # filled up, and still a file that opens anywhere
        assert sum(1 for _ in container.decode(video=0)) == 12


def test_equal_frames_give_equal_bytes(tmp_path: Path) -> None:
    video = moving_square(8)
    once = [path.read_bytes() for path in written(tmp_path / "1", video, video[::-1])]
    again = [path.read_bytes() for path in written(tmp_path / "2", video, video[::-1])]
    assert once == again
    assert once[0] != once[1]


@pytest.mark.parametrize(
    ("first", "second"),
    [((4, 16, 16, 3), (5, 16, 16, 3)), ((4, 15, 16, 3), (4, 15, 16, 3)), ((16, 16, 3),) * 2],
)
def test_videos_of_other_shapes_are_refused(
    first: tuple[int, ...], second: tuple[int, ...], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="expected"):
        written(tmp_path, np.zeros(first, np.uint8), np.zeros(second, np.uint8))
    assert list(tmp_path.iterdir()) == []


FILES = ["a.mp4", "in a folder/b.mp4", "c, d.mp4"]


@pytest.mark.parametrize("head", ["", "file,group\n", "\ufefffile,group\r\n"])
def test_groups_are_read_with_and_without_a_header(head: str, tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    text = head + 'a.mp4,left\n\n in a folder/b.mp4 , left\n"c, d.mp4",right\na.mp4,left\n'
    path.write_text(text, encoding="utf-8", newline="")
    assert read_groups(path, FILES) == {
        "a.mp4": "left",
        "in a folder/b.mp4": "left",
        "c, d.mp4": "right",
    }


def test_groups_are_read_as_every_other_table_is(tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    path.write_text('"file";"group"\na.mp4;left\nc, d.mp4;right\n', encoding="utf-16")
    assert read_groups(path, FILES) == {"a.mp4": "left", "c, d.mp4": "right"}
    path.write_text('file,group\n"a.mp4,left\n', encoding="utf-8")
    with pytest.raises(ManifestError, match=r"groups\.csv:2: not CSV: unexpected end of data"):
        read_groups(path, FILES)


def test_every_line_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    path.write_text("a.mp4,left\na.mp5,left\na.mp4,right\nb\na.mp4,\n", encoding="utf-8")
    with pytest.raises(ManifestError) as refused:
        read_groups(path, FILES)
    assert str(refused.value).splitlines() == [
        f"{path}:2: no file 'a.mp5'; did you mean 'a.mp4'?",
        f"{path}:3: 'a.mp4' is in group 'left' already",
        f"{path}:4: 'b'; expected file,group",
        f"{path}:5: 'a.mp4,'; expected file,group",
    ]


def test_a_file_of_groups_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_bytes(b"\xff\xfe\x00")
    for name in ("groups.csv", "nowhere.csv"):
        with pytest.raises(ManifestError, match=name.replace(".", r"\.")):
            read_groups(tmp_path / name, FILES)
