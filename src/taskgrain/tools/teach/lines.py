"""What `taskgrain teach` prints: the finding first, what to make of it below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import wrap

from taskgrain.report.words import count_words, printable
from taskgrain.teaching.estimate import FEWEST_RECORDINGS, ClassValue, Value
from taskgrain.teaching.outcome import Outcome
from taskgrain.teaching.teach import REFERENCES

CANNOT_TELL = "action and recording cannot be told apart"
MOST_PAIRS, FEWEST_MISTAKES = 3, 2  # that are shown
WORDS_OF_RATE = {0.5: "half", 0.1: "one in ten", 0.01: "one in a hundred"}


def outcome_lines(outcome: Outcome) -> list[str]:
    """Phrase what was taught and how good it is, in lines of at most 100 letters."""
    paragraphs = [
        *_finding(outcome),
        *_unseen(outcome),
        "",
        *_encoders(outcome),
        "",
        *_classes(outcome),
        *_advice(outcome),
        *(f"note: {note}" for note in outcome.notes),
        *_seconds(outcome),
    ]
    return [line for paragraph in paragraphs for line in _wrapped(paragraph)]


def _wrapped(paragraph: str) -> list[str]:
    indent = " " * (len(paragraph) - len(paragraph.lstrip()) + 4)
    if "  " in paragraph.strip():  # a line of a table
        return [paragraph]
    return wrap(paragraph, 100, subsequent_indent=indent, break_long_words=False) or [""]


def _finding(outcome: Outcome) -> Iterator[str]:
    of_none = f", {outcome.num_none} of none of them" if outcome.num_none else ""
    yield (
        f"{len(outcome.classes)} classes, {count_words(outcome.num_clips, 'clip')}{of_none}, "
        f"{count_words(outcome.num_recordings, 'recording')}"
    )
    estimate = outcome.estimate
    if estimate.accuracy is None:
        yield f"new recordings: no number: every class has one recording, so {CANNOT_TELL}"
    else:
        yield f"right on a clip of a new recording: {_share(estimate.accuracy)}"
    if estimate.same_recordings is not None:
        yield (
            f"right on a new clip of a recording it knows: {_percent(estimate.same_recordings)}; "
            f"chance: {_percent(estimate.chance)}"
        )
    else:
        yield f"chance: {_percent(estimate.chance)}"


def _unseen(outcome: Outcome) -> Iterator[str]:
    unseen = outcome.unseen
    if not outcome.taught.facts.abstains:
        yield f'never answers "none of these": {outcome.taught.facts.why_not}'
        return
    assert unseen is not None, "a classifier abstains only where it was tested"
    line = f"unseen actions: AUROC {unseen.auroc.value:.2f}{_span(unseen.auroc, as_percent=False)}"
    if unseen.rejected is not None and unseen.accepted is not None:
        line += (
            f"; {_percent(unseen.accepted.value)} of them get an answer, and "
            f"{_percent(unseen.rejected.value)} of the classes' own clips get none"
        )
    yield line
    if unseen.given_none is not None:
        value = unseen.given_none
        yield f"your own clips of none: AUROC {value.value:.2f}{_span(value, as_percent=False)}"
    precisions = outcome.precisions()
    if precisions:
        parts = [
            f"{_percent(value)} if {WORDS_OF_RATE[rate]} of all clips is of a class"
            for rate, value in precisions.items()
        ]
        yield "an answer is about a clip of a class: " + ", ".join(parts)


def _encoders(outcome: Outcome) -> Iterator[str]:
    judged = outcome.estimate.encoders
    won = outcome.estimate.folds_won
    folds = sum(won.values())
    width = max(len(_name(each.encoder)) for each in judged)
    for each in judged:
        if each.accuracy is None:
            continue
        line = f"  {_name(each.encoder):<{width}}  {_percent(each.accuracy.value):>5}"
        if each.behind is None:
            is_choice = len(won) > 1
            line += f"  chosen in {won[each.encoder]} of {folds} folds" if is_choice else ""
        else:
            line += f"  {_points(each.behind.value)} behind{_span(each.behind)}"
        yield line
    winner = judged[0]
    for each in judged[1:]:
        if each.encoder in REFERENCES and each.behind is not None and not _is_ahead(each.behind):
            yield (
                f"warning: {each.encoder} is not clearly behind {_name(winner.encoder)}: what "
                "is recognised may be what the clips look like or how much moves, not what is done"
            )
    if winner.encoder in REFERENCES and len(won) > 1:
        more = (
            ""
            if len(judged) > len(REFERENCES)
            else ('; pip install "taskgrain[imagenet]" adds a network to choose from')
        )
        yield f"warning: {winner.encoder} won, which knows no action but what it was taught{more}"


def _name(encoder: str) -> str:
    """Shorten the folder of a checkpoint to its last two names; other names stay."""
    path = Path(encoder)
    return printable("/".join(path.parts[-2:]) if path.is_dir() else encoder)


def _is_ahead(behind: Value) -> bool:
    return behind.interval is not None and behind.interval.low > 0


def _classes(outcome: Outcome) -> Iterator[str]:
    names = [printable(name) for name in outcome.classes]
    width = max(len("class"), *(len(name) for name in names))
    yield f"  {'class':<{width}}  clips  recordings  recognised"
    for each in outcome.estimate.classes:
        yield (
            f"  {names[each.label]:<{width}}  {each.num_clips:>5}  {each.num_recordings:>10}  "
            f"{_recall(each)}"
        )
    for pair in outcome.estimate.pairs[:MOST_PAIRS]:
        if pair.mistakes < FEWEST_MISTAKES:
            break
        first, second = (names[label] for label in pair.labels)
        yield f"  taken for one another: {first} / {second} ({pair.mistakes} of {pair.clips} clips)"


def _recall(each: ClassValue) -> str:
    if each.recall is None:
        return CANNOT_TELL
    return f"{_percent(each.recall.value):>5}{_span(each.recall)}"


def _advice(outcome: Outcome) -> Iterator[str]:
    points = outcome.curve.points
    if len(points) > 1:
        shown = [f"{each.num_recordings}: {_percent(each.accuracy.value)}" for each in points]
        yield f"  by recordings a class: {', '.join(shown)}"
    gains = [each for each in outcome.curve.last if each.gain.value > 0]
    if gains:
        parts = [
            f"{printable(outcome.classes[each.label])} ({_points(each.gain.value)})"
            for each in gains[:3]
        ]
        yield f"  the last recording brought most to: {', '.join(parts)}; record more of these"
    few = [each for each in outcome.estimate.classes if each.num_recordings < FEWEST_RECORDINGS]
    if few and len(few) < len(outcome.classes):
        yield (
            f"  {_listed([printable(outcome.classes[each.label]) for each in few])} "
            f"{'has' if len(few) == 1 else 'have'} fewer than {FEWEST_RECORDINGS} recordings"
        )


def _seconds(outcome: Outcome) -> Iterator[str]:
    whole = outcome.decoding_seconds + outcome.network_seconds
    if whole:
        share = outcome.decoding_seconds / whole
        yield (
            f"features in {whole:.1f} s ({share:.0%} of it decoding), "
            f"taught and judged in {outcome.seconds:.1f} s"
        )
    else:
        yield f"taught and judged in {outcome.seconds:.1f} s"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _share(value: Value) -> str:
    """Phrase a share: "71 % (58 to 84, 24 recordings)"."""
    count = count_words(value.num_recordings, "recording")
    if value.interval is not None:
        return f"{_percent(value.value)}{_span(value).removesuffix(')')}, {count})"
    is_few = value.num_recordings < FEWEST_RECORDINGS
    why = "too few for an interval" if is_few else "all alike, which gives no interval"
    return f"{_percent(value.value)} ({count}: {why})"


def _span(value: Value, *, as_percent: bool = True) -> str:
    interval = value.interval
    if interval is None:
        return ""
    if not as_percent:
        return f" ({interval.low:.2f} to {interval.high:.2f})"
    return f" ({100 * interval.low:.0f} to {100 * interval.high:.0f})"


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _points(value: float) -> str:
    return count_words(round(100 * value), "point")
