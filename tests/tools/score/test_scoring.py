from __future__ import annotations

import json
import math
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from taskgrain.labels.caption import CaptionForm
from taskgrain.metrics.references import ReferenceClip, floor_captions, training_unknown_rate
from taskgrain.tools.score.scoring import ScoreSettings, score_clips, score_files
from tests.making import PRETEND, PUSH, row

OBJECTS = ("a red cup", "a box", "the pen", "my left hand", "a bottle of water")
SCORES = (
    *("exact-match", "template-accuracy", "object-accuracy"),
    *("noun-accuracy", "modifier-accuracy", "direction-errors"),
    *("bleu-1", "bleu-2", "bleu-3", "bleu-4", "rouge-l", "cider-d"),
    *("length-ratio", "unknown-rate"),
)


def clip(template: str, *placeholders: str) -> ReferenceClip:
    label = str(row("", template, *placeholders)["label"])
    return ReferenceClip((label,), template, placeholders)


def clips(number: int, *, seed: int = 0) -> dict[str, ReferenceClip]:
    chance = random.Random(seed)
    return {
        f"clip-{seed}-{index}": clip(PUSH, chance.choice(OBJECTS))
        if chance.random() < 0.5
        else clip(PRETEND, chance.choice(OBJECTS), chance.choice(OBJECTS))
        for index in range(number)
    }


def first_captions(references: dict[str, ReferenceClip]) -> list[str]:
    return [each.captions[0] for each in references.values()]


def test_the_references_said_back_are_perfect() -> None:
    references = clips(60)
    scores = score_clips(first_captions(references), references)
    assert set(scores.values) == set(SCORES)
    expected = {"direction-errors": 0.0, "unknown-rate": 0.0, "cider-d": scores.values["cider-d"]}
    for name in SCORES:
        assert scores.values[name] == pytest.approx(expected.get(name, 1.0)), name
    assert scores.values == scores.floors["first-reference"]


def test_floors_say_captions_of_the_training_clips_alone() -> None:
    training = {
        "1": clip(PUSH, "a red box"),
        "2": clip(PUSH, "a red box"),
        "3": clip(PRETEND, "a cup", "the box"),
    }
    references = {
        "a": clip(PUSH, "a cup"),
        "b": clip(PRETEND, "x", "y"),
        "c": clip("Tearing [p]", "z"),
    }
    floors = floor_captions(references, training, seed=0)
    commonest = "pushing a red box from left to right"
    assert floors["commonest-caption"] == [commonest] * 3
    assert floors["commonest-word"] == [
        "pushing box from left to right",
        "pretending to put box next to box",
        "tearing box",
    ]
    assert floors["same-category"] == [
        commonest,
        "pretending to put a cup next to the box",
        commonest,
    ]


def test_the_random_floor_depends_on_seed_and_clip_alone() -> None:
    training, references = clips(200, seed=1), clips(50, seed=2)
    some = dict(list(references.items())[10:20])

    def drawn(of: dict[str, ReferenceClip], seed: int) -> list[str]:
        return floor_captions(of, training, seed=seed)["same-category"]

    assert drawn(some, 0) == drawn(references, 0)[10:20]
    assert drawn(references, 0) != drawn(references, 1)
    assert len(set(drawn(references, 0))) > 5


def test_floors_without_templates_are_the_commonest_caption() -> None:
    training = {"1": ReferenceClip(("a cat",)), "2": ReferenceClip(("A cat", "a dog"))}
    assert floor_captions({"x": ReferenceClip(("y",))}, training, seed=0) == {
        "commonest-caption": ["a cat"]
    }


def test_words_that_training_lacks_are_counted() -> None:
    training = {"1": ReferenceClip(("a cat", "the dog"))}
    assert training_unknown_rate({"x": ReferenceClip(("a big dog", "the"))}, training) == 0.25


def test_floors_and_intervals_stand_beside_every_score() -> None:
    references = clips(80)
    said = first_captions(references)
    said[::2] = said[::-2]
    scores = score_clips(said, references, training=clips(100, seed=1))
    assert set(scores.floors) == {
        *("commonest-caption", "commonest-word", "same-category", "first-reference")
    }
    assert all(set(floor) == set(SCORES) for floor in scores.floors.values())
    interval = scores.intervals["exact-match"]
    assert interval is not None
    assert interval.low < scores.values["exact-match"] < interval.high
    assert scores.training_unknown_rate == 0.0


def test_captions_of_other_grain_are_compared_at_the_same() -> None:
    references = {"1": clip(PUSH, "a red cup"), "2": clip(PRETEND, "a bottle of water", "my pen")}
    said = ["pushing cup from left to right", "pretending to put bottle next to pen"]

    def exact(form: str) -> float:
        settings = ScoreSettings(form=form)  # type: ignore[arg-type]
        return score_clips(said, references, settings=settings).values["exact-match"]

    assert [exact(form) for form in ("full", "simplified", "simplified-head-noun", "template")] == [
        *(0.0, 0.5, 1.0, 1.0)
    ]


def test_templates_alone_have_no_objects_to_be_right() -> None:
    references = clips(5)
    scores = score_clips(
        first_captions(references), references, settings=ScoreSettings(form="template")
    )
    assert scores.values["template-accuracy"] == 1.0
    assert math.isnan(scores.values["object-accuracy"])
    assert scores.to_json()["object-accuracy"] is None


