"""`taskgrain score`: how good captions are, and what the numbers cannot say."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from taskgrain.tools.score.scoring import Scores

# The scores in the order in which they should be read.
_ROWS = (
    *("exact-match", "template-accuracy", "object-accuracy", "noun-accuracy", "modifier-accuracy"),
    *("direction-errors", "bleu-1", "bleu-2", "bleu-3", "bleu-4", "rouge-l", "cider-d", "meteor"),
    *("length-ratio", "unknown-rate"),
)
_SHARES = frozenset((*_ROWS[:6], "unknown-rate"))  # shown in percent
_WIDTH = 19  # of a column
# As `scoring.Tokenizer` and `labels.caption.CaptionForm` (`tools`).
Tokenizer = Literal["ptb", "words"]
Form = Literal["template", "simplified", "simplified-head-noun", "full"]


def score(
    predictions: Annotated[
        Path, typer.Argument(help="JSON: rows of id and caption, or captions by id")
    ],
    references: Annotated[
        Path, typer.Option(help="JSON: a dataset's rows, {id: [captions]}, COCO's or MSR-VTT's")
    ],
    training: Annotated[
        Path | None, typer.Option(help="training captions, for the floors and unknown words")
    ] = None,
    tokenizer: Annotated[
        Tokenizer, typer.Option(help="words of BLEU, ROUGE-L, CIDEr-D: coco-caption's, or plain")
    ] = "ptb",
    form: Annotated[
        Form, typer.Option(help="bring predictions and references to this caption form first")
    ] = "full",
    meteor: Annotated[bool, typer.Option("--meteor", help="METEOR 1.5 too; needs Java")] = False,
    meteor_jar: Annotated[
        Path | None, typer.Option(help="meteor-1.5.jar [default: that of pycocoevalcap]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,
) -> None:
    """Score captions, with intervals, floors and warnings."""
    from taskgrain.tools.score.scoring import ScoreSettings, score_files

    settings = ScoreSettings(tokenizer=tokenizer, form=form, meteor=meteor, meteor_jar=meteor_jar)
    scores = score_files(predictions, references, training=training, settings=settings)
    if as_json:
        print(json.dumps(scores.to_json(), ensure_ascii=False, allow_nan=False))
    else:
        print(_table(scores))


def _table(scores: Scores) -> str:
    lines = [
        f"{scores.n} clips, {scores.references_per_clip:.1f} references a clip; "
        f"{scores.mean_length:.1f} words a caption, {scores.mean_reference_length:.1f} a reference",
        "",
        _line(
            "", "predictions", "95 % interval", *(name.replace("-", " ") for name in scores.floors)
        ),
    ]
    for name in _ROWS:
        is_share = name in _SHARES
        if name not in scores.values:
            lines.append(_line(name, "not computed"))
            continue
        interval = scores.intervals.get(name)
        between = (
            ""
            if interval is None
            else f"{_number(interval.low, is_share)} to {_number(interval.high, is_share)}"
        )
        floors = (_number(floor.get(name, math.nan), is_share) for floor in scores.floors.values())
        lines.append(_line(name, _number(scores.values[name], is_share), between, *floors))
    lines += [
        "",
        "intervals: other clips like these, the same model; idf: of the references scored",
    ]
    if not math.isnan(scores.training_unknown_rate):
        lines.append(
            f"{scores.training_unknown_rate:.1%} of the references' words are in no training "
            "caption"
        )
    lines += [f"note: {warning}" for warning in scores.warnings]
    return "\n".join(lines)


def _line(name: str, *cells: str) -> str:
    return (f"{name:<{_WIDTH}}" + "".join(f"{cell:>{_WIDTH}}" for cell in cells)).rstrip()


def _number(value: float, is_share: bool) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.1%}" if is_share else f"{value:.3f}"
