from __future__ import annotations

import json
import logging
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from taskgrain.errors import CheckpointError, ConfigError
from taskgrain.models.build import add_readouts, build_from, recipe_from_json
from taskgrain.models.model import check_encoder
from taskgrain.models.pretrained import huggingface
from taskgrain.models.pretrained.encoder import NetworkShape
from taskgrain.models.pretrained.huggingface import transformers_library
from taskgrain.models.pretrained.opening import WantedNetwork, make_ready, open_encoder
from tests.tiny_transformers import CONFIGS

pytestmark = pytest.mark.slow  # importing transformers takes seconds

VIDEO = torch.randint(
    0, 256, (3, 4, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
STEPS = {"vjepa2": 2, "videomae": 2, "timesformer": 4, "vivit": 2}
PROCESSOR: Mapping[str, object] = {
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.25, 0.5, 1.0],
    "size": {"shortest_edge": 36},
    "crop_size": {"height": 32, "width": 32},
}


@pytest.fixture(autouse=True)
def no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)


def saved(folder: Path, kind: str, *, head: str = "AutoModel") -> Path:
    """Save a tiny model as its makers would: config.json and model.safetensors."""
    library = transformers_library()
    config = library.AutoConfig.for_model(kind, **CONFIGS[kind])
    library.utils.logging.disable_progress_bar()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        classes = {
            "AutoModel": library.AutoModel,
            "classifier": library.AutoModelForVideoClassification,
            "pretraining": library.AutoModelForPreTraining,
        }
        classes[head].from_config(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return folder


def opened(folder: Path, *, lstm_width: int = 0) -> tuple[torch.nn.Module, NetworkShape]:
    wanted = WantedNetwork("huggingface", str(folder), lstm_width=lstm_width)
    encoder, shape = open_encoder(wanted, seed=0)
    return encoder.eval(), shape


def prepared(video: Tensor) -> Tensor:
    """Float (B, T, 3, h, w), as the file says."""
    mean, deviation = (torch.tensor(PROCESSOR[key]) for key in ("image_mean", "image_std"))
    return ((video / 255 - mean) / deviation).permute(0, 1, 4, 2, 3)


@pytest.mark.parametrize("kind", CONFIGS)
@torch.inference_mode()
def test_features_are_the_models_own_tokens_averaged_step_by_step(
    tmp_path: Path, kind: str
) -> None:
    encoder, shape = opened(saved(tmp_path, kind))
    features = encoder(VIDEO)
    check_encoder(encoder, VIDEO)
    steps, width = STEPS[kind], CONFIGS[kind]["hidden_size"]
    assert features.shape == (3, steps, width)
    model = transformers_library().AutoModel.from_pretrained(tmp_path).eval()
    tokens = model(prepared(VIDEO)).last_hidden_state
    has_class_token = kind in ("timesformer", "vivit")
    tokens = tokens[:, 1:] if has_class_token else tokens
    for step in range(steps):
        own = tokens[:, step::steps] if kind == "timesformer" else tokens.chunk(steps, 1)[step]
        assert own.shape[1] == 16  # 4 x 4 patches
        torch.testing.assert_close(features[:, step], own.mean(dim=1))
    assert shape.preparation.scaled_height == shape.preparation.scaled_width == 36
    assert shape.preparation.keeps_aspect


@pytest.mark.parametrize("kind", CONFIGS)
@torch.inference_mode()
def test_a_step_is_a_time_of_the_clip(tmp_path: Path, kind: str) -> None:
    _, shape = opened(saved(tmp_path, kind))
    no_attention = replace(shape, config={**shape.config, "num_hidden_layers": 0})
    encoder = build_from(no_attention, seed=0).eval()
    changed = VIDEO.clone()
    changed[:, -1] = 255 - changed[:, -1]
    moved = (encoder(changed) - encoder(VIDEO)).abs().amax(dim=(0, 2))  # (T',)
    assert (moved[:-1] == 0).all()
    assert moved[-1] > 0


@pytest.mark.parametrize("kind", CONFIGS)
@torch.inference_mode()
def test_a_stored_shape_rebuilds_the_encoder_without_any_file(tmp_path: Path, kind: str) -> None:
    encoder, shape = opened(saved(tmp_path / "model", kind), lstm_width=5)
    (tmp_path / "model").rename(tmp_path / "gone")
    recipe = recipe_from_json(json.loads(json.dumps(shape.to_json())))
    rebuilt = build_from(recipe, seed=7).eval()
    assert not torch.equal(rebuilt(VIDEO), encoder(VIDEO))
    rebuilt.load_state_dict(encoder.state_dict())
    assert torch.equal(rebuilt(VIDEO), encoder(VIDEO))
    same, other = (build_from(recipe, seed=seed).state_dict() for seed in (7, 8))
    again = build_from(recipe, seed=7).state_dict()
    assert all(torch.equal(same[name], again[name]) for name in same)
    assert not all(torch.equal(same[name], other[name]) for name in same)


@torch.inference_mode()
def test_features_do_not_depend_on_the_batch_and_are_the_same_every_time(tmp_path: Path) -> None:
    encoder, _ = opened(saved(tmp_path, "vjepa2"))
    video = VIDEO.repeat(3, 1, 1, 1, 1)  # more than are computed at once
    together = encoder(video)
    assert torch.equal(encoder(video), together)
    torch.testing.assert_close(encoder(VIDEO[1:2]), together[1:2])
    assert encoder(VIDEO[:, :3]).shape == together[:3].shape  # a shorter clip: some frames twice
    assert encoder(VIDEO.repeat(1, 5, 1, 1, 1)).shape == together[:3].shape


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_weight_can_be_tuned_on_a_task(tmp_path: Path, kind: str) -> None:
    encoder, _ = opened(saved(tmp_path, kind))
    model = add_readouts(encoder, num_classes=3, vocabulary_size=None, seed=0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    target, losses = torch.tensor([0, 1, 2]), []
    for _ in range(8):
        log_probs = model(VIDEO, torch.zeros(3, 0, dtype=torch.long)).log_probs
        assert log_probs is not None
        loss = F.nll_loss(log_probs, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    assert [name for name, each in model.named_parameters() if each.grad is None] == []


@pytest.mark.parametrize(
    ("kind", "head"),
    [("vjepa2", "classifier"), ("videomae", "classifier"), ("videomae", "pretraining")],
)
@torch.inference_mode()
def test_what_a_model_was_trained_with_is_left_where_it_is(
    tmp_path: Path, kind: str, head: str, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = saved(tmp_path, kind, head=head)
    stored = load_file(folder / "model.safetensors")
    capfd.readouterr()
    encoder, _ = opened(folder)
    assert len(encoder.state_dict()) < len(stored)
    own = {(*each.shape, float(each.sum())) for each in stored.values()}
    for name, each in encoder.state_dict().items():
        assert (*each.shape, float(each.sum())) in own, name
    said = capfd.readouterr()
    assert said.err == said.out == ""


def test_a_model_of_an_unknown_kind_gives_one_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface, "ORDERS", {})
    encoder, _ = opened(saved(tmp_path, "vivit"))
    with torch.inference_mode():
        assert encoder(VIDEO).shape == (3, 1, 16)


def test_wrong_weights_are_refused_by_their_first(tmp_path: Path) -> None:
    folder = saved(tmp_path, "videomae")
    path = folder / "model.safetensors"
    stored = load_file(path)
    name = next(name for name in stored if "layernorm_before.weight" in name)
    for wrong, said in (
        ({key: value for key, value in stored.items() if key != name}, "is missing"),
        ({**stored, name: torch.zeros(5)}, r"has shape \(5,\); expected \(16,\)"),
    ):
        save_file(wrong, path, metadata={"format": "pt"})
        with pytest.raises(CheckpointError, match=rf"weight {name} {said}"):
            opened(folder)
    path.write_bytes(path.read_bytes()[:-64])
    with pytest.raises(CheckpointError, match="weights cannot be read"):
        opened(folder)
    path.unlink()
    torch.save(stored, folder / "pytorch_model.bin")  # a pickle is not looked at
    with pytest.raises(CheckpointError, match="weights cannot be read"):
        opened(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"config.json": None}, r"no config\.json"),
        ({"config.json": "{"}, "not JSON"),
        ({"config.json": "[]"}, "expected a JSON object"),
        ({"config.json": "{}"}, 'without "model_type"'),
        ({"config.json": '{"model_type": "no-such-model"}'}, "no-such-model"),
        ({"config.json": '{"model_type": "bert"}'}, "takes no video; V-JEPA 2"),
        ({"preprocessor_config.json": None}, r"no preprocessor_config\.json"),
        ({"preprocessor_config.json": '{"image_std": [1, 1, 1]}'}, "image_mean or image_std is"),
    ],
)
def test_a_folder_that_does_not_say_all_is_refused(
    tmp_path: Path, change: Mapping[str, str | None], said: str
) -> None:
    folder = saved(tmp_path, "videomae")
    for name, text in change.items():
        if text is None:
            (folder / name).unlink()
        else:
            (folder / name).write_text(text)
    with pytest.raises(ConfigError, match=said):
        opened(folder)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_name_is_found_in_the_cache_and_never_fetched(hub: Path) -> None:
    with pytest.raises(ConfigError, match='fetched only if asked for: say weights = "download"'):
        open_encoder(WantedNetwork("huggingface", "some-lab/tiny-vjepa"), seed=0)
    repo = hub / "models--some-lab--tiny-vjepa"
    revision = "0" * 40
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(revision)
    saved(repo / "snapshots" / revision, "vjepa2")
    encoder, shape = open_encoder(WantedNetwork("huggingface", "some-lab/tiny-vjepa"), seed=0)
    assert encoder.width == 24
    assert shape.model == "some-lab/tiny-vjepa"


