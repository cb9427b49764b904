from __future__ import annotations

import importlib
import importlib.util
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from taskgrain.errors import CheckpointError, ConfigError
from taskgrain.models.build import add_readouts, build_from, recipe_from_json
from taskgrain.models.model import check_encoder
from taskgrain.models.pretrained import huggingface, torchvision
from taskgrain.models.pretrained.encoder import NetworkEncoder
from taskgrain.models.pretrained.opening import WantedNetwork, make_ready, open_encoder
from taskgrain.models.pretrained.stored import torchvision_file

pytestmark = pytest.mark.slow  # importing torchvision takes seconds

VIDEO = torch.randint(
    0, 256, (2, 5, 40, 40, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
RESNET = WantedNetwork("torchvision", "resnet18")


@pytest.fixture(autouse=True)
def no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)


@pytest.fixture
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def whole() -> Iterator[nn.Module]:
    """A ResNet-18 as torchvision has it, with weights that are nobody's."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        yield torchvision.new_network("resnet18").eval()


def weights_file(folder: Path, model: str = "resnet18") -> Path:
    return folder / torchvision.published_address(model).rpartition("/")[2]


def prepared(video: Tensor, size: int, mean: list[float], deviation: list[float]) -> Tensor:
    """Scale and normalise with torchvision's own words: float (N, 3, size, size)."""
    functional = importlib.import_module("torchvision.transforms.functional")
    images = video.flatten(0, 1).permute(0, 3, 1, 2).float() / 255
    return functional.normalize(
        functional.resize(images, [size, size], antialias=True), mean, deviation
    )


@torch.inference_mode()
def test_cached_weights_are_loaded_and_frames_read_as_by_the_whole_network(
    torch_home: Path, whole: nn.Module
) -> None:
    torch.save(whole.state_dict(), weights_file(torch_home))
    encoder, shape = open_encoder(RESNET, seed=0)
    features = encoder.eval()(VIDEO)
    assert features.shape == (2, 5, 512)
    check_encoder(encoder, VIDEO)
    images = prepared(VIDEO, 224, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    logits = whole.get_submodule("fc")(features.flatten(0, 1))
    torch.testing.assert_close(logits, whole(images), rtol=1e-4, atol=1e-4)
    rebuilt = build_from(recipe_from_json(shape.to_json()), seed=1)
    rebuilt.load_state_dict(encoder.state_dict())
    assert torch.equal(rebuilt.eval()(VIDEO), features)


@pytest.mark.parametrize("model", ["r3d_18", "swin3d_t"])
@torch.inference_mode()
def test_the_steps_of_a_video_network_average_to_what_its_head_reads(model: str) -> None:
    clip = VIDEO[:1]
    wanted = WantedNetwork("torchvision", model, "random")
    encoder, shape = open_encoder(wanted, seed=2)
    whole = torchvision.new_network(model).eval()
    layers = torchvision.trunk_of(model, whole).network.get_submodule("layers")
    own = encoder.network.get_submodule("layers")
    layers.load_state_dict(own.state_dict())
    features = encoder.eval()(clip)
    assert features.shape == (1, {"r3d_18": 1, "swin3d_t": 3}[model], encoder.width)
    size = shape.preparation.height
    images = prepared(clip, size, list(shape.preparation.mean), list(shape.preparation.deviation))
    clips = images.unflatten(0, (1, 5)).transpose(1, 2)  # (B, 3, T, h, w)
    head = whole.get_submodule("fc" if model == "r3d_18" else "head")
    torch.testing.assert_close(head(features.mean(dim=1)), whole(clips), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("model", ["mvit_v1_b", "mvit_v2_s"])
@torch.inference_mode()
def test_the_steps_of_mvit_are_the_tokens_beside_the_one_that_its_head_reads(model: str) -> None:
    whole = small_mvit(model)
    kept: list[Tensor] = []
    whole.get_submodule("norm").register_forward_hook(lambda _, given, tokens: kept.append(tokens))
    clips = torch.randn(2, 6, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    logits = whole(clips.transpose(1, 2))
    steps = torchvision.trunk_of(model, whole).network(clips)
    (tokens, again) = kept
    torch.testing.assert_close(again, tokens)
    torch.testing.assert_close(whole.get_submodule("head")(tokens[:, 0]), logits)
    # A step is of two frames, and of 8 x 8 patches after the second block.
    patches = tokens[:, 1:].reshape(2, 3, 8 * 8, 16)
    torch.testing.assert_close(steps, patches.mean(dim=2), rtol=1e-4, atol=1e-5)


def small_mvit(model: str) -> nn.Module:
    """An MViT of two blocks with the options of a published one, which takes 6 frames of 64 x 64.

    The published ones have their sizes fixed, and cost a minute of a small machine.
    """
    library = torchvision.torchvision_models().video.mvit
    block = library.MSBlockConfig
    blocks = [
        block(1, 8, 16, kernel_q=[], kernel_kv=[3, 3, 3], stride_q=[], stride_kv=[1, 4, 4]),
        block(2, 16, 16, [3, 3, 3], [3, 3, 3], stride_q=[1, 2, 2], stride_kv=[1, 2, 2]),
    ]
    is_second = model == "mvit_v2_s"
    options = dict.fromkeys(("residual_pool", "rel_pos_embed", "proj_after_attn"), is_second)
    with torch.random.fork_rng():
        torch.manual_seed(6)
        network = library.MViT((64, 64), 6, blocks, residual_with_cls_embed=False, **options)
    assert isinstance(network, nn.Module)
    return network.eval()


def test_mvit_is_shown_the_one_number_of_frames_that_it_takes() -> None:
    numbers = {
        model: torchvision.published_preparation(model).num_frames
        for model in torchvision.VIDEO_LAYERS
    }
    taken = {model: number for model, number in numbers.items() if number is not None}
    assert taken == {"mvit_v1_b": 16, "mvit_v2_s": 16}


@torch.inference_mode()
def test_features_do_not_depend_on_the_batch_and_are_the_same_every_time() -> None:
    encoder, _ = open_encoder(WantedNetwork("torchvision", "r3d_18", "random"), seed=0)
    encoder.eval()
    together = encoder(VIDEO)
    assert torch.equal(encoder(VIDEO), together)
    for index in range(len(VIDEO)):
        alone = encoder(VIDEO[index : index + 1])
        torch.testing.assert_close(alone[0], together[index], rtol=1e-4, atol=1e-4)


def test_a_single_frame_is_read_at_the_middle_alone() -> None:
    wanted = WantedNetwork("torchvision", "resnet18", "random", single_frame=True)
    encoder, _ = open_encoder(wanted, seed=0)
    every, _ = open_encoder(WantedNetwork("torchvision", "resnet18", "random"), seed=0)
    with torch.inference_mode():
        alone, steps = encoder.eval()(VIDEO), every.eval()(VIDEO)
    assert alone.shape == (2, 1, 512)
    torch.testing.assert_close(alone[:, 0], steps[:, 2], rtol=1e-4, atol=1e-5)


def test_random_weights_are_those_of_the_seed_and_global_numbers_are_left_alone() -> None:
    state = torch.random.get_rng_state()
    wanted = WantedNetwork("torchvision", "resnet18", "random", lstm_width=4)
    first, again, other = (open_encoder(wanted, seed)[0] for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    for one, same, different in zip(
        first.parameters(), again.parameters(), other.parameters(), strict=True
    ):
        assert torch.equal(one, same)
        assert one.ndim == 1 or not torch.equal(one, different)


def test_pretrained_weights_are_no_matter_of_the_seed_but_the_lstm_is(
    torch_home: Path, whole: nn.Module
) -> None:
    torch.save(whole.state_dict(), weights_file(torch_home))
    wanted = WantedNetwork("torchvision", "resnet18", lstm_width=4)
    first, other = (open_encoder(wanted, seed)[0].state_dict() for seed in (1, 2))
    same = {name for name in first if torch.equal(first[name], other[name])}
    assert {name for name in first if name not in same} == {
        name for name in first if name.startswith("lstm.")
    }


def test_every_weight_can_be_tuned_on_a_task() -> None:
    encoder, _ = open_encoder(
        WantedNetwork("torchvision", "resnet18", "random", lstm_width=4), seed=0
    )
    model = add_readouts(encoder, num_classes=3, vocabulary_size=None, seed=0)
    said = model(VIDEO[:, :2], torch.zeros(2, 0, dtype=torch.long))
    assert said.log_probs is not None
    F.nll_loss(said.log_probs, torch.tensor([0, 2])).backward()
    assert all(each.grad is not None for each in model.parameters())
    assert float(next(iter(encoder.network.parameters())).grad.abs().sum()) > 0  # type: ignore[union-attr]


ONE_OF_EACH = (
    *("alexnet", "convnext_tiny", "efficientnet_b0", "efficientnet_v2_s", "maxvit_t", "mnasnet1_0"),
    *("mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf", "resnet50", "resnext50_32x4d"),
    *("shufflenet_v2_x1_0", "swin_t", "swin_v2_t", "vgg16", "vit_b_16"),
    *("wide_resnet50_2", "r3d_18", "mc3_18", "r2plus1d_18", "s3d", "swin3d_t", "mvit_v1_b"),
    "mvit_v2_s",
)


@pytest.mark.parametrize("model", ONE_OF_EACH)
def test_the_head_of_every_family_can_be_taken_off(model: str) -> None:
    on_cpu = model.startswith("regnet")  # it computes its widths with tensors
    with torch.device("cpu" if on_cpu else "meta"):  # shapes without numbers
        network = torchvision.new_network(model).to("meta")
    with torch.device("meta"), torch.inference_mode():
        trunk = torchvision.trunk_of(model, network)
        size = torchvision.published_preparation(model).height
        if trunk.reads == "frames":
            features = trunk.network.eval()(torch.empty(2, 3, size, size))
            assert features.shape == (2, trunk.width)
        else:
            features = trunk.network.eval()(torch.empty(2, 16, 3, size, size))
            assert features.shape in {(2, steps, trunk.width) for steps in (2, 8, 16)}
    assert trunk.width == {"vgg16": 4096, "resnet50": 2048}.get(model, trunk.width)


def test_weights_that_are_not_there_are_named_and_never_fetched(torch_home: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_encoder(RESNET, seed=0)
    for said in (
        str(weights_file(torch_home)),
        "https://download.pytorch.org/models/resnet18-f37072fd.pth",
        'weights = "download"',
    ):
        assert said in str(caught.value)
    assert not list(torch_home.iterdir())


def test_a_wrong_file_is_refused_by_its_first_weight(torch_home: Path, whole: nn.Module) -> None:
    stored = whole.state_dict()
    path = weights_file(torch_home)
    other = {**stored, "fc.weight": torch.zeros(10, 512)}
    missing = {name: value for name, value in stored.items() if name != "layer1.0.conv1.weight"}
    for wrong, said in (
        (missing, r"weight layer1\.0\.conv1\.weight is missing"),
        (other, r"weight fc\.weight has shape \(10, 512\); expected \(1000, 512\)"),
        ({**stored, "extra": torch.zeros(1)}, "weight extra is not part of this network"),
        ({"state_dict": stored}, "holds no weights by their names"),
        ([1, 2], "holds no weights by their names"),
    ):
        torch.save(wrong, path)
        with pytest.raises(CheckpointError, match=said) as caught:
            open_encoder(RESNET, seed=0)
        assert str(path) in str(caught.value)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, ("evil",)


def test_no_code_of_a_file_is_run(torch_home: Path, whole: nn.Module) -> None:
    path = weights_file(torch_home)
    torch.save({**whole.state_dict(), "fc.bias": Evil()}, path)
    with pytest.raises(CheckpointError, match="not a whole file of weights"):
        open_encoder(RESNET, seed=0)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="not a whole file of weights"):
        open_encoder(RESNET, seed=0)
    path.write_text("<html>not found</html>")
    with pytest.raises(CheckpointError, match="fetch it again"):
        open_encoder(RESNET, seed=0)


def test_files_older_than_the_counter_of_batch_norm_are_whole(
    torch_home: Path, whole: nn.Module
) -> None:
    stored = whole.state_dict()
    old = {name: each for name, each in stored.items() if "num_batches_tracked" not in name}
    assert len(old) < len(stored)
    torch.save(old, weights_file(torch_home))
    encoder, _ = open_encoder(RESNET, seed=0)
    assert torch.equal(encoder.state_dict()["network.bn1.running_var"], stored["bn1.running_var"])


def test_weights_are_fetched_where_they_are_asked_for(torch_home: Path, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    published = tmp_path / "server" / "some_net.pth"
    published.write_bytes(b"weights")
    address = published.as_uri()
    with pytest.raises(ConfigError, match="fetched only if asked for"):
        torchvision_file(address, download=False)
    path = torchvision_file(address, download=True)
    assert path == torch_home / "some_net.pth"
    assert path.read_bytes() == b"weights"
    published.unlink()
    assert torchvision_file(address, download=True) == path  # there already
    with pytest.raises(ConfigError, match=r"other-0badc0de\.pth cannot be fetched"):
        torchvision_file((tmp_path / "server" / "other-0badc0de.pth").as_uri(), download=True)


def test_what_is_fetched_must_be_what_its_name_says(torch_home: Path, tmp_path: Path) -> None:
    published = tmp_path / "net-0badc0de.pth"
    published.write_bytes(b"something else")
    with pytest.raises(ConfigError, match="hash"):
        torchvision_file(published.as_uri(), download=True)
    assert not list(torch_home.iterdir())


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("resnet19", r"no network 'resnet19' here; did you mean 'resnet1[0-9]+'\?"),
        ("googlenet", "begin with alexnet"),
        ("fasterrcnn_resnet50_fpn", "no network"),
        ("densenet121", "no network"),
    ],
)
def test_a_network_that_cannot_be_used_is_refused(model: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        open_encoder(WantedNetwork("torchvision", model, "random"), seed=0)


def test_a_single_frame_of_a_video_network_is_refused() -> None:
    with pytest.raises(ConfigError, match="takes clips, not single frames"):
        open_encoder(WantedNetwork("torchvision", "r3d_18", "random", single_frame=True), seed=0)


def test_a_missing_library_names_its_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'pip install "taskgrain\[pretrained\]"'):
        open_encoder(RESNET, seed=0)
    with pytest.raises(ConfigError, match=r'pip install "taskgrain\[huggingface\]"'):
        huggingface.transformers_library()


def test_a_torchvision_that_does_not_go_with_torch_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(name: str) -> None:
        raise RuntimeError("operator torchvision::roi_align does not exist")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(ConfigError, match=r"roi_align does not.*install the two for the same"):
        open_encoder(RESNET, seed=0)


def test_a_torchvision_built_for_another_device_is_imported_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    imported: list[str] = []
    declared: list[str] = []

    def import_once_broken(name: str) -> str:
        imported.append(name)
        if len(imported) == 1:
            sys.modules["torchvision.half"] = sys  # as a failed import leaves behind
            raise RuntimeError("operator torchvision::nms does not exist")
        assert "torchvision.half" not in sys.modules
        return name

    class Library:
        def __init__(self, name: str, kind: str) -> None:
            assert (name, kind) == ("torchvision", "DEF")

        def define(self, schema: str) -> None:
            declared.append(schema)

    before = {name: each for name, each in sys.modules.items() if name.startswith("torchvision")}
    monkeypatch.setattr(torchvision, "_kept", [])
    monkeypatch.setattr(importlib, "import_module", import_once_broken)
    monkeypatch.setattr(torch.library, "Library", Library)
    try:
        assert torchvision.torchvision_models() == "torchvision.models"  # type: ignore[comparison-overlap]
    finally:
        sys.modules.update(before)
    assert imported == ["torchvision", "torchvision", "torchvision.models"]
    assert [schema.partition("(")[0] for schema in declared] == ["nms", "qnms"]


def test_the_encoder_is_our_contract() -> None:
    encoder, _ = open_encoder(WantedNetwork("torchvision", "resnet18", "random"), seed=0)
    assert isinstance(encoder, NetworkEncoder)
    assert encoder.width == 512


def test_what_a_network_needs_is_looked_for_before_it_is_needed(torch_home: Path) -> None:
    make_ready(replace(RESNET, weights="random"))
    with pytest.raises(ConfigError, match=r"resnet18-f37072fd\.pth: no such file"):
        make_ready(RESNET)
    weights_file(torch_home).write_bytes(b"read later")
    make_ready(RESNET)
