"""A 3D convolution whose weights get their gradient faster on processors without AVX-512.

oneDNN (3.12, in torch 2.13) has no kernel of its own there for the weight gradient of a 3D
convolution in channels-last layout, and falls back to one that unrolls every clip: a third of a
training step of the compact encoder. The same sums, rearranged:

    dW[:, :, k] = sum over clips and steps t of  conv2d_weight_gradient(x[t * s + k - p], dy[t])

for each of the K steps k of the kernel, with stride s and padding p in time: 2D convolutions, for
which there are kernels. Where the frames are small and have many planes, unrolling them for one
matrix product is faster still. Shapes: B clips, C planes in, D planes out, T H W, T' H' W' out.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

UNROLLED_FROM = 24  # planes in: from here on one product beats K convolutions (docs/log.md)
Triple = tuple[int, int, int]


class TemporalConv3d(nn.Conv3d):
    """`nn.Conv3d` of a 3D kernel over channels_last_3d frames; the same sums, in another order.

    With a bias, without dilation, groups, or padding by anything but zeros.
    """

    def forward(self, frames: Tensor) -> Tensor:
        """Convolve float (B, C, T, H, W) to float (B, D, T', H', W')."""
        if not _is_faster_here(frames, self.weight):
            return super().forward(frames)
        stride, padding = _triple(self.stride), _triple(self.padding)
        convolved: Tensor = _Convolution.apply(frames, self.weight, self.bias, stride, padding)
        return convolved


# Everywhere else torch's own kernel serves: on other devices, in other dtypes, without gradients,
# and where oneDNN has instructions of 512 bits.
def _is_faster_here(frames: Tensor, weight: Tensor) -> bool:
    return (
        torch.is_grad_enabled()
        and weight.requires_grad
        and frames.device.type == "cpu"
        and frames.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    )


def _triple(value: object) -> Triple:
    assert isinstance(value, tuple)
    time, height, width = value
    return time, height, width


class _Convolution(torch.autograd.Function):
    """Convolves as torch does; only the gradient of the weights is computed otherwise.

    What `forward` keeps in its context has no type in torch.
    """

    @staticmethod
    def forward(
        ctx: Any, frames: Tensor, weight: Tensor, bias: Tensor, stride: Triple, padding: Triple
    ) -> Tensor:
        ctx.save_for_backward(frames, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv3d(frames, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        frames, weight = ctx.saved_tensors
        stride, padding = ctx.stride, ctx.padding
        (above,) = gradients
        above = above.contiguous(memory_format=torch.channels_last_3d)
        of_frames = None
        if ctx.needs_input_grad[0]:
            of_frames = torch.ops.aten.convolution_backward(
                above,
                frames,
                weight,
                None,
                stride,
                padding,
                (1, 1, 1),
                False,
                (0, 0, 0),
                1,
                (True, False, False),
            )[0]
        of_weight = weight_gradient(
            frames, above, kernel=_triple(weight.shape[2:]), stride=stride, padding=padding
        )
        return of_frames, of_weight, above.sum((0, 2, 3, 4)), None, None


def weight_gradient(
    frames: Tensor, above: Tensor, *, kernel: Triple, stride: Triple, padding: Triple
) -> Tensor:
    """Compute the gradient of a 3D convolution's weights.

    Args:
        frames: float32 (B, C, T, H, W), what was convolved; channels_last_3d.
        above: float32 (B, D, T', H', W'), the gradient of what came out; channels_last_3d.
        kernel: steps, height and width of the kernel.
        stride: likewise.
        padding: likewise, of zeros.

    Returns:
        float32 (D, C, K, height, width).
    """
    if frames.shape[1] >= UNROLLED_FROM:
        return _by_product(frames, above, kernel, stride, padding)
    return torch.stack(
        [_of_kernel_step(frames, above, k, kernel, stride, padding) for k in range(kernel[0])],
        dim=2,
    )


def _of_kernel_step(
    frames: Tensor, above: Tensor, k: int, kernel: Triple, stride: Triple, padding: Triple
) -> Tensor:
    """Compute the gradient (D, C, height, width) of a kernel's step k by one 2D convolution."""
    shape = (above.shape[1], frames.shape[1], *kernel[1:])
    # The output steps t whose frame t * stride + k - padding lies in the clip, not in the padding.
    inside = [
        step
        for step in range(above.shape[2])
        if 0 <= step * stride[0] + k - padding[0] < frames.shape[2]
    ]
    if not inside:
        return above.new_zeros(shape)
    first, last = (step * stride[0] + k - padding[0] for step in (inside[0], inside[-1]))
    seen = frames[:, :, first : last + 1 : stride[0]]
    return torch.ops.aten.convolution_backward(
        _frame_by_frame(above[:, :, inside[0] : inside[-1] + 1]),
        _frame_by_frame(seen),
        above.new_empty(shape).contiguous(memory_format=torch.channels_last),
        None,
        stride[1:],
        padding[1:],
        (1, 1),
        False,
        (0, 0),
        1,
        (False, True, False),
    )[1]


def _frame_by_frame(frames: Tensor) -> Tensor:
    """Lay (B, C, T, H, W) out as (B * T, C, H, W), channels_last."""
    flat = frames.transpose(1, 2).flatten(0, 1)
    return flat.contiguous(memory_format=torch.channels_last)


def _by_product(
    frames: Tensor, above: Tensor, kernel: Triple, stride: Triple, padding: Triple
) -> Tensor:
    """Compute the gradient as above^T (D, P) times the unrolled frames (P, K * h * w * C)."""
    pads = (0, 0, *(size for each in reversed(padding) for size in (each, each)))
    padded = F.pad(frames.permute(0, 2, 3, 4, 1), pads)  # (B, T, H, W, C), contiguous
    of_clip, *of_sizes, of_plane = padded.stride()
    num_clips, num_out, *sizes_out = above.shape
    # A view in which every output position has its window of the padded frames, overlapping the
    # next; only the reshape below copies.
    unrolled = padded.as_strided(
        (num_clips, *sizes_out, *kernel, frames.shape[1]),
        (
            of_clip,
            *(step * each for step, each in zip(stride, of_sizes, strict=True)),
            *of_sizes,
            of_plane,
        ),
    )
    rows = above.permute(0, 2, 3, 4, 1).reshape(-1, num_out)  # (P, D)
    product = rows.T @ unrolled.reshape(len(rows), -1)
    return product.view(num_out, *kernel, frames.shape[1]).permute(0, 4, 1, 2, 3)
