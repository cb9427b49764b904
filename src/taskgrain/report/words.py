"""The words and number formats of the report: one name a thing, one way to print a number."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from taskgrain.names import (
    CONTROLS,
    EPISODE_METRIC,
    INTERVALS,
    METRICS,
    PROBE_WORDS,
    READOUTS,
    TARGET_NORM,
    Unit,
    metric_key,
)
from taskgrain.results import ResultRow, Shots

NO_RESULT = "no result"  # of a probe that failed
MINUS = "\N{MINUS SIGN}"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
SURROGATE = re.compile("[\\ud800-\\udfff]")

DECIMALS: Mapping[Unit, int] = {"bits": 2, "score": 3, "of-one": 2}  # of what is no percentage
SMALLEST_P = 1e-4  # smaller p values are printed as "< 0.0001"


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
    """Return a fraction as percent with one decimal, without "%": 0.4712 is "47.1"."""
    return f"{100 * value:.1f}".replace("-", MINUS)


def points(value: float) -> str:
    """Return a difference of fractions in percentage points, signed: 0.0412 is "+4.1".

    The sign stays where the digits round to zero: it tells on which side of 0 a bound lies.
    """
    return f"{100 * value:+.1f}".replace("-", MINUS)


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


def value_of(row: ResultRow) -> float:
    """Return the value of a row that has one, as every row but those of failed probes does."""
    assert row.value is not None, "only the row of a failed probe has no value"
    return row.value


def with_interval(row: ResultRow, *, signed: bool = False, unit: str = "") -> Phrase:
    """Return a row's value for running text, and its interval in brackets where it has one."""
    show = points_number if signed else percent_number
    phrase = (show(value_of(row)), unit)
    if row.low is None or row.high is None:
        return phrase
    return (*phrase, " (", *span(row.low, row.high, signed=signed), ")")


def joined(*parts: str | None) -> str:
    """Join the parts that are not empty by commas."""
    return ", ".join(part for part in parts if part)


def setting_words(shots: Shots | None, probe: str | None) -> str:
    """Return how target clips are learned from: "5-shot, logistic regression"."""
    return joined(shots_words(shots), probe_words(probe))


def printable(text: str) -> str:
    """Replace what XML and terminals refuse (controls, lone surrogates) by a mark."""
    return "".join(
        " " if letter in "\t\n\r" else REPLACEMENT if _is_refused(letter) else letter
        for letter in text
    )


def whole_letters(text: str) -> str:
    """Replace lone surrogates in the text of a JSON file: JSON can spell them, pydantic refuses.

    Text that is no JSON stays as it is: whoever reads it names the place.
    """
    if "\\ud" not in text.lower():
        return text
    try:
        loaded = json.dumps(json.loads(text), ensure_ascii=False)
    except ValueError:
        return text
    return SURROGATE.sub(REPLACEMENT, loaded)


def _is_refused(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cs") or letter in "\ufffe\uffff"


def shots_words(shots: Shots | None) -> str:
    """Return "5-shot", "all clips", or "" where shots mean nothing."""
    if shots is None:
        return ""
    return "all clips" if shots == "all" else f"{shots}-shot"


def probe_words(probe: str | None) -> str:
    """Return a probe's name in words; a probe that is not known here keeps its own name."""
    return PROBE_WORDS.get(probe or "", printable(probe or "any probe"))


def metric_words(metric: str) -> str:
    """Return a metric's name in words; those that end in a level, a form or a number too."""
    if episodes := EPISODE_METRIC.fullmatch(metric):
        return f"{episodes[1]}-way accuracy in episodes"
    key = metric_key(metric)
    if key is None:
        return printable(metric)
    rest = metric.removeprefix(key) if key.endswith("-") else ""
    return METRICS[key].words + printable(rest)


def control_words(control: str) -> str:
    """Return a control's name in words."""
    known = CONTROLS.get(control)
    return printable(control) if known is None else known.words


def readout_words(readout: str) -> str:
    """Return a read-out's name in words."""
    plain_name = readout.removesuffix(TARGET_NORM)
    words = READOUTS.get(plain_name, printable(plain_name))
    return words if plain_name == readout else f"{words}; norms of the target"


def p_words(p: float) -> str:
    """Return a p value with two digits; "< 0.0001" below that."""
    return "< 0.0001" if p < SMALLEST_P else f"{p:.2g}"


def p_number(p: float) -> Number:
    """Return a p value for running text: "p = 0.012", "p < 0.0001"."""
    return Number(p, f"p {p_words(p)}" if p < SMALLEST_P else f"p = {p_words(p)}")


def interval_words(interval: str | None) -> str:
    """Return in words what an interval varies."""
    return INTERVALS.get(interval or "", "of a kind that the row does not name")


def count_words(count: int, noun: str) -> str:
    """Return "1 clip", "3 clips"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def format_value(metric: str, value: float, *, is_difference: bool = False) -> str:
    """Return a row's value in the unit of its metric."""
    key = metric_key(metric)
    unit = "percent" if key is None else METRICS[key].unit
    if unit == "variance":
        return f"{1e4 * value:.2f}".replace("-", MINUS)  # in squared percentage points
    if unit in DECIMALS:
        shown = f"{value:.{DECIMALS[unit]}f}"
        # No sign before what rounds to 0; of points it tells on which side of 0 a bound lies.
        return shown.replace("-", MINUS if float(shown) else "")
    is_signed = (is_difference or unit == "points") and unit != "size"
    return points(value) if is_signed else percent(value)
