"""The words and number formats of the report: one name a thing, one way to print a number."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from taskgrain.results import (
    ALIGNMENT,
    ALIGNMENT_GAIN,
    ALIGNMENT_GAIN_IF_SHOWN,
    DETECTABLE,
    EPISODE_METRIC,
    MEAN_OVER_TASKS,
    SLOPE_OVER_TASKS,
    TREND,
    VARIANCE_OVER_TASKS,
    mean_over_kind,
)

ABSENT = "n/a"
NO_RESULT = "no result"  # of a probe that failed
MINUS = "\N{MINUS SIGN}"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

PROBES = {
    "logistic": "logistic regression",
    "logistic-regression": "logistic regression",
    "nearest-mean": "nearest class mean",
    "nearest-class-mean": "nearest class mean",
    "k-nn": "nearest neighbours (cosine)",
    "logistic-regression-cv": "logistic regression, penalty chosen on the support",
    "ridge": "ridge",
    "rbf-ridge": "kernel ridge (RBF)",
    "mlp": "small neural network",
    "recurrent": "recurrent probe",
    "attentive": "attentive pooling",
    "head": "the source's own head",
    "decoder": "the source's own decoder",
    "linear": "a linear read-out of the source's frozen features",
}
TASK_KINDS = ("named", "kind-named", "unnamed")
VARIANCES = (
    "variance of tasks",
    "variance of encoder seeds",
    "variance of tasks x encoder seeds",
)
METRICS = {
    "top-1": "top-1 accuracy",
    "top-5": "top-5 accuracy",
    "mean-per-class": "accuracy, mean over classes",
    "group-accuracy": "group accuracy",
    "exact-match": "caption exact match",
    "template-accuracy": "caption template right",
    "object-accuracy": "caption objects right",
    "noun-accuracy": "caption nouns right",
    "modifier-accuracy": "caption modifiers right",
    "unknown-rate": "words of the captions that training never showed",
    "gain-last-epoch": "gain in the last epoch",
    "entropy-bits": "label entropy, bits a clip",
    "accuracy-at-": "accuracy at the level ",
    "categories-floor": "categories, by each group's commonest",
    "categories-linear": "categories, by a linear read-out",
    "contrastive": "contrastive groups",
    "contrastive-floor": "contrastive groups, by the commonest category",
    "errors-within-groups": "errors within the true group",
    "errors-between-groups": "errors into other groups",
    "exact-match-at-": "exact match in the form ",
    "direction-errors": "captions with a wrong direction",
    "bleu-1": "BLEU-1",
    "bleu-2": "BLEU-2",
    "bleu-3": "BLEU-3",
    "bleu-4": "BLEU-4",
    "rouge-l": "ROUGE-L",
    "cider-d": "CIDEr-D",
    "length-ratio": "length ratio",
    "template-ranking": "template ranked first",
    "template-ranking-top-5": "template ranked among five",
    "template-ranking-with-objects": "template ranked first, by all words",
    TREND: "gain per level step",
    DETECTABLE: "smallest difference that would be found",
    MEAN_OVER_TASKS: "mean over tasks",
    **{mean_over_kind(kind): f"mean over {kind} tasks" for kind in TASK_KINDS},
    SLOPE_OVER_TASKS: "gain for a unit of alignment gain",
    **dict(zip(VARIANCE_OVER_TASKS, VARIANCES, strict=True)),
    ALIGNMENT: "alignment, 0 to 1",
    ALIGNMENT_GAIN: "alignment gain",
    ALIGNMENT_GAIN_IF_SHOWN: "alignment gain, had every value been shown",
}
CONTROLS = {
    "chance": "chance",
    "majority": "most frequent category",
    "pixels": "raw pixels",
    "motion-energy": "motion energy",
    "random-encoder": "untrained encoder",
    "permuted-labels": "shuffled target labels",
    "shuffled-time": "shuffled frames",
    "first-frame": "first frame",
    "last-frame": "last frame",
    "first-and-last-frame": "first and last frame",
    "duration": "length of the clip",
    "byte-size": "size of the file",
    "random-labels": "encoder trained on random labels",
    "from-scratch": "encoder and head trained on the target's support alone",
    "blind-decoder": "blind decoder",
    "commonest-caption": "commonest caption",
    "commonest-word": "true template, commonest word",
    "same-category": "random caption of the same category",
}
READOUTS = {
    "own-head": "its own head",
    "lstm-mean": "LSTM, mean of its steps",
    "lstm-mean-deviation": "LSTM, mean and deviation of its steps",
    "lstm-last": "LSTM, last step",
    "lstm-steps": "LSTM, all steps",
    "channels-mean": "both channels before the LSTM",
    "spatial-mean": "2D channel before the LSTM",
    "temporal-mean": "3D channel before the LSTM",
}
TARGET_NORM = "+target-norm"  # at the end of a read-out's name
INTERVALS = {
    "clips": "over test clips, these encoders held fixed",
    "clip-pairs": "over pairs of test clips in two looks, these encoders held fixed",
    "draws": "over support draws, these encoders and test clips held fixed",
    "seeds": "over encoder seeds",
    "crossed": "over seeds, support draws, test clips and classes together",
    "episodes": "over episodes, these encoders held fixed",
    "tasks": "over tasks and encoder seeds together",
}
IN_BITS = frozenset({"entropy-bits"})
OF_ONE = frozenset({ALIGNMENT, ALIGNMENT_GAIN, ALIGNMENT_GAIN_IF_SHOWN})
IN_SCORES = frozenset(
    {"bleu-1", "bleu-2", "bleu-3", "bleu-4", "rouge-l", "cider-d", "length-ratio"}
)
SMALLEST_P = 1e-4  # below, p values are not told apart
IN_POINTS = frozenset({"gain-last-epoch", TREND})


@dataclass(frozen=True, slots=True)
class Number:
    """A number in running text: its full value, and what is printed."""

    value: float
    shown: str


Phrase = tuple[str | Number, ...]


def plain(phrase: Phrase) -> str:
    """Return the phrase as a reader sees it."""
    return "".join(part if isinstance(part, str) else part.shown for part in phrase)


def percent(value: float) -> str:
    """Print a fraction as percent with one decimal, without the sign: 0.4712 is "47.1"."""
    return f"{100 * value:.1f}".replace("-", MINUS)


def points(value: float) -> str:
    """Print a difference of fractions in percentage points, signed: 0.0412 is "+4.1".

    The sign stays where the digits round to zero: it tells on which side of 0 a bound lies.
    """
    return f"{100 * value:+.1f}".replace("-", MINUS)


def bits(value: float) -> str:
    """Print a number of bits with two decimals."""
    return f"{value:.2f}".replace("-", MINUS)


def of_one(value: float) -> str:
    """Print an alignment, 0 to 1, or a gain, with two decimals; no sign before what rounds to 0."""
    shown = f"{value:.2f}"
    return "0.00" if shown == "-0.00" else shown.replace("-", MINUS)


def score(value: float) -> str:
    """Print a caption score with three decimals, as `taskgrain score` does."""
    return f"{value:.3f}".replace("-", MINUS)


def percent_number(value: float) -> Number:
    """Return a fraction for running text, "47.1 %"."""
    return Number(value, f"{percent(value)}\N{NO-BREAK SPACE}%")


def points_number(value: float) -> Number:
    """Return a difference for running text, "+4.1"."""
    return Number(value, points(value))


def span(low: float, high: float, *, signed: bool = False) -> Phrase:
    """Return an interval for running text: "38.2 to 45.1", or "+1.0 to +7.5" when signed."""
    show = points if signed else percent
    return (Number(low, show(low)), " to ", Number(high, show(high)))


def printable(text: str) -> str:
    """Replace what XML and terminals refuse (controls, lone surrogates) by a mark."""
    return "".join(
        " " if letter in "\t\n\r" else REPLACEMENT if _is_refused(letter) else letter
        for letter in text
    )


def _is_refused(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cs") or letter in "\ufffe\uffff"


def shots_words(shots: int | str | None) -> str:
    """Return "5-shot", "all clips", or "" where shots mean nothing."""
    if shots is None:
        return ""
    return "all clips" if shots == "all" else f"{shots}-shot"


def probe_words(probe: str | None) -> str:
    """Return a probe's name in words; a probe that is not known here keeps its own name."""
    return PROBES.get(probe or "", printable(probe or "any probe"))