@pytest.mark.parametrize("name", ["no/such/folder", "a b"])
def test_what_is_neither_a_folder_nor_a_name_is_refused(hub: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="neither a folder nor"):
        open_encoder(WantedNetwork("huggingface", name), seed=0)


def test_what_cannot_be_fetched_is_said(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def unreachable(name: str, **options: object) -> str:
        assert options["local_files_only"] is False
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(ConfigError, match="cannot be fetched from the hub: no route to host"):
        open_encoder(WantedNetwork("huggingface", "some-lab/tiny", "download"), seed=0)


@pytest.mark.parametrize(
    ("processor", "white", "black"),
    [
        ({"image_mean": [0.5] * 3, "image_std": [0.5] * 3}, 1.0, -1.0),
        ({"do_normalize": False}, 1.0, 0.0),
        ({"do_normalize": False, "do_rescale": False}, 255.0, 0.0),
        ({"image_mean": [127.5] * 3, "image_std": [51] * 3, "do_rescale": False}, 2.5, -2.5),
        ({"do_normalize": False, "rescale_factor": 1 / 127.5, "offset": True}, 1.0, -1.0),
        ({"image_mean": [1.0] * 3, "image_std": [2.0] * 3, "rescale_factor": 1}, 127.0, -0.5),
    ],
)
def test_levels_become_what_the_processor_makes_of_them(
    processor: Mapping[str, object], white: float, black: float
) -> None:
    made = huggingface.preparation_of("m", {**CONFIGS["videomae"]}, processor)
    for level, expected in ((1.0, white), (0.0, black)):
        assert (level - made.mean[0]) / made.deviation[0] == pytest.approx(expected)


def test_the_librarys_log_is_as_loud_as_before(tmp_path: Path) -> None:
    library = transformers_library()
    library.utils.logging.enable_progress_bar()
    before = library.utils.logging.get_verbosity()
    folder = saved(tmp_path, "vivit")
    library.utils.logging.enable_progress_bar()
    opened(folder)
    assert library.utils.logging.get_verbosity() == before != logging.ERROR
    assert library.utils.logging.is_progress_bar_enabled()


def test_weights_that_are_not_there_are_missed_before_the_first_cell(tmp_path: Path) -> None:
    wanted = WantedNetwork("huggingface", str(saved(tmp_path, "videomae")))
    make_ready(wanted)
    weights = tmp_path / "model.safetensors"
    stored = load_file(weights)
    weights.rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(
        ConfigError, match=r"neither model\.safetensors nor model\.safetensors\.index"
    ):
        make_ready(wanted)
    make_ready(replace(wanted, weights="random"))
    name = next(name for name in stored if name.endswith("query.weight"))
    save_file({**stored, name: stored[name] * torch.nan}, weights, metadata={"format": "pt"})
    make_ready(wanted)
    with pytest.raises(CheckpointError, match=r"numbers of weight .*query\.weight are infinite or"):
        open_encoder(wanted, seed=0)
