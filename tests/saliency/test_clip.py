from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from taskgrain.checkpoint import ModelDescription
from taskgrain.data.sampling import FrameSampling
from taskgrain.decoding import BeamSettings
from taskgrain.describing import Describer
from taskgrain.labels.caption import CaptionForm
from taskgrain.labels.taxonomy import CATEGORY, taxonomy_of
from taskgrain.labels.vocabulary import BOS, build_vocabulary
from taskgrain.saliency.clip import draw_explanation, targets_of
from taskgrain.saliency.grad_cam import ClassTarget, WordTarget
from tests.making import PULL, PUSH, moving_square, write_video
from tests.networks import build_model, compact_shape

TAXONOMY = taxonomy_of([PULL, PUSH])
VOCABULARY = build_vocabulary(["pushing a small red cup from left to right"])
SHAPE = compact_shape(spatial_widths=(4, 4), temporal_widths=(4, 4), lstm_width=8)
STRETCHED = FrameSampling(8, 36, 36, 32, 32)


def make_describer(
    level: str | None,
    form: CaptionForm | None,
    sampling: FrameSampling = STRETCHED,
    beam_width: int = 1,
) -> Describer:
    vocabulary = None if form is None else VOCABULARY
    description = ModelDescription("tiny", 3, SHAPE, TAXONOMY, level, form, vocabulary, sampling)
    model = build_model(
        SHAPE,
        num_classes=None if level is None else len(TAXONOMY.names(level)),
        vocabulary_size=None if vocabulary is None else len(vocabulary),
        seed=0,
    )
    return Describer(model, description, "cpu", BeamSettings(beam_width))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("level", "form", "beam_width"),
    [(CATEGORY, "full", 1), (CATEGORY, None, 1), (None, "full", 1), (CATEGORY, "full", 8)],
)
def test_what_is_explained_is_what_is_said(
    tmp_path: Path, level: str | None, form: CaptionForm | None, beam_width: int
) -> None:
    describer = make_describer(level, form, beam_width=beam_width)
    clip = write_video(tmp_path / "clip.webm", moving_square(20, size=48))
    said = describer.describe_file(clip)
    found = draw_explanation(describer, clip, tmp_path / "out.webp")
    classes = [] if said.categories is None else [said.categories[0].name]
    words = [] if said.caption is None else said.caption.split()
    assert found is not None
    assert list(found.names) == classes + words
    assert len(found.names) >= 1
    assert found.maps.shape[1:] == (8, 32, 32)


def test_a_clip_with_an_empty_caption_and_no_class_is_drawn_alone(tmp_path: Path) -> None:
    describer = make_describer(None, "full", beam_width=8)
    clip = write_video(tmp_path / "clip.webm", moving_square(20, size=48))
    assert describer.describe_file(clip).caption == ""
    assert draw_explanation(describer, clip, tmp_path / "out.webp") is None
    with Image.open(tmp_path / "out.webp") as drawn:
        drawn.seek(1)  # raises EOFError where there is one frame alone


def test_each_word_is_given_the_words_before_it() -> None:
    describer = make_describer(CATEGORY, "full")
    video = torch.from_numpy(moving_square(8))
    best, *words = targets_of(describer.model, describer.description, video)
    assert isinstance(best, ClassTarget)
    assert len(words) >= 2
    for place, target in enumerate(words):
        assert isinstance(target, WordTarget)
        assert len(target.tokens) == place + 2
        assert VOCABULARY.decode(target.tokens[-1:]) == target.name
    last = words[-1]
    assert isinstance(last, WordTarget)
    assert last.tokens[0] == BOS
    assert VOCABULARY.decode(last.tokens) == " ".join(target.name for target in words)


@pytest.mark.parametrize(
    ("sampling", "width"),
    [
        (STRETCHED, 288),  # two to one, as the clip
        (FrameSampling(8, 36, 36, 32, 32, fit="crop"), 144),
        (FrameSampling(8, 36, 40, 32, 24, stride=1), 194),  # 24 / 40 of the width, 32 / 36 high
    ],
)
def test_a_clip_is_shown_in_its_own_aspect(
    tmp_path: Path, sampling: FrameSampling, width: int
) -> None:
    frames = np.repeat(moving_square(20, size=48), 2, axis=2)
    clip = write_video(tmp_path / "clip.webm", frames)
    draw_explanation(make_describer(CATEGORY, None, sampling), clip, tmp_path / "out.webp")
    with Image.open(tmp_path / "out.webp") as image:
        assert image.width == 14 + 2 * (width + 14)
        shown = [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]
    assert len(shown) == 8


@pytest.mark.slow
def test_a_folder_of_images_is_explained_too(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    for n, frame in enumerate(moving_square(12, size=40)):
        Image.fromarray(frame).save(folder / f"{n:05}.png")
    found = draw_explanation(make_describer(CATEGORY, None), folder, tmp_path / "out.webp")
    assert found is not None
    assert found.names[0] in TAXONOMY.categories
    assert (tmp_path / "out.webp").stat().st_size > 1000
