from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from taskgrain.models.build import build_encoder
from taskgrain.train.calibrate import calibrate_batch_norm, has_batch_norm
from tests.networks import compact_shape

SHAPE = compact_shape(spatial_widths=(4, 6), temporal_widths=(4, 6), lstm_width=8)


def make_videos(num_batches: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (4, 8, 12, 12, 3)
    return [
        torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        for _ in range(num_batches)
    ]


def test_the_first_norm_gets_the_mean_over_batches_of_what_it_sees() -> None:
    encoder = build_encoder(SHAPE, 0)
    assert encoder.temporal is not None
    norm = encoder.temporal.layers.get_submodule("0.1")
    assert isinstance(norm, nn.BatchNorm3d)
    seen: list[Tensor] = []
    handle = norm.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0].detach()))
    calibrate_batch_norm(encoder, make_videos())
    handle.remove()
    assert len(seen) == 3
    means = torch.stack([maps.mean((0, 2, 3, 4)) for maps in seen])
    variances = torch.stack([maps.var((0, 2, 3, 4)) for maps in seen])
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert torch.allclose(norm.running_mean, means.mean(0), atol=1e-5)
    assert torch.allclose(norm.running_var, variances.mean(0), rtol=1e-3)


def test_nothing_but_the_statistics_changes() -> None:
    encoder = build_encoder(SHAPE, 0).eval()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    modes = [(norm.momentum, norm.training) for norm in norms(encoder)]
    calibrate_batch_norm(encoder, make_videos())
    changed = {
        name for name, value in encoder.state_dict().items() if not torch.equal(before[name], value)
    }
    assert changed
    assert all("running_" in name or "num_batches" in name for name in changed)
    assert [(norm.momentum, norm.training) for norm in norms(encoder)] == modes
    assert all(parameter.grad is None for parameter in encoder.parameters())


def norms(encoder: nn.Module) -> list[nn.BatchNorm3d]:
    return [module for module in encoder.modules() if isinstance(module, nn.BatchNorm3d)]


def test_what_was_estimated_before_is_forgotten() -> None:
    once, twice = build_encoder(SHAPE, 0), build_encoder(SHAPE, 0)
    calibrate_batch_norm(once, make_videos())
    calibrate_batch_norm(twice, make_videos(1))
    calibrate_batch_norm(twice, make_videos())
    after = twice.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in once.state_dict().items())


def test_calibrating_on_nothing_is_refused_and_changes_nothing() -> None:
    encoder = build_encoder(SHAPE, 0)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    with pytest.raises(ValueError, match="no batch of clips"):
        calibrate_batch_norm(encoder, [])
    after = encoder.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert encoder.training


def test_norms_are_found_wherever_they_stand() -> None:
    assert has_batch_norm(build_encoder(SHAPE, 0))
    assert has_batch_norm(nn.Sequential(nn.Sequential(nn.BatchNorm2d(3))))
    assert not has_batch_norm(nn.Sequential(nn.LayerNorm(3), nn.GroupNorm(1, 3)))
