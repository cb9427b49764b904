from __future__ import annotations

import json
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from taskgrain.checkpoint import ModelDescription, load_model
from taskgrain.cli.main import main
from taskgrain.data.sampling import FrameSampling
from taskgrain.describing import Describer
from taskgrain.errors import CheckpointError, ClipError
from taskgrain.familiarity import Familiarity
from taskgrain.labels.caption import CaptionForm
from taskgrain.labels.ssv2 import BRACKETED
from taskgrain.labels.taxonomy import ACTION_GROUP, CATEGORY, taxonomy_of
from taskgrain.labels.vocabulary import Vocabulary, build_vocabulary
from taskgrain.models.build import (
    COMPACT_DECODER,
    DecoderShape,
    EncoderShape,
    add_readouts,
    build_encoder,
)
from taskgrain.models.pretrained.opening import WantedNetwork, open_encoder
from taskgrain.models.weights import save_weights
from taskgrain.predict import Predictor
from tests.making import moving_square, write_video
from tests.networks import build_model, compact_shape

TAXONOMY = taxonomy_of(sorted(BRACKETED)[:20])
VOCABULARY = build_vocabulary(["pushing a small red cup from left to right"])
SHAPE = compact_shape(spatial_widths=(4, 4), temporal_widths=(4, 4), lstm_width=8)
SAMPLING = FrameSampling(8, 36, 36, 32, 32)
ATTENTIVE = DecoderShape(5, 6, 2, attention=True, first_weights="torch")


def checkpoint(
    folder: Path,
    level: str | None,
    form: CaptionForm | None,
    *,
    vocabulary: Vocabulary = VOCABULARY,
    decoder_shape: DecoderShape = COMPACT_DECODER,
    sampling: FrameSampling = SAMPLING,
) -> Path:
    said = None if form is None else vocabulary
    description = ModelDescription(
        "tiny", 3, SHAPE, TAXONOMY, level, form, said, sampling, decoder_shape
    )
    model = build_model(
        SHAPE,
        num_classes=None if level is None else len(TAXONOMY.names(level)),
        vocabulary_size=None if said is None else len(said),
        decoder_shape=decoder_shape,
        seed=3,
    )
    folder.mkdir()
    save_weights(model, folder / "model.safetensors")
    (folder / "model.json").write_text(json.dumps(description.to_json()))
    return folder


def test_a_description_survives_its_file(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "a", CATEGORY, "full")
    read = ModelDescription.read(folder / "model.json")
    assert json.loads(json.dumps(read.to_json())) == json.loads((folder / "model.json").read_text())
    assert read.taxonomy == TAXONOMY
    assert read.vocabulary == VOCABULARY


@pytest.mark.parametrize(
    ("level", "form", "given"),
    [
        (CATEGORY, "full", {"groups", "categories", "caption"}),
        (CATEGORY, None, {"groups", "categories"}),
        (ACTION_GROUP, None, {"groups"}),
        (None, "simplified", {"caption"}),
    ],
)
def test_a_model_says_what_it_was_trained_for_and_null_for_the_rest(
    tmp_path: Path, level: str | None, form: CaptionForm | None, given: set[str]
) -> None:
    predictor = Predictor.from_checkpoint(checkpoint(tmp_path / "a", level, form))
    clip = write_video(tmp_path / "clip.webm", moving_square(20))
    said = predictor.describe_file(clip, top=3).to_json()
    assert set(said) == {"clip", "groups", "categories", "caption", "problem", "typical"}
    assert {key for key in said if said[key] is not None} == given | {"clip"}


def test_a_group_is_as_probable_as_its_categories_together(tmp_path: Path) -> None:
    predictor = Predictor.from_checkpoint(checkpoint(tmp_path / "a", CATEGORY, None))
    said = predictor.describe([moving_square(20, size=36)], ["clip"], top=100)[0]
    assert said.groups is not None
    assert said.categories is not None
    expected = dict.fromkeys(TAXONOMY.names(ACTION_GROUP), 0.0)
    for each in said.categories:
        index = TAXONOMY.index_of(ACTION_GROUP)[TAXONOMY.category_index(each.name)]
        expected[TAXONOMY.names(ACTION_GROUP)[index]] += each.probability
    assert {each.name: each.probability for each in said.groups} == pytest.approx(expected)
    assert sum(each.probability for each in said.groups) == pytest.approx(1.0)
    probabilities = [each.probability for each in said.categories]
    assert probabilities == sorted(probabilities, reverse=True)


