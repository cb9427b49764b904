from __future__ import annotations

import json
from math import ceil, prod
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from taskgrain.cli.main import main
from taskgrain.config.clips import Video
from taskgrain.config.load import load_study
from taskgrain.data.store import DECODE_SECONDS
from taskgrain.models.build import add_readouts, build_encoder
from taskgrain.models.model import SourceModel
from taskgrain.models.pretrained.huggingface import transformers_library
from taskgrain.models.pretrained.opening import WantedNetwork, open_encoder
from taskgrain.study.cost import ASSUMED_SECONDS, PEAK_TFLOPS, UTILISATION, count_forward, estimate
from taskgrain.study.networks import decoder_shape_of, shape_of
from taskgrain.tabletop.dataset import DRAW_SECONDS
from tests.making import PULL, PUSH, moving_square, row, write_annotations, write_video
from tests.tiny_transformers import CONFIGS

SMALL = [
    "video.num_frames=8",
    "video.height=32",
    "video.width=32",
    "encoder.spatial_widths=[4, 6]",
    "encoder.temporal_widths=[4, 6]",
    "encoder.lstm_width=8",
    'sources=["categories", "joint-full"]',
    "primary.versus=joint-full",
]


def slow_count(model: nn.Module, clip: Tensor, caption: Tensor) -> int:
    """Count products and sums layer by layer, on a pass that really happens."""
    total = 0

    def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv3d):
            total += 2 * output.numel() * layer.in_channels * prod(layer.kernel_size)
        elif isinstance(layer, nn.Linear):
            total += 2 * output.numel() * layer.in_features
        elif isinstance(layer, nn.LSTM):
            ways = 2 if layer.bidirectional else 1
            size = 4 * layer.hidden_size * (layer.input_size + layer.hidden_size)
            total += 2 * inputs[0].shape[0] * inputs[0].shape[1] * ways * size

    for module in model.modules():
        if isinstance(module, nn.Conv3d | nn.Linear | nn.LSTM):
            module.register_forward_hook(add)
    with torch.no_grad():
        model.eval()(clip, caption)
    return total


@pytest.mark.slow
def test_arithmetic_and_parameters_are_those_of_a_pass_that_happens() -> None:
    # With attention the decoder's LSTM is no layer that is called, and its calls cannot be counted.
    study = load_study("quick", [*SMALL, "decoder.attention=false"])
    cost = estimate(study, None)
    categories, joint = cost.sources
    model = add_readouts(
        build_encoder(shape_of(study.encoder), 0),
        num_classes=174,
        vocabulary_size=3000,
        decoder_shape=decoder_shape_of(study.decoder),
        seed=0,
    )
    clip = torch.zeros((1, 8, 32, 32, 3), dtype=torch.uint8)
    expected = slow_count(model, clip, torch.ones((1, 15), dtype=torch.long))
    assert joint.forward_gflops == pytest.approx(expected / 1e9)
    assert joint.training_gflops == pytest.approx(3 * expected / 1e9)
    parameters = joint.encoder_parameters + joint.head_parameters + joint.decoder_parameters
    assert parameters == sum(each.numel() for each in model.parameters())
    assert categories.decoder_parameters == 0
    assert categories.forward_gflops < joint.forward_gflops
    steps = ceil(study.data.train / study.train.batch_size) * study.train.epochs
    assert joint.steps == steps
    read = 1000 + 2 * 1495  # clips whose features are needed: of the source, and of each target
    per_clip = [(each.training_gflops, each.forward_gflops) for each in cost.sources]
    operations = 1e9 * sum(train * 4300 * 10 + forward * read for train, forward in per_clip)
    assert cost.hours["A100"] == pytest.approx(operations / (312e12 * UTILISATION) / 3600)
    assert cost.clips == {"source": 5100, "kitchenware": 1495, "kitchenware-far": 1495}


@pytest.mark.slow
def test_the_papers_study_is_planned_without_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["study", "paper-ssv2", "--dry-run", "--json"])
    plan = json.loads(capsys.readouterr().out)
    assert plan["steps"] is None
    assert plan["missing"] == [str(tmp_path / "something-something-v2")]
    cost = plan["cost"]
    assert cost["clips"]["source"] == 168_913 + 24_777
    of_source = {each["source"]: each for each in cost["sources"]}
    assert {each["encoder_parameters"] for each in cost["sources"]} == {11_528_384}  # paper.md
    assert of_source["action-groups"]["head_parameters"] == 1025 * 50
    assert of_source["categories"]["head_parameters"] == 1025 * 174
    assert of_source["categories"]["steps"] == ceil(168_913 / 16) * 200
    assert min(cost["hours"].values()) > 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_embedded_world_is_planned_with_its_cells(capsys: pytest.CaptureFixture[str]) -> None:
    main(["study", "smoke", "--dry-run"])
    text = capsys.readouterr().out
    for word in ("prepare", "train", "results", "parameters", "hours on one GPU"):
        assert word in text


