"""Features that nothing was learned for: what the task gives away without an encoder.

Shapes: B clips, T frames, H W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

PIXEL_FRAMES = 4  # spread over the clip, the first and the last among them
PIXEL_SIZE = 12  # pixels on a side
MOTION_BINS = 5  # equal parts of the clip's duration
MOTION_GRID = 8  # cells on a side
BRIGHTEST = 255.0


def raw_pixels(video: Tensor) -> Tensor:
    """Shrink four frames of each clip to 12 x 12 by averaging areas.

    Args:
        video: uint8 (B, T, H, W, 3), RGB, with T of at least 1.

    Returns:
        float32 (B, 4 * 3 * 12 * 12 = 1728) in [0, 1]; clips of less than four frames repeat some.
    """
    num_clips, num_frames = video.shape[:2]
    index = torch.linspace(0, num_frames - 1, PIXEL_FRAMES).round().long().to(video.device)
    frames = video[:, index].flatten(0, 1).permute(0, 3, 1, 2)  # (B*4, 3, H, W)
    small = F.adaptive_avg_pool2d(frames.float() / BRIGHTEST, PIXEL_SIZE)
    return small.reshape(num_clips, -1)


def motion_energy(video: Tensor) -> Tensor:
    """Average how much grey values change from frame to frame, on a grid in space and time.

    Args:
        video: uint8 (B, T, H, W, 3), RGB, with T of at least 2.

    Returns:
        float32 (B, 5 * 8 * 8 = 320) in [0, 1], five time bins of an 8 x 8 grid.

    Raises:
        ValueError: if a clip has a single frame: nothing moves in it.
    """
    if video.shape[1] < 2:
        raise ValueError(f"{video.shape[1]} frames; motion needs at least 2")
    grey = video.float().mean(dim=-1) / BRIGHTEST  # (B, T, H, W)
    change = grey.diff(dim=1).abs()  # (B, T-1, H, W)
    energy = F.adaptive_avg_pool3d(change, (MOTION_BINS, MOTION_GRID, MOTION_GRID))
    return energy.flatten(1)