def metric_words(metric: str) -> str:
    """Return a metric's name in words; those that end in a level, a form or a number too."""
    if episodes := EPISODE_METRIC.fullmatch(metric):
        return f"{episodes[1]}-way accuracy in episodes"
    if metric in METRICS:
        return METRICS[metric]
    start = next((key for key in METRICS if key.endswith("-") and metric.startswith(key)), None)
    return printable(metric if start is None else METRICS[start] + metric.removeprefix(start))


def control_words(control: str) -> str:
    """Return a control's name in words."""
    return CONTROLS.get(control, printable(control))


def readout_words(readout: str) -> str:
    """Return a read-out's name in words."""
    plain_name = readout.removesuffix(TARGET_NORM)
    said = READOUTS.get(plain_name, printable(plain_name))
    return said if plain_name == readout else f"{said}; norms of the target"


def p_words(p: float) -> str:
    """Print a p value with two digits; "< 0.0001" where it is smaller."""
    return "< 0.0001" if p < SMALLEST_P else f"{p:.2g}"


def p_said(p: float) -> Number:
    """Return a p value for running text: "p = 0.012", "p < 0.0001"."""
    return Number(p, f"p {p_words(p)}" if p < SMALLEST_P else f"p = {p_words(p)}")


def interval_words(interval: str | None) -> str:
    """Say what an interval varies."""
    return INTERVALS.get(interval or "", "of a kind that the row does not name")


def count_words(count: int, noun: str) -> str:
    """Return "1 clip", "3 clips"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def format_value(metric: str, value: float, *, is_difference: bool = False) -> str:
    """Print a row's value as its metric asks."""
    if metric in IN_BITS:
        return bits(value)
    if metric in IN_SCORES:
        return score(value)
    if metric in VARIANCE_OVER_TASKS:
        return f"{1e4 * value:.2f}".replace("-", MINUS)  # in squared percentage points
    if metric in OF_ONE:
        return of_one(value)
    if metric.startswith(DETECTABLE):  # a size: it has no sign
        return percent(value)
    return points(value) if is_difference or metric in IN_POINTS else percent(value)