def test_templates_of_the_training_captions_read_references_without_any() -> None:
    references = {"1": ReferenceClip(("pushing a cup from left to right",))}
    said = ["pushing a pen from left to right"]
    assert math.isnan(score_clips(said, references).values["template-accuracy"])
    values = score_clips(said, references, training=clips(10)).values
    assert (values["template-accuracy"], values["object-accuracy"]) == (1.0, 0.0)


def test_captions_become_words_as_in_coco_caption_s_one_file() -> None:
    # "The" on the next line ends the sentence before it: "c", and not "c.".
    references = {"1": ReferenceClip(("vitamin C.",)), "2": ReferenceClip(("The cup",))}
    said = ["vitamin c", "the cup"]
    assert score_clips(said, references).values["bleu-1"] == pytest.approx(1.0)
    reversed_ = {name: references[name] for name in ("2", "1")}
    assert score_clips(said[::-1], reversed_).values["bleu-1"] == pytest.approx(0.75)


def test_the_commas_of_what_was_said_show_a_list_of_objects() -> None:
    three = "Putting [something], [something] and [something] on the table"
    two = "Putting [something] and [something] on the table"
    references = {"1": clip(three, "a pen", "a cup", "a box"), "2": clip(two, "a pen", "a cup")}
    said = "putting a pen, a red cup and a box on the table"
    for first, right in ((said, 1.0), (said.replace(",", ""), 0.5)):
        # The second is of the same words, so that a reading of words alone would be shared.
        scores = score_clips([first, "putting a pen and a cup on the table"], references)
        assert scores.values["template-accuracy"] == right
    scores = score_clips([said, said.replace(",", "")], references)
    assert scores.values["template-accuracy"] == 1.0


@pytest.mark.parametrize(
    ("references", "said", "warning"),
    [
        ({"1": clip(PUSH, "a cup")}, ["x"], "one clip: CIDEr-D is 0"),
        ({str(n): clip(PUSH, "a cup") for n in range(3)}, ["x"] * 3, "the same caption: CIDEr-D"),
        (
            {"1": clip("Tearing [p]", "box"), "2": clip("Tearing [p]", "cup")},
            ["tearing box", ""],
            r"100% of the references.*BLEU-4 0\.00(.|\n)*1 of 2 predictions are empty",
        ),
        ({"1": ReferenceClip(("a cat sleeps",))}, ["x"], "no reference fits a template"),
        (
            {"1": ReferenceClip(("a cat",)), "2": clip(PUSH, "a cup")},
            ["x", "y"],
            "the references of 1 of 2 clips fit no template",
        ),
        ({"1": clip(PUSH, "a cup")}, ["x"], "no floors(.|\n)*no intervals: they need 30"),
    ],
)
def test_a_score_that_means_little_is_said_so(
    references: dict[str, ReferenceClip], said: list[str], warning: str
) -> None:
    assert re.search(warning, "\n".join(score_clips(said, references).warnings))


def test_whole_sets_of_long_captions_have_nothing_to_warn_of() -> None:
    references = {str(n): clip(PRETEND, f"cup {n}", f"box {n % 9}") for n in range(80)}
    said = first_captions(references)
    said[::3] = ["pretending nothing"] * len(said[::3])
    assert score_clips(said, references, training=references).warnings == ()


def test_the_tokenizer_is_a_choice() -> None:
    references = {"1": ReferenceClip(("it doesn't fall",)), "2": ReferenceClip(("a cup",))}
    said = ["it does fall", "a cup"]
    ptb = score_clips(said, references).values["bleu-1"]
    words = score_clips(said, references, settings=ScoreSettings(tokenizer="words")).values[
        "bleu-1"
    ]
    assert ptb == pytest.approx(math.exp(-1 / 5), rel=1e-6)  # n't is a word that was not said
    assert words == pytest.approx(4 / 5, rel=1e-6)


def test_files_are_scored_as_their_content(tmp_path: Path) -> None:
    rows = [row("1", PUSH, "a cup"), row("2", PRETEND, "a pen", "a box")]
    (tmp_path / "validation.json").write_text(json.dumps(rows))
    said = [{"id": each["id"], "caption": each["label"]} for each in rows]
    (tmp_path / "said.json").write_text(json.dumps(said[::-1]))
    scores = score_files(tmp_path / "said.json", tmp_path / "validation.json")
    written = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert (written["exact-match"], written["bleu-4"]) == (1.0, pytest.approx(1.0))
    assert (written["n"], written["references-per-clip"], written["meteor"]) == (2, 1.0, None)
    assert {"floors", "warnings", "intervals", "mean-length"} <= written.keys()


@pytest.mark.slow
def test_scoring_loads_no_torch() -> None:
    module = "taskgrain.tools.score.scoring"
    code = f"import sys, {module} as s; print('torch' in sys.modules, s.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", module]


@pytest.mark.parametrize("form", ["full", "simplified", "template"])
def test_captions_with_the_same_words_keep_the_template_of_their_clip(form: CaptionForm) -> None:
    references = {
        "1": clip("Putting [something], [something] and [something] on the table", "x", "y", "z"),
        "2": clip("Putting [something] and [something] on the table", "x y", "z"),
        "3": clip("Poking a hole into [something soft]", "a cake"),
        "4": clip("Poking a hole into [some substance]", "a cake"),
    }
    said = first_captions(references)
    scores = score_clips(said, references, settings=ScoreSettings(form=form))
    for name in ("exact-match", "template-accuracy", "object-accuracy"):
        if not (form == "template" and name == "object-accuracy"):
            assert scores.values[name] == 1.0, name
