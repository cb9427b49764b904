from __future__ import annotations

from pathlib import Path

import pytest

from taskgrain.data.manifest import Manifest, Split
from taskgrain.data.opening import read_manifest
from taskgrain.labels.caption import CAPTION_FORMS, CaptionForm
from taskgrain.labels.template import words_of
from taskgrain.labels.vocabulary import MAX_TOKENS
from taskgrain.study.source_scores import SpokenTruth
from taskgrain.study.sources import captions_in
from tests.making import row, write_annotations

UNPLUG = "Plugging [something] into [something] but pulling it right out as you remove your hand"
ONTO = "Putting [something] onto [something]"
NUMBER = "Putting [number of] [something] onto [something]"
TWO = "Putting [something] and [something] on the table"
THREE = "Putting [something], [something] and [something] on the table"
SOFT, SUBSTANCE = "Poking a hole into [something soft]", "Poking a hole into [some substance]"
UPRIGHT = (
    "Putting [something that cannot actually stand upright] upright on the table, so it falls "
    "on its side"
)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    rows: list[object] = [
        row("1", UNPLUG, "a cable", "a socket"),
        row("2", "Plugging [something] into [something]", "a cable", "the long white wall socket"),
        row("3", NUMBER, "two", "red cups", "a box"),
        row("4", ONTO, "a red cup", "a box"),
        row("5", THREE, "a pen", "a book", "a cup"),
        row("6", TWO, "a pen", "a book"),
        row("7", SOFT, "some foam"),
        row("8", SUBSTANCE, "some clay"),
        row("9", UPRIGHT, "a thin pen"),
        row("10", SUBSTANCE, "a very big lump of clay that is on the old kitchen table"),
    ]
    train = [{**each, "id": f"t{each['id']}"} for each in rows if isinstance(each, dict)]
    return read_manifest(write_annotations(tmp_path, list(train), rows))


@pytest.mark.parametrize("form", CAPTION_FORMS)
def test_the_truth_said_back_is_right_in_everything(manifest: Manifest, form: CaptionForm) -> None:
    records = manifest.split(Split.VALIDATION)
    said = [
        " ".join(words_of(captions_in(form, record)[0])[: MAX_TOKENS - 1]) for record in records
    ]
    counts = SpokenTruth(form, manifest).count(said, records)
    assert counts.num_parsed == len(records)
    assert counts.exact_match == counts.template_accuracy == 1.0
    assert counts.num_objects == counts.num_objects_right
    assert counts.num_objects == (0 if form == "template" else 18)


@pytest.mark.parametrize(
    ("clip", "said", "template", "objects"),
    [
        ("1", "plugging a wire into a socket but pulling it right out as you", 1, 1),
        ("2", "plugging a cable into a socket but pulling it right out as you", 0, 1),
        ("3", "putting three cups onto a box", 1, 1),
        ("4", "putting a blue cup onto a box", 1, 1),
        ("4", "putting two cups onto a box", 0, 0),
        ("7", "poking a hole into some clay", 1, 0),
    ],
)
def test_what_is_said_of_one_template_is_taken_for_no_other(
    manifest: Manifest, clip: str, said: str, template: int, objects: int
) -> None:
    record = next(each for each in manifest.records if each.clip_id == clip)
    counts = SpokenTruth("full", manifest).count([said], [record])
    assert (counts.num_templates_right, counts.num_objects_right) == (template, objects)


def test_a_free_sentence_has_no_template(tmp_path: Path) -> None:
    rows: list[object] = [{**row("1", "Nodding"), "label": "a man says yes"}, row("2", "Waving")]
    manifest = read_manifest(write_annotations(tmp_path, rows, [row("3", "Nodding")]))
    truth = SpokenTruth("full", manifest)
    counts = truth.count(["a man says yes", "waving"], manifest.split(Split.TRAIN))
    assert (counts.num_exact, counts.num_parsed, counts.num_templates_right) == (2, 1, 1)