def test_a_clip_unlike_those_that_were_learned_from_is_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkpoint(tmp_path / "a", CATEGORY, None)
    own = [moving_square(number, size=36) for number in range(8, 58)]
    features = Predictor.from_checkpoint(folder).features(own)
    familiarity = Familiarity.of(features[::2], features[1::2])
    assert familiarity is not None
    familiarity.write(folder)
    noise = np.random.default_rng(0).integers(0, 256, (20, 36, 36, 3), dtype=np.uint8)
    *of_own, of_noise = Predictor.from_checkpoint(folder).describe([*own[1::2], noise])
    assert of_noise.typical == 1 / 26
    assert of_noise.is_unlike
    assert 0.3 < np.median([each.typical for each in of_own if each.typical]) < 0.7
    main(["describe", str(folder), str(write_video(tmp_path / "noise.webm", noise))])
    assert "unlike      what this model learned from" in capsys.readouterr().out


def test_describing_clips_together_changes_nothing(tmp_path: Path) -> None:
    predictor = Predictor.from_checkpoint(checkpoint(tmp_path / "a", CATEGORY, "full"))
    rng = np.random.default_rng(0)
    clips = [rng.integers(0, 255, (n, 36, 36, 3), dtype=np.uint8) for n in (9, 24)]
    together = predictor.describe(clips, ["a", "b"])
    for clip, name, said in zip(clips, ["a", "b"], together, strict=True):
        alone = predictor.describe([clip], [name])[0]
        assert alone.caption == said.caption
        assert alone.categories is not None
        assert said.categories is not None
        assert [c.name for c in alone.categories] == [c.name for c in said.categories]


def test_a_clip_that_is_no_video_is_refused(tmp_path: Path) -> None:
    predictor = Predictor.from_checkpoint(checkpoint(tmp_path / "a", CATEGORY, None))
    (tmp_path / "clip.mp4").write_text("no video")
    with pytest.raises(ClipError, match="not a video"):
        predictor.describe_file(tmp_path / "clip.mp4")


def test_a_clip_that_is_cut_off_is_described_with_what_is_wrong(tmp_path: Path) -> None:
    predictor = Predictor.from_checkpoint(checkpoint(tmp_path / "a", CATEGORY, None))
    clip = write_video(tmp_path / "clip.webm", moving_square(40))
    assert predictor.describe_file(clip).problem is None
    clip.write_bytes(clip.read_bytes()[: len(clip.read_bytes()) * 2 // 3])
    said = predictor.describe_file(clip)
    assert said.problem is not None
    assert said.problem.startswith("truncated: ")
    assert said.to_json()["problem"] == said.problem


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 1}, "format is not 2: .* by another version"),
        ({"taxonomy": None}, "taxonomy: found null; expected a table"),
        ({"caption": "sung"}, "caption: found \"sung\"; expected 'template'"),
        ({"sampling": {"num_frames": 3}}, r"sampling\.store_height: is missing"),
        ({"sampling": {**asdict(SAMPLING), "frames": 3}}, r"sampling\.frames: no such entry"),
        (
            {"sampling": {**asdict(SAMPLING), "stride": "2"}},
            r"sampling\.stride: found \"2\"; expected a whole number",
        ),
        ({"encoder": {**SHAPE.to_json(), "lstm_width": 10**5}}, "weight encoder.lstm.* has shape"),
        ({"encoder": {**SHAPE.to_json(), "lstm_width": 10**12}}, "describes no network: "),
        (
            {"decoder": {**COMPACT_DECODER.to_json(), "num_layers": 10**9}},
            "num_layers: found 1000000000; expected at most 64",
        ),
        ({"encoder": {"spatial": 1}}, "stored shape: .*spatial: found 1; expected a table"),
        ({"encoder": {**SHAPE.to_json(), "lstm_width": 0}}, "describes no network: hidden_size"),
        ({"vocabulary": None}, "expected all four, or none"),
        ({"vocabulary": ["cup", "cup"]}, "the vocabulary has 'cup' twice"),
        (
            {"vocabulary": ["one", "word"]},
            r"weight decoder.words.weight has shape \(13, 64\); expected \(6, 64\)",
        ),
        ({"caption": None}, "expected all four, or none"),
        ({"level": "species"}, "no level 'species'"),
        ({"words": "latin"}, "words: found \"latin\"; expected 'taskgrain' or 'paper'"),
        ({"decoder": {"word_width": 64}}, r"decoder\.lstm_width: is missing"),
        (
            {"decoder": {**COMPACT_DECODER.to_json(), "attention": False}},
            "weight decoder.lstm.weight_ih_l0 has shape",
        ),
        ({"encoder": None}, "encoder of your own"),
    ],
)
def test_a_damaged_description_is_refused_by_name(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    folder = checkpoint(tmp_path / "a", CATEGORY, "full")
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=said):
        Predictor.from_checkpoint(folder)


def test_json_of_a_hundred_thousand_brackets_is_refused(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "a", CATEGORY, None)
    (folder / "model.json").write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match=r"model\.json: not JSON"):
        load_model(folder)


def test_a_folder_that_is_no_checkpoint_says_what_one_is(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"expected a checkpoint folder with model\.json"):
        Predictor.from_checkpoint(tmp_path)


