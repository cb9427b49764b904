from __future__ import annotations

import math
from pathlib import Path

import pytest
from scipy import stats

from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.data.opening import read_manifest
from taskgrain.labels.caption import CAPTION_FORMS, CaptionForm
from taskgrain.labels.template import words_of
from taskgrain.labels.vocabulary import MAX_TOKENS
from taskgrain.metrics.captions import CaptionCounts
from taskgrain.metrics.references import ReferenceClip
from taskgrain.study.caption_scores import CaptionScores, SpokenTruth, blind
from taskgrain.study.sources import Score, captions_in
from taskgrain.tools.score.scoring import score_clips
from tests.making import row, write_annotations

UNPLUG = "Plugging [something] into [something] but pulling it right out as you remove your hand"
ONTO_IT = "Putting [something] onto [something]"
NUMBER = "Putting [number of] [something] onto [something]"
TWO = "Putting [something] and [something] on the table"
THREE = "Putting [something], [something] and [something] on the table"
SOFT, SUBSTANCE = "Poking a hole into [something soft]", "Poking a hole into [some substance]"
UPRIGHT = (
    "Putting [something that cannot actually stand upright] upright on the table, so it falls "
    "on its side"
)


def total(clips: list[CaptionCounts]) -> CaptionCounts:
    return CaptionCounts(*map(sum, zip(*clips, strict=True)))


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    rows: list[object] = [
        row("1", UNPLUG, "a cable", "a socket"),
        row("2", "Plugging [something] into [something]", "a cable", "the long white wall socket"),
        row("3", NUMBER, "two", "red cups", "a box"),
        row("4", ONTO_IT, "a red cup", "a box"),
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
    counts = total(SpokenTruth(form, manifest).count(said, records))
    assert counts.num_parsed == len(records)
    assert counts.num_exact == counts.num_clips == counts.num_templates_right == len(records)
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
    counts = total(SpokenTruth("full", manifest).count([said], [record]))
    assert (counts.num_templates_right, counts.num_objects_right) == (template, objects)


def test_a_free_sentence_has_no_template(tmp_path: Path) -> None:
    rows: list[object] = [{**row("1", "Nodding"), "label": "a man says yes"}, row("2", "Waving")]
    manifest = read_manifest(write_annotations(tmp_path, rows, [row("3", "Nodding")]))
    truth = SpokenTruth("full", manifest)
    counts = total(truth.count(["a man says yes", "waving"], manifest.split(Split.TRAIN)))
    assert (counts.num_exact, counts.num_parsed, counts.num_templates_right) == (2, 1, 1)
    # Said with its template, it is right at coarser forms; the free sentence only word for word.
    clips = manifest.split(Split.TRAIN)
    assert truth.is_right_at("template", ["a man says yes", "Waving"], clips) == [True, True]
    assert truth.is_right_at("template", ["nodding", "nodding"], clips) == [False, False]


def record_of(manifest: Manifest, clip: str) -> ClipRecord:
    return next(each for each in manifest.records if each.clip_id == clip)


@pytest.mark.parametrize(
    ("clip", "said", "simplified", "template"),
    [
        ("4", "putting a red cup onto a box", True, True),
        ("4", "putting the very big cup onto this box", True, True),
        ("4", "putting a red cup onto a bag", False, True),
        ("4", "putting a red <unk> onto a box", False, True),
        ("4", "putting two cups onto a box", False, False),
        ("4", "", False, False),
        ("4", "cup cup box", False, False),
        ("8", "poking a hole into a ball of clay", True, True),
        # These two say the same but for their brackets, so they are one template.
        ("8", "poking a hole into some foam", False, True),
        # Cut where a decoder must stop: nothing is known of the objects, but of the template.
        ("1", "plugging a cable into a socket but pulling it right out as you remove", True, True),
        ("10", "poking a hole into a very big lump of clay that is on", True, True),
        ("10", "poking a hole into clay", False, True),
    ],
)
def test_full_captions_are_compared_at_coarser_forms(
    manifest: Manifest, clip: str, said: str, simplified: bool, template: bool
) -> None:
    truth, record = SpokenTruth("full", manifest), record_of(manifest, clip)
    assert truth.is_right_at("simplified", [said], [record]) == [simplified]
    assert truth.is_right_at("template", [said], [record]) == [template]


def test_what_is_right_at_a_form_is_what_a_source_of_that_form_says(manifest: Manifest) -> None:
    full, simplified = SpokenTruth("full", manifest), SpokenTruth("simplified", manifest)
    for record in manifest.split(Split.VALIDATION):
        for said in simplified.captions(record):
            assert full.is_right_at("simplified", [said], [record]) == [True], said
            assert simplified.is_right_at("template", [said], [record]) == [True], said


def test_any_caption_of_a_clip_may_be_said(tmp_path: Path) -> None:
    several = {**row("1", ONTO_IT, "a cup", "a box"), "captions": ["putting a mug onto a crate"]}
    manifest = read_manifest(write_annotations(tmp_path, [several, row("2", SOFT)], [row("3")]))
    truth, records = SpokenTruth("full", manifest), [record_of(manifest, "1")]
    for said in ("putting a cup onto a box", "Putting a mug onto a crate."):
        assert total(truth.count([said], records)).num_exact == 1
        assert truth.is_right_at("simplified", [said], records) == [True]
    assert total(truth.count(["putting a mug onto a box"], records)).num_exact == 0
    assert truth.is_right_at("simplified", ["putting my mug onto one crate"], records) == [True]


def test_captions_of_the_papers_words_are_read_by_its_rule(tmp_path: Path) -> None:
    doesnt = "Pushing [something] so it doesn't fall over"
    rows: list[object] = [row("1", doesnt, "a child's 2 cups"), row("2", ONTO_IT, "a cup", "a box")]
    manifest = read_manifest(write_annotations(tmp_path, rows, [row("3")]))
    truth, record = SpokenTruth("full", manifest, "paper"), record_of(manifest, "1")
    said = "PUSHING A CHILDS CUPS SO IT DOESNT FALL OVER"
    assert truth.captions(record) == (said.lower(),)
    counts = total(truth.count([said], [record]))
    assert counts.num_exact == counts.num_templates_right == counts.num_objects_right == 1
    other = "PUSHING CUPS SO IT DOESNT FALL OVER"
    assert truth.is_right_at("simplified", [other], [record]) == [True]
    assert total(truth.count([other], [record])).num_exact == 0


RIGHT = "Pushing [something] from left to right"
LEFT = "Pushing [something] from right to left"
ONTO = "Putting [something] onto [something]"
THINGS = ("a red cup", "a small box", "a pen", "an old book", "a red ball")


def make(tmp_path: Path, num_clips: int = 40) -> Manifest:
    templates = (RIGHT, LEFT, ONTO)
    rows: list[object] = [
        row(
            str(n),
            templates[n % 3],
            *[THINGS[(n + k) % 5] for k in range(templates[n % 3].count("["))],
        )
        for n in range(2 * num_clips)
    ]
    return read_manifest(write_annotations(tmp_path, rows[:num_clips], rows[num_clips:]))


def scored(
    manifest: Manifest, form: CaptionForm, said: list[str], *, missing: int | None = None
) -> dict[tuple[str | None, str], Score]:
    records = manifest.split(Split.VALIDATION)
    is_decoded = [n != missing for n in range(len(records))]
    found = CaptionScores(form, manifest, records).of_source(said, is_decoded, [form])
    assert len({(score.control, score.metric) for score in found}) == len(found)
    return {(score.control, score.metric): score for score in found}


def truth(manifest: Manifest, form: CaptionForm) -> list[str]:
    return [captions_in(form, record)[0] for record in manifest.split(Split.VALIDATION)]


@pytest.mark.parametrize("form", CAPTION_FORMS)
def test_the_truth_is_right_at_every_grain(tmp_path: Path, form: CaptionForm) -> None:
    manifest = make(tmp_path)
    scores = scored(manifest, form, truth(manifest, form))
    own = {metric: score for (control, metric), score in scores.items() if control is None}
    for metric, score in own.items():
        if metric not in ("cider-d", "direction-errors") and not math.isnan(score.value):
            assert score.value == pytest.approx(1.0), metric
    assert own["direction-errors"].value == 0.0
    at = {metric for metric in own if metric.startswith("exact-match-at-")}
    assert at == {
        "full": {"exact-match-at-simplified", "exact-match-at-template"},
        "template": set(),
    }.get(form, {"exact-match-at-template"})


def test_scores_are_those_of_taskgrain_score(tmp_path: Path) -> None:
    manifest = make(tmp_path)
    said = truth(manifest, "full")
    said[0], said[3], said[5] = "pushing a cup", "", said[4]
    scores = scored(manifest, "full", said)
    records = manifest.split(Split.VALIDATION)
    references = {
        record.clip_id: ReferenceClip(record.captions, record.template, record.placeholders)
        for record in records
    }
    apart = score_clips(said, references)
    for metric in ("exact-match", "object-accuracy", "bleu-4", "rouge-l", "cider-d"):
        found, interval = scores[None, metric], apart.intervals[metric]
        assert found.value == pytest.approx(apart.values[metric], abs=1e-12), metric
        assert interval is not None
        assert found.interval is not None
        assert found.interval.low == pytest.approx(interval.low, abs=1e-12)
        assert found.interval.kind == "clips"


def test_floors_stand_beside_every_score(tmp_path: Path) -> None:
    manifest = make(tmp_path)
    scores = scored(manifest, "full", truth(manifest, "full"))
    controls = ("commonest-word", "commonest-caption", "same-category", "blind-decoder")
    for control in controls:
        assert scores[control, "bleu-4"].value < scores[None, "bleu-4"].value
        assert scores[control, "exact-match"].value < 1.0
        assert scores[control, "exact-match"].interval is None
    for control in ("commonest-word", "same-category"):
        assert scores[control, "template-accuracy"].value == 1.0
    assert scores["blind-decoder", "template-accuracy"].value < 0.7
    assert scores["blind-decoder", "direction-errors"].value > 0.0
    bare = scored(manifest, "template", truth(manifest, "template"))
    assert {control for control, _ in bare} == {None, "commonest-caption", "blind-decoder"}


def test_coarser_forms_of_other_sources_are_scored_too(tmp_path: Path) -> None:
    manifest = make(tmp_path)
    said = [text.replace("small box", "big box") for text in truth(manifest, "full")]
    records = manifest.split(Split.VALIDATION)
    found = CaptionScores("full", manifest, records).of_source(
        said, [True] * len(said), ["simplified-head-noun", "full"]
    )
    values = {score.metric: score.value for score in found if score.control is None}
    assert values["exact-match"] < 1.0
    assert values["exact-match-at-simplified"] == 1.0
    assert values["exact-match-at-simplified-head-noun"] == 1.0
    assert values["exact-match-at-template"] == 1.0


def test_any_caption_of_a_clip_is_right(tmp_path: Path) -> None:
    rows: list[object] = [
        {**row(str(n), RIGHT, THINGS[n % 5]), "captions": ["a hand pushes a thing"]}
        for n in range(6)
    ]
    manifest = read_manifest(write_annotations(tmp_path, rows[:3], rows[3:]))
    scores = scored(manifest, "full", ["a hand pushes a thing"] * 3)
    assert scores[None, "exact-match"].value == 1.0
    assert scores[None, "bleu-4"].value == pytest.approx(1.0)
    assert scores[None, "exact-match-at-simplified"].value == 1.0


def test_free_sentences_have_no_coarser_form(tmp_path: Path) -> None:
    rows: list[object] = [{**row(str(n), "Nodding"), "label": f"he nods {n}"} for n in range(6)]
    manifest = read_manifest(write_annotations(tmp_path, rows[:3], rows[3:]))
    scores = scored(manifest, "full", truth(manifest, "full"))
    assert scores[None, "exact-match"].value == 1.0
    assert not any(metric.startswith("exact-match-at-") for _, metric in scores)
    assert math.isnan(scores[None, "template-accuracy"].value)


def test_a_clip_that_was_not_decoded_is_wrong_and_lends_nobody_its_caption(
    tmp_path: Path,
) -> None:
    manifest = make(tmp_path)
    said = truth(manifest, "full")
    said[7] = ""
    scores = scored(manifest, "full", said, missing=7)
    assert scores[None, "exact-match"].value == 39 / 40
    is_decoded = [n != 7 for n in range(40)]
    shuffled = blind(said, is_decoded)
    assert shuffled[7] == ""
    assert sorted(shuffled) == sorted(said)


@pytest.mark.parametrize("num_clips", [2, 3, 50])
def test_no_clip_keeps_its_own_caption_before_the_blind(num_clips: int) -> None:
    said = [f"caption {n}" for n in range(num_clips)]
    shuffled = blind(said, [True] * num_clips)
    assert sorted(shuffled) == sorted(said)
    assert all(own != other for own, other in zip(said, shuffled, strict=True))
    assert shuffled == blind(said, [True] * num_clips)


def test_one_decoded_clip_has_no_blind_decoder(tmp_path: Path) -> None:
    manifest = make(tmp_path, num_clips=1)
    controls = {control for control, _ in scored(manifest, "full", ["a cup"])}
    assert "blind-decoder" not in controls


def test_a_decoder_that_is_always_right_has_an_interval(tmp_path: Path) -> None:
    manifest = make(tmp_path)
    said = truth(manifest, "full")
    found = scored(manifest, "full", said)[None, "template-accuracy"]
    right = len(manifest.split(Split.VALIDATION))
    expected = stats.binomtest(right, right).proportion_ci(0.95, method="wilson")
    assert found.value == 1.0
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, 1.0))
