from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from taskgrain.models.convolution import TemporalConv3d, Triple, weight_gradient

SHAPES = [
    # planes in, planes out, frames, pixels, kernel, stride, padding
    (3, 8, 16, (12, 10), (3, 3, 3), (2, 2, 2), (1, 1, 1)),
    (8, 5, 7, (9, 9), (3, 3, 3), (2, 2, 2), (1, 1, 1)),
    (24, 6, 4, (6, 7), (3, 3, 3), (1, 2, 2), (1, 1, 1)),
    (25, 4, 5, (5, 4), (3, 3, 3), (1, 1, 1), (1, 0, 0)),
    (4, 3, 1, (5, 5), (3, 3, 3), (1, 2, 2), (1, 1, 1)),
    (4, 3, 2, (5, 5), (3, 3, 3), (2, 2, 2), (1, 1, 1)),
    (2, 3, 6, (5, 6), (3, 3, 3), (1, 1, 1), (0, 1, 1)),
    (2, 3, 4, (4, 4), (5, 3, 3), (3, 1, 1), (2, 1, 1)),
]


def laid_out(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(shape, generator=generator)
    return frames.contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize(
    ("planes", "out", "num_frames", "pixels", "kernel", "stride", "padding"), SHAPES
)
def test_the_weight_gradient_is_torchs_own_in_float64(
    planes: int,
    out: int,
    num_frames: int,
    pixels: tuple[int, int],
    kernel: Triple,
    stride: Triple,
    padding: Triple,
) -> None:
    frames = laid_out(2, planes, num_frames, *pixels)
    weight = torch.zeros(out, planes, *kernel, dtype=torch.float64, requires_grad=True)
    convolved = nn.functional.conv3d(frames.double(), weight, None, stride, padding)
    above = laid_out(*convolved.shape)
    convolved.backward(above.double())
    found = weight_gradient(frames, above, kernel=kernel, stride=stride, padding=padding)
    assert weight.grad is not None
    assert torch.allclose(found.double(), weight.grad, atol=1e-4)


def of_bias(layer: nn.Conv3d) -> Tensor | None:
    return None if layer.bias is None else layer.bias.grad


@pytest.mark.parametrize("planes", [8, 24])
def test_a_layer_trains_as_torchs_does(planes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a processor where the rearranged sums are the faster ones.
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    torch.manual_seed(0)
    ours = TemporalConv3d(planes, 6, (3, 3, 3), stride=(1, 2, 2), padding=(1, 1, 1))
    peer = nn.Conv3d(planes, 6, (3, 3, 3), stride=(1, 2, 2), padding=(1, 1, 1))
    peer.load_state_dict(ours.state_dict())
    frames = laid_out(2, planes, 4, 6, 6)
    seen, seen_by_peer = (frames.clone().requires_grad_() for _ in range(2))
    out, expected = ours(seen), peer(seen_by_peer)
    assert type(out.grad_fn).__name__ == "_ConvolutionBackward"
    assert torch.equal(out, expected)
    above = laid_out(*out.shape)
    out.backward(above)
    expected.backward(above)
    for found, wanted in (
        (seen.grad, seen_by_peer.grad),
        (ours.weight.grad, peer.weight.grad),
        (of_bias(ours), of_bias(peer)),
    ):
        assert found is not None
        assert wanted is not None
        assert torch.allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize("capability", ["AVX512", "AVX512_VNNI"])
def test_processors_with_avx_512_keep_torchs_kernels(
    capability: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    layer = TemporalConv3d(3, 4, (3, 3, 3))
    out = layer(laid_out(1, 3, 4, 5, 5))
    assert type(out.grad_fn).__name__ == "ConvolutionBackward0"


def test_nothing_is_rearranged_where_no_gradient_is_wanted_or_the_precision_is_lower() -> None:
    layer, frames = TemporalConv3d(3, 4, (3, 3, 3)), laid_out(1, 3, 4, 5, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(frames).dtype == torch.bfloat16
    with torch.no_grad():
        assert layer(frames).grad_fn is None
    layer.weight.requires_grad_(False)
    assert type(layer(frames).grad_fn).__name__ == "ConvolutionBackward0"