def test_a_decoder_of_another_shape_and_its_words_come_back(tmp_path: Path) -> None:
    vocabulary = build_vocabulary(["it doesn't fall"], rule="paper")
    folder = checkpoint(
        tmp_path / "a", None, "full", vocabulary=vocabulary, decoder_shape=ATTENTIVE
    )
    model, description = load_model(folder)
    assert description.decoder_shape == ATTENTIVE
    assert description.vocabulary == vocabulary
    assert vocabulary.words == ("DOESNT", "FALL", "IT")
    assert model.decoder is not None
    assert model.decoder.attention is not None
    clips = [moving_square(20, size=36), moving_square(9, size=36)[::-1]]
    together = Describer(model, description, "cpu").describe(clips, ["a", "b"])
    alone = Predictor.from_checkpoint(folder).describe(clips[1:], ["b"])
    assert together[1] == alone[0]
    assert together[1].caption is not None
    assert set(together[1].caption.split()) <= {*vocabulary.words, "<unk>"}


@pytest.mark.slow
def test_an_encoder_from_elsewhere_is_rebuilt_from_its_shape(tmp_path: Path) -> None:
    if find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    encoder, shape = open_encoder(
        WantedNetwork("torchvision", "resnet18", weights="random", single_frame=True), seed=3
    )
    folder = tmp_path / "a"
    folder.mkdir()
    description = ModelDescription("tiny", 3, shape, TAXONOMY, CATEGORY, None, None, SAMPLING)
    model = add_readouts(encoder, num_classes=20, vocabulary_size=None, seed=3).eval()
    save_weights(model, folder / "model.safetensors")
    (folder / "model.json").write_text(json.dumps(description.to_json()))
    clips, names = [moving_square(20, size=36)], ["a"]
    assert Predictor.from_checkpoint(folder).describe(clips, names) == Describer(
        model, description, "cpu"
    ).describe(clips, names)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("narrower", r"weight encoder\.spatial\.layers\.0\.0\.weight has shape"),
        ("one channel", r"weight encoder\.temporal\.layers\.0\.0\.weight is missing"),
        ("no decoder", r"weight decoder\.condition\.weight is missing"),
        ("no head", r"weight head\.linear\.\w+ is not part of this model"),
        ("cut off", "not a whole safetensors file"),
        ("gone", "no such file"),
    ],
)
def test_weights_of_another_architecture_are_refused_by_the_first_that_does_not_fit(
    tmp_path: Path, change: str, said: str
) -> None:
    num_words = len(VOCABULARY)
    others: dict[str, tuple[EncoderShape, int | None]] = {
        "narrower": (compact_shape(spatial_widths=(3, 4), temporal_widths=(4, 4)), num_words),
        "one channel": (compact_shape(spatial_widths=(4, 4), temporal_widths=()), num_words),
        "no decoder": (SHAPE, None),
        "no head": (SHAPE, num_words),
    }
    level = None if change == "no head" else CATEGORY
    folder = checkpoint(tmp_path / "a", level, "full")
    path = folder / "model.safetensors"
    if change in others:
        shape, vocabulary_size = others[change]
        other = build_model(shape, num_classes=20, vocabulary_size=vocabulary_size, seed=0)
        save_weights(other, path)
    elif change == "cut off":
        path.write_bytes(path.read_bytes()[:-9])
    else:
        path.unlink()
    with pytest.raises(CheckpointError, match=said) as caught:
        load_model(folder)
    assert str(path) in str(caught.value)


def test_an_encoder_of_ones_own_that_is_another_is_refused(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "a", CATEGORY, None)
    wider = compact_shape(spatial_widths=(4, 5), temporal_widths=(4, 4), lstm_width=8)
    with pytest.raises(CheckpointError, match=r"weight encoder\.spatial\.layers\.1\.0\.weight"):
        load_model(folder, encoder=build_encoder(wider, 0))


def test_a_clip_shorter_than_the_window_repeats_its_last_frame(tmp_path: Path) -> None:
    sampling = FrameSampling(8, 36, 36, 32, 32, stride=1)
    predictor = Predictor.from_checkpoint(
        checkpoint(tmp_path / "a", CATEGORY, "full", sampling=sampling)
    )
    short = moving_square(20, size=36)[:3]
    padded = np.concatenate([short, np.repeat(short[-1:], 5, axis=0)])
    said = predictor.describe([short, padded], ["a", "a"])
    assert said[0] == said[1]


def test_a_clip_with_fewer_frames_than_are_seen_shows_some_twice(tmp_path: Path) -> None:
    predictor = Predictor.from_checkpoint(checkpoint(tmp_path / "a", CATEGORY, "full"))
    short = moving_square(20, size=36)[:2]
    said = predictor.describe([short, np.repeat(short, 4, axis=0)], ["a", "a"])
    assert said[0] == said[1]
