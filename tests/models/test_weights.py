from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from taskgrain.errors import CheckpointError
from taskgrain.models.build import build_encoder
from taskgrain.models.pretrained.efficientnet_lite import EfficientNetLite
from taskgrain.models.pretrained.huggingface import new_network as from_huggingface
from taskgrain.models.pretrained.torchvision import new_network as from_torchvision
from taskgrain.models.weights import (
    FirstWeightsLeftOut,
    load_part,
    load_weights,
    save_weights,
    weights_sha256,
)
from tests.networks import PAPER_DECODER, build_model, compact_shape

TINY = compact_shape(spatial_widths=(4, 6), temporal_widths=(4, 6), lstm_width=8)


def bits(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


def test_weights_come_back_to_the_bit(tmp_path: Path) -> None:
    path = tmp_path / "a folder" / "model.safetensors"
    first, second = build_encoder(TINY, 0), build_encoder(TINY, 1)
    first(torch.randint(0, 256, (2, 4, 16, 16, 3), dtype=torch.uint8))  # moves BatchNorm
    save_weights(first, path)
    load_weights(second, path)
    assert_same(bits(first), bits(second))
    assert [file.name for file in path.parent.iterdir()] == ["model.safetensors"]


def without(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in tensors.items() if key != name}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("missing", "weight out.weight is missing"),
        ("unexpected", "weight extra is not part of this model"),
        ("shape", r"weight out.weight has shape \(3, 2\); expected \(2, 3\)"),
        ("dtype", "weight out.weight is F16; expected F32"),
    ],
)
def test_weights_that_do_not_fit_are_refused_whole(
    tmp_path: Path, fault: str, message: str
) -> None:
    torch.manual_seed(0)
    module = nn.ModuleDict({"first": nn.Linear(2, 3), "out": nn.Linear(3, 2)})
    tensors = {name: torch.ones_like(tensor) for name, tensor in module.state_dict().items()}
    match fault:
        case "missing":
            tensors = without(tensors, "out.weight")
        case "unexpected":
            tensors["extra"] = torch.ones(1)
        case "shape":
            tensors["out.weight"] = torch.ones(3, 2)
        case "dtype":
            tensors["out.weight"] = torch.ones(2, 3, dtype=torch.float16)
    path = tmp_path / "model.safetensors"
    save_file(tensors, path)
    before = bits(module)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_weights(module, path)
    assert str(path) in str(caught.value)
    assert_same(before, bits(module))


@pytest.mark.parametrize("kept_bytes", [0, 5, 100, -1])
def test_a_truncated_file_is_refused_whole(tmp_path: Path, kept_bytes: int) -> None:
    path = tmp_path / "model.safetensors"
    module = nn.Linear(20, 30)
    save_weights(module, path)
    path.write_bytes(path.read_bytes()[:kept_bytes])
    before = bits(module)
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        load_weights(module, path)
    assert_same(before, bits(module))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere\.safetensors: no such file"):
        load_weights(nn.Linear(2, 3), tmp_path / "nowhere.safetensors")


def test_a_failed_save_leaves_the_old_weights(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_weights(nn.Linear(2, 3), path)
    before = load_file(path)
    broken = nn.Linear(2, 3)
    broken.register_buffer("odd", torch.zeros(2, dtype=torch.complex128))
    with pytest.raises((KeyError, ValueError, RuntimeError)):
        save_weights(broken, path)
    assert_same(before, load_file(path))
    assert len(list(tmp_path.iterdir())) == 1


def two_parts() -> nn.ModuleDict:
    return nn.ModuleDict({"encoder": nn.Linear(2, 3), "head": nn.Linear(3, 4)})


def test_a_part_is_taken_whole_and_the_rest_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    stored, part = two_parts(), nn.Linear(2, 3)
    save_weights(stored, path)
    assert load_part(part, path, "encoder.") == ("head.bias", "head.weight")
    assert_same(bits(part), bits(stored["encoder"]))


@pytest.mark.parametrize(
    ("part", "prefix", "message"),
    [
        (nn.Linear(2, 4), "encoder.", r"encoder\.weight has shape \(3, 2\); expected \(4, 2\)"),
        (nn.Linear(2, 3), "decoder.", r"weight decoder\.weight is missing"),
        (nn.Linear(2, 3, bias=False), "encoder.", r"encoder\.bias is not part of this model"),
        (nn.Linear(2, 3).half(), "encoder.", r"encoder\.weight is F32; expected F16"),
    ],
)
def test_a_part_that_does_not_fit_is_refused_whole(
    tmp_path: Path, part: nn.Module, prefix: str, message: str
) -> None:
    path = tmp_path / "model.safetensors"
    save_weights(two_parts(), path)
    before = bits(part)
    with pytest.raises(CheckpointError, match=message):
        load_part(part, path, prefix)
    assert_same(before, bits(part))


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_a_weight_that_is_no_number_is_refused_whole(tmp_path: Path, number: float) -> None:
    path = tmp_path / "model.safetensors"
    model = nn.ModuleDict({"first": nn.Linear(2, 3), "out": nn.Linear(3, 2)})
    tensors = {name: torch.ones_like(tensor) for name, tensor in model.state_dict().items()}
    tensors["out.bias"][1] = number
    save_file(tensors, path)
    before = bits(model)
    said = r"1 of the 2 numbers of weight out\.bias are infinite or not a number"
    with pytest.raises(CheckpointError, match=said):
        load_weights(model, path)
    part = model["out"]
    assert isinstance(part, nn.Module)
    with pytest.raises(CheckpointError, match=said):
        load_part(part, path, "out.")
    assert_same(before, bits(model))
    first = model["first"]
    assert isinstance(first, nn.Module)
    load_part(first, path, "first.")  # which is whole


def test_the_hash_of_weights_follows_every_number_and_name() -> None:
    made = build_encoder(TINY, 0)
    same = weights_sha256(made)
    assert weights_sha256(build_encoder(TINY, 0)) == same
    with torch.no_grad():
        next(each for name, each in made.state_dict().items() if "running_mean" in name)[3] += 1e-6
    assert weights_sha256(made) != same
    assert weights_sha256(nn.Linear(2, 3)) != weights_sha256(nn.Linear(3, 2))


SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


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
    "videomae": (
        "transformers",
        lambda: from_huggingface({"model_type": "videomae", **SMALL}),
    ),
    "timesformer": (
        "transformers",
        lambda: from_huggingface({"model_type": "timesformer", **SMALL}),
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
