from __future__ import annotations

import json
from math import prod
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from taskgrain.config.clips import Video
from taskgrain.models.model import SourceModel
from taskgrain.models.pretrained.huggingface import transformers_library
from taskgrain.models.pretrained.opening import WantedNetwork, open_encoder
from taskgrain.study.arithmetic import count_forward
from tests.tiny_transformers import CONFIGS

pytestmark = pytest.mark.slow  # importing the libraries takes seconds

VIDEO = Video(num_frames=4, store_height=32, store_width=32, height=32, width=32)
CLIP = torch.randint(
    0, 256, (1, 4, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
CAPTION = torch.ones((1, 15), dtype=torch.long)
# The attention of timesformer is made of products that the hand count below does not see.
COUNTED = ("videomae", "vivit", "vjepa2")


def torchvision_model(name: str) -> SourceModel:
    wanted = WantedNetwork(network="torchvision", model=name, weights="random")
    return SourceModel(open_encoder(wanted, 0)[0])


def huggingface_model(folder: Path, kind: str) -> SourceModel:
    config = transformers_library().AutoConfig.for_model(kind, **CONFIGS[kind])
    config.save_pretrained(folder)
    preparation = {
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "size": {"height": 32, "width": 32},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preparation))
    wanted = WantedNetwork(network="huggingface", model=str(folder), weights="random")
    return SourceModel(open_encoder(wanted, 0)[0])


def real_pass(model: SourceModel, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Count by hand, on a pass that really happens: operations, and bytes that backward keeps."""
    operations = 0
    attention = F.scaled_dot_product_attention

    def attend(query: Tensor, key: Tensor, value: Tensor, **named: object) -> Tensor:
        nonlocal operations
        output = attention(query, key, value, **named)  # type: ignore[arg-type]
        operations += 2 * key.shape[-2] * (query.numel() + output.numel())
        return output

    def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal operations
        if isinstance(layer, nn.Linear):
            operations += 2 * output.numel() * layer.in_features
        elif isinstance(layer, nn.Conv2d | nn.Conv3d):
            each = layer.in_channels // layer.groups * prod(layer.kernel_size)
            operations += 2 * output.numel() * each

    monkeypatch.setattr(F, "scaled_dot_product_attention", attend)
    for layer in model.modules():
        layer.register_forward_hook(add)
    weights = {each.untyped_storage().data_ptr() for each in model.state_dict().values()}
    saved: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(CLIP, CAPTION)
    return operations, sum(each.untyped_storage().nbytes() for each in saved.values())


def assert_counted(model: SourceModel, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = count_forward(lambda: model, VIDEO)
    operations, saved_bytes = real_pass(model, monkeypatch)
    assert operations > 0
    assert counted.flops == pytest.approx(operations, rel=0.01)
    assert counted.saved_bytes == pytest.approx(saved_bytes, rel=0.1)


# regnet_y and maxvit ask for numbers while they are built, which tensors without content lack.
@pytest.mark.parametrize("name", ["regnet_y_400mf", "resnet18", "r3d_18", "vgg16"])
def test_a_convolutional_networks_count_is_that_of_a_pass_that_happens(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_counted(torchvision_model(name), monkeypatch)


@pytest.mark.parametrize("kind", COUNTED)
def test_a_transformers_count_has_attention_in_it(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_counted(huggingface_model(tmp_path, kind), monkeypatch)


def test_torchvisions_own_attention_is_counted() -> None:
    """ViT-B/16: 12 layers, 768 wide, 196 patches and a class token (arXiv 2010.11929, table 1)."""
    counted = count_forward(lambda: torchvision_model("vit_b_16"), VIDEO)
    tokens, width, layers = 197, 768, 12
    linear = 12 * width * width * tokens * layers
    attention = 2 * tokens * tokens * width * layers
    patches = 196 * 768 * width
    per_frame = 2 * (linear + attention + patches)
    assert counted.flops == pytest.approx(VIDEO.num_frames * per_frame, rel=0.01)


def test_a_model_keeps_its_own_weights() -> None:
    model = torchvision_model("resnet18")
    before = {name: each.clone() for name, each in model.state_dict().items()}
    count_forward(lambda: model, VIDEO)
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())
