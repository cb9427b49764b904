from __future__ import annotations

import pytest
import torch
from torch import Tensor

from taskgrain.transfer.extract import motion_energy, raw_pixels


def noise(*shape: int) -> Tensor:
    return torch.randint(
        0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def test_pixels_of_a_clip_are_averages_of_areas_of_four_frames() -> None:
    video = noise(2, 10, 24, 36, 3)
    found = raw_pixels(video).reshape(2, 4, 3, 12, 12)
    assert found.dtype == torch.float32
    for place, frame in enumerate((0, 3, 6, 9)):
        area = video[1, frame, 2:4, 3:6, 2].float().mean() / 255
        assert found[1, place, 2, 1, 1] == pytest.approx(area.item(), abs=1e-6)


def test_pixels_are_fractions_and_short_clips_repeat_frames() -> None:
    white = torch.full((1, 2, 13, 17, 3), 255, dtype=torch.uint8)
    assert torch.equal(raw_pixels(white), torch.ones(1, 1728))
    assert raw_pixels(white * 0).sum() == 0


def test_a_still_clip_has_no_motion_energy() -> None:
    still = noise(1, 1, 32, 32, 3).expand(3, 9, 32, 32, 3)
    assert torch.equal(motion_energy(still), torch.zeros(3, 320))


def test_motion_energy_is_where_and_when_something_changes() -> None:
    video = torch.zeros(1, 11, 32, 32, 3, dtype=torch.uint8)  # 10 changes, 2 a bin
    video[:, 7:, 8:12, 20:24] = 255  # appears at change 6, in cell (2, 5), and stays
    energy = motion_energy(video).reshape(5, 8, 8)
    assert energy[3, 2, 5] == pytest.approx(0.5)  # one of the bin's two changes, from 0 to 1
    assert energy.sum() == pytest.approx(0.5)


def test_motion_energy_forgets_the_direction_of_time_inside_a_bin_only() -> None:
    video = noise(2, 11, 16, 16, 3)
    there = motion_energy(video).reshape(2, 5, 8, 8)
    back = motion_energy(video.flip(1)).reshape(2, 5, 8, 8)
    assert torch.allclose(there, back.flip(1), atol=1e-6)
    assert not torch.allclose(there, back, atol=1e-3)


def test_a_clip_does_not_change_with_its_neighbours_in_the_batch() -> None:
    video = noise(3, 6, 16, 16, 3)
    for read in (raw_pixels, motion_energy):
        assert torch.allclose(read(video)[1:2], read(video[1:2]), atol=1e-6)


def test_a_single_frame_has_no_motion_to_measure() -> None:
    with pytest.raises(ValueError, match="1 frames; motion needs at least 2"):
        motion_energy(noise(1, 1, 16, 16, 3))
