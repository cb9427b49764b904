from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from taskgrain.checkpoint import ModelDescription
from taskgrain.config.load import load_study
from taskgrain.config.settings import Study
from taskgrain.data.sampling import FrameSampling
from taskgrain.errors import CheckpointError, ConfigError
from taskgrain.labels.caption import CaptionForm
from taskgrain.labels.taxonomy import Taxonomy
from taskgrain.labels.vocabulary import Vocabulary
from taskgrain.models.build import EncoderShape, temporal_channel
from taskgrain.models.encoder import Pixels, TwoChannelEncoder
from taskgrain.models.model import SourceModel
from taskgrain.models.weights import save_weights
from taskgrain.study.learning import check_training
from taskgrain.study.networks import shape_of
from taskgrain.study.warm_start import begin_with
from tests.networks import build_model, compact_shape

TINY = compact_shape(spatial_widths=(2, 3), temporal_widths=(2, 3), lstm_width=4)
SAMPLING = FrameSampling(4, 16, 16, 16, 16)
WORDS = ("cup", "pushing")
CATEGORIES = ("Pulling something", "Pushing something", "Turning something")
SMOKE = ("sources=[{name='first', classify='category'}, %s]",
         "primary.source=first", "primary.versus=second")  # fmt: skip


def describe(
    shape: EncoderShape | None = TINY,
    *,
    seed: int = 0,
    categories: tuple[str, ...] = CATEGORIES,
    form: CaptionForm | None = "full",
    words: tuple[str, ...] = WORDS,
) -> tuple[SourceModel, ModelDescription]:
    model = build_model(
        shape or TINY,
        num_classes=len(categories),
        vocabulary_size=None if form is None else len(Vocabulary(words)),
        seed=seed,
    )
    taxonomy = Taxonomy(categories)
    vocabulary = None if form is None else Vocabulary(words)
    return model, ModelDescription(
        "first", seed, shape, taxonomy, "category", form, vocabulary, SAMPLING
    )


def save(folder: Path, model: SourceModel, description: ModelDescription) -> Path:
    save_weights(model, folder / "model.safetensors")
    (folder / "model.json").write_text(json.dumps(description.to_json()), encoding="utf-8")
    return folder


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return save(tmp_path / "last", *describe(seed=1))


def test_the_encoder_alone_is_taken_and_what_is_left_out_is_said(checkpoint: Path) -> None:
    stored, _ = describe(seed=1)
    model, description = describe(seed=2, form=None, categories=("a", "b"))
    head = {name: value.clone() for name, value in model.state_dict().items()}
    entry, _ = begin_with(model, description, checkpoint, "encoder")
    for name, value in model.state_dict().items():
        held = stored.state_dict()[name] if name.startswith("encoder.") else head[name]
        assert torch.equal(value, held), name
    left_out = entry["left_out"]
    assert isinstance(left_out, list)
    assert left_out
    assert set(left_out) == {n for n in stored.state_dict() if not n.startswith("encoder.")}
    assert (entry["source"], entry["seed"], entry["parts"]) == ("first", 1, "encoder")
    assert len(str(entry["weights_sha256"])) == 64


def test_everything_is_taken_where_classes_and_words_are_the_same(checkpoint: Path) -> None:
    stored, _ = describe(seed=1)
    model, description = describe(seed=2)
    assert begin_with(model, description, checkpoint, "all")[0]["left_out"] == []
    held = stored.state_dict()
    assert all(torch.equal(value, held[name]) for name, value in model.state_dict().items())


def test_inputs_keep_the_deviation_that_the_weights_were_learned_with(tmp_path: Path) -> None:
    shown = temporal_channel((2, 3), "compact", shown="centred")
    held, new = (
        replace(TINY, temporal=shown, pixels=Pixels(120.0, 60.0, centred_deviation=deviation))
        for deviation in (20.0, 5.0)
    )
    folder = save(tmp_path / "last", *describe(held, seed=1))
    model, description = describe(new, seed=2)
    _, encoder = begin_with(model, description, folder, "encoder")
    assert isinstance(encoder, dict)
    assert encoder["pixels"]["centred_deviation"] == 20.0
    assert isinstance(model.encoder, TwoChannelEncoder)
    assert float(model.encoder.inputs.centred_scale) == pytest.approx(1 / 20.0)


