from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import pytest
import torch
from torch import nn

from taskgrain.models.build import PAPER_DECODER, build_model, compact_shape
from taskgrain.models.elsewhere.efficientnet_lite import EfficientNetLite
from taskgrain.models.elsewhere.huggingface import new_network as from_huggingface
from taskgrain.models.elsewhere.torchvision import new_network as from_torchvision
from taskgrain.models.undrawn import FirstWeightsLeftOut

TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


def ours() -> nn.Module:
    return build_model(
        compact_shape(), num_classes=3, vocabulary_size=9, decoder_shape=PAPER_DECODER, seed=0
    )


BUILDERS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "ours": ("torch", ours),
    "resnet18": ("torchvision", lambda: from_torchvision("resnet18")),
    "imagenet": ("torch", EfficientNetLite),
    "vit_b_16": ("torchvision", lambda: from_torchvision("vit_b_16")),
    "swin3d_t": ("torchvision", lambda: from_torchvision("swin3d_t")),
    "videomae": ("transformers", lambda: from_huggingface({"model_type": "videomae", **TINY})),
    "timesformer": (
        "transformers",
        lambda: from_huggingface({"model_type": "timesformer", **TINY}),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILDERS)
def test_a_network_without_first_weights_becomes_the_other_once_it_is_loaded(name: str) -> None:
    library, build = BUILDERS[name]
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    drawn = build().eval()
    with FirstWeightsLeftOut():
        bare = build().eval()
    for parameter in bare.parameters():
        with torch.no_grad():
            parameter.fill_(torch.nan)  # whatever is not loaded shows
    bare.load_state_dict(drawn.state_dict(), strict=True)
    buffers = dict(bare.named_buffers())
    for key, buffer in drawn.named_buffers():  # those that are not stored are computed as ever
        assert torch.equal(buffers[key], buffer), key
    assert all(bool(torch.isfinite(parameter).all()) for parameter in bare.parameters())
    assert [one.requires_grad for one in bare.parameters()] == [
        one.requires_grad for one in drawn.parameters()
    ]


@pytest.mark.parametrize("fill", [nn.init.normal_, nn.init.uniform_, nn.init.trunc_normal_])
def test_numbers_are_drawn_for_buffers_and_not_for_parameters(
    fill: Callable[..., torch.Tensor],
) -> None:
    weight, buffer = nn.Parameter(torch.zeros(9)), torch.zeros(9)
    state = torch.random.get_rng_state()
    with FirstWeightsLeftOut():
        fill(weight)
        fill(tensor=weight)
        assert torch.equal(torch.random.get_rng_state(), state)
        fill(buffer)
    assert len(buffer.unique()) == 9
    fill(weight)
    assert len(weight.unique()) == 9