@pytest.mark.slow
def test_a_dry_run_names_weights_that_are_missing_and_formats_that_do_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    image = "encoders={image={network='torchvision', model='resnet18'}}"
    sources = "sources=['categories', {name='image', encoder='image'}]"
    command = ["study", "smoke", "--set", image, "--set", sources, "--set", "primary.versus=image"]
    main([*command, "--dry-run", "--json"])
    (missing,) = json.loads(capsys.readouterr().out)["missing_weights"]
    assert missing.startswith(f"encoders.image: {tmp_path}")
    main([*command, "--dry-run"])
    assert f"missing weights: {missing}" in capsys.readouterr().out
    half = ["--set", "train.precision=fp16", "--dry-run"]
    with pytest.raises(SystemExit):
        main([*command, *half])
    assert 'train.precision is "fp16"' in capsys.readouterr().err
    main([*command, *half, "--device", "cuda"])  # of another machine, perhaps
    assert "hours on one GPU" in capsys.readouterr().out


@pytest.mark.slow
def test_features_count_in_the_hours_and_frozen_weights_once() -> None:
    image = "encoders={image={network='torchvision', model='resnet18', weights='random'}}"
    sources = "sources=['categories', {name='image', encoder='image'}]"
    changes = [image, sources, "primary.versus=image", "train.epochs=1"]
    one = estimate(load_study("smoke", changes), None)
    three = estimate(load_study("smoke", [*changes, "seeds=[0, 1, 2]"]), None)
    trained, frozen = one.sources
    clips = 80 + 130  # to learn from, whose means are needed, and of the target

    def hours(num_seeds: int) -> float:
        each = trained.training_gflops * 80 + trained.forward_gflops * clips
        total = each * num_seeds + frozen.forward_gflops * clips
        return total * 1e9 / (PEAK_TFLOPS["T4"] * 1e12 * UTILISATION) / 3600

    assert one.hours["T4"] == pytest.approx(hours(1))
    assert three.hours["T4"] == pytest.approx(hours(3))


@pytest.mark.slow
def test_no_weights_are_opened_to_count_a_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # there are none
    image = "encoder={network='torchvision', model='resnet18'}"
    (cost,) = estimate(
        load_study(
            "smoke",
            [image, 'sources=["categories", "joint-full"]', "primary.versus=joint-full"],
        ),
        None,
    ).sources[:1]
    assert cost.encoder_parameters == 11_176_512


@pytest.mark.slow
def test_a_dry_run_counts_decoding_from_the_files_and_says_how_many_are_absent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[object] = [row(str(n), (PUSH, PULL)[n % 2]) for n in range(8)]
    root = write_annotations(tmp_path / "clips", rows[:4], rows[4:])
    for n in range(6):
        write_video(root / "videos" / f"{n}.webm", moving_square(24 + n, size=256))
    target = f"targets=[{{name='mine', root='{root}'}}]"
    command = ["study", "smoke", "--set", target, "--set", "primary.target=mine"]
    command += ["--set", "primary.shots=1", "--set", "transfer.shots=[1]", "--dry-run"]
    main([*command, "--json"])
    plan = json.loads(capsys.readouterr().out)
    footage = plan["cost"]["footage"]["mine"]
    assert (footage["clips"], footage["absent"], footage["sampled"]) == (8, 2, 6)
    assert footage["clip_seconds"] == pytest.approx(26.5 / 12, abs=0.1)
    drawn = 120 * (DRAW_SECONDS + DECODE_SECONDS)
    assert footage["decode_seconds"] > 1.5 * DECODE_SECONDS
    prepare = next(step for step in plan["steps"] if step["step"] == "prepare")
    assert prepare["seconds"] == pytest.approx(drawn + 6 * footage["decode_seconds"])
    frames = 12 * (120 * ASSUMED_SECONDS + 6 * footage["clip_seconds"])
    size = load_study("smoke").video
    gigabytes = frames * 3 * size.store_height * size.store_width / 1e9
    assert plan["cost"]["store_gigabytes"] == pytest.approx(gigabytes)
    main(command)
    said = capsys.readouterr().out
    assert "mine: 2 of 8 annotated clips have no file (first: videos/6" in said
    assert "by the headers of 6 files" in said


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