OTHER = compact_shape(spatial_widths=(2, 3), temporal_widths=(2, 3), lstm_width=5)
DEEPER = compact_shape(spatial_widths=(2, 3, 3), temporal_widths=(2, 3), lstm_width=4)
SLOWER = replace(TINY, spatial=replace(TINY.spatial, frame_stride=2))


@pytest.mark.parametrize(
    ("wanted", "parts", "message"),
    [
        (describe(OTHER), "encoder", r"is of another encoder: encoder\.lstm_width is 4; expected"),
        (
            describe(DEEPER),
            "encoder",
            r"encoder\.spatial\.layers \(number of them\) is 2; expected 3",
        ),
        (describe(SLOWER), "encoder", r"encoder\.spatial\.frame_stride is 4; expected 2"),
        (
            describe(categories=("Pulling something", "Shaking something", "Turning something")),
            "all",
            "class 1 is 'Pushing something'; expected 'Shaking something'; begin with the encoder",
        ),
        (describe(categories=CATEGORIES[:2]), "all", r"class \(number of them\) is 3; expected 2"),
        (describe(words=("cup", "pulling")), "all", "word 1 is 'pushing'; expected 'pulling'"),
        (describe(form=None), "all", "caption is 'full'; expected None"),
        (describe(form="template"), "all", "caption is 'full'; expected 'template'"),
    ],
)
def test_what_does_not_fit_is_named_and_the_model_stays_as_it_was(
    checkpoint: Path, wanted: tuple[SourceModel, ModelDescription], parts: str, message: str
) -> None:
    model, description = wanted
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=message):
        begin_with(model, description, checkpoint, "all" if parts == "all" else "encoder")
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_dropout_is_no_weight_and_may_differ(tmp_path: Path) -> None:
    shape = replace(TINY, feature_width=4, dropout=0.5)
    folder = save(tmp_path / "last", *describe(shape, seed=1))
    model, description = describe(replace(shape, dropout=0.1))
    assert begin_with(model, description, folder, "encoder")[0]["left_out"]


def test_an_encoder_of_ones_own_is_known_by_its_weights(tmp_path: Path) -> None:
    model, description = describe(OTHER)
    folder = save(tmp_path / "last", model, replace(description, shape=None))
    fresh, wanted = describe()
    with pytest.raises(CheckpointError, match=r"weight encoder\.lstm\.\S+ has shape"):
        begin_with(fresh, replace(wanted, shape=None), folder, "encoder")


def study_of(second: str, *more: str) -> Study:
    return load_study("smoke", [SMOKE[0] % second, *SMOKE[1:], *more])


def test_a_source_begins_with_an_earlier_one() -> None:
    check_training(study_of("{name='second', caption='full', warm_start='first'}"))


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("{name='second', caption='full', warm_start='frst'}", r"no source .* mean 'first'\?; a f"),
        (
            "{name='second', caption='full', warm_start='first', warm_start_parts='all'}",
            "learns another task",
        ),
        (
            "{name='second', classify='category', warm_start='first', encoder='other'}",
            "has another encoder",
        ),
    ],
)
def test_a_warm_start_that_cannot_be_is_refused_at_laying_out(second: str, message: str) -> None:
    study = study_of(second, "encoders={other={lstm_width=7}}")
    with pytest.raises(ConfigError, match=message):
        check_training(study)


def test_a_folder_is_looked_into_at_laying_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    second = "{name='second', caption='full', warm_start='./last'}"
    study = study_of(second)
    assert study.sources[1].warm_start == str(tmp_path / "last")
    with pytest.raises(CheckpointError, match=r"last/model\.json: No such file"):
        check_training(study)
    model, description = describe()
    save(tmp_path / "last", model, replace(description, shape=shape_of(study.encoder)))
    check_training(study)
    with pytest.raises(CheckpointError, match=r"encoder\.lstm_width is 128; expected 9"):
        check_training(study_of(second, "encoder.lstm_width=9"))
    (tmp_path / "last" / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors: no such file"):
        check_training(study)
