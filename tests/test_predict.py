from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from taskgrain.data.sampling import FrameSampling
from taskgrain.errors import CheckpointError, ClipError
from taskgrain.labels.caption import CaptionForm
from taskgrain.labels.ssv2 import BRACKETED
from taskgrain.labels.taxonomy import ACTION_GROUP, CATEGORY, taxonomy_of
from taskgrain.labels.vocabulary import build_vocabulary
from taskgrain.models.build import build_model, compact_shape
from taskgrain.models.weights import save_weights
from taskgrain.predict import ModelDescription, Predictor
from tests.making import moving_square, write_video

TAXONOMY = taxonomy_of(sorted(BRACKETED)[:20])
VOCABULARY = build_vocabulary(["pushing a small red cup from left to right"])
SHAPE = compact_shape(spatial_widths=(4, 4), temporal_widths=(4, 4), lstm_width=8)


def checkpoint(folder: Path, level: str | None, form: CaptionForm | None) -> Path:
    vocabulary = None if form is None else VOCABULARY
    description = ModelDescription(
        "tiny", 3, SHAPE, TAXONOMY, level, form, vocabulary, FrameSampling(8, 36, 36, 32, 32)
    )
    model = build_model(
        SHAPE,
        num_classes=None if level is None else len(TAXONOMY.names(level)),
        vocabulary_size=None if vocabulary is None else len(vocabulary),
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
    assert set(said) == {"clip", "groups", "categories", "caption"}
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


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 9}, "format is not 1"),
        ({"taxonomy": None}, "stored taxonomy"),
        ({"caption": "sung"}, "caption is 'sung'"),
        ({"sampling": {"num_frames": 3}}, "missing"),
        ({"encoder": {"spatial": 1}}, "encoder shape"),
        ({"vocabulary": ["one", "word"]}, "does not fit|shape|size"),
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


def test_a_folder_that_is_no_checkpoint_says_what_one_is(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"expected a checkpoint folder with model\.json"):
        Predictor.from_checkpoint(tmp_path)
