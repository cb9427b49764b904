"""The words and number formats of the report: one name a thing, one way to print a number."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

ABSENT = "n/a"
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
}
METRICS = {
    "top-1": "top-1 accuracy",
    "top-5": "top-5 accuracy",
    "mean-per-class": "accuracy, mean over classes",
    "group-accuracy": "group accuracy",
    "exact-match": "caption exact match",
    "template-accuracy": "caption template right",
    "object-accuracy": "caption objects right",
    "unknown-rate": "words of the captions that training never showed",
    "gain-last-epoch": "gain in the last epoch",
    "entropy-bits": "label entropy, bits a clip",
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
}
INTERVALS = {
    "clips": "over test clips, these encoders held fixed",
    "draws": "over support draws, these encoders and test clips held fixed",
    "seeds": "over encoder seeds",
    "crossed": "over seeds, support draws, test clips and classes together",
}
IN_BITS = frozenset({"entropy-bits"})


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
    """Return a metric's name in words."""
    return METRICS.get(metric, printable(metric))


def control_words(control: str) -> str:
    """Return a control's name in words."""
    return CONTROLS.get(control, printable(control))


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
    return points(value) if is_difference or metric == "gain-last-epoch" else percent(value)
