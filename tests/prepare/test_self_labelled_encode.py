from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from taskgrain.data.decode import decode_clip
from taskgrain.data.inspect import inspect_clip
from taskgrain.prepare.self_labelled_encode import write_pair
from tests.making import moving_square

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
