"""How often a taught classifier will be right about clips of new recordings.

Every number comes from classifiers that have not seen the recording of the clip that they answer;
whatever else is chosen (encoder, penalty, temperature) is chosen without it too.

Shapes: N clips, K classes, R recordings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from taskgrain.statistics.intervals import Interval
from taskgrain.statistics.tests import from_error
from taskgrain.teaching.classifier import fit_linear, hold_out
from taskgrain.teaching.folds import (
    NONE,
    Floats,
    Labels,
    Mask,
    TaughtClips,
    clip_folds,
    means_by_recording,
    recording_folds,
)

OUTER_FOLDS = 10
SAME_FOLDS = 5
FEWEST_RECORDINGS = 5  # below, a t interval over recordings says more than they do
MOST_PAIRS = 5
UNANSWERED = -2  # clips of a class of one recording: nobody could have learned it from another

# Why recordings are the unit. Clips of one recording are no independent evidence: they are right
# or wrong together. So the accuracy is computed in each recording, a_r, and
#     accuracy = mean_r a_r,        interval = accuracy -+ t(R - 1) e,
#     e^2 = s^2 / R (1 + F / (F - 1)),        s^2 the variance of the a_r, F folds,
# which asks: how often is a clip of one more recording answered right? With R < 5 the value stands
# alone, and a class of one recording has no value at all: its action and its recording cannot be
# told apart.
#
# Without the second term (Nadeau and Bengio 2003, "Inference for the Generalization Error") e would
# count the chance of which recordings are asked, and not that of which ones taught: folds share
# nearly all of their teaching clips and are wrong together. In made worlds of 8 to 20 recordings
# the error of the accuracy was 1.27 to 1.45 times s / sqrt(R), and its 95 % interval held the truth
# in 83 to 92 of 100 cases; the term makes the factor 1.45.
#
# The choice of an encoder is part of what is judged. In each fold every encoder is judged on inner
# folds of the taught recordings, and the best of them answers the recordings that were left out.
# Choosing after the outer folds and quoting the winner's accuracy would be too good: the largest of
# several noisy numbers.


@dataclass(frozen=True, slots=True)
class Value:
    """A mean over recordings.

    The interval is None where there are fewer than five, and where all gave the same: five that
    are all right leave no spread to reckon with, and do not mean that the sixth is certain.
    """

    value: float
    num_recordings: int
    interval: Interval | None = None

    @classmethod
    def of(cls, values: Floats, *, num_folds: int, lowest: float = 0.0) -> Value | None:
        """Average what recordings gave; None of none.

        Args:
            values: (R,), one of each recording, each from classifiers taught without it.
            num_folds: F, over which the recordings were held out.
            lowest: at which the interval is cut, as at 1: 0 of shares, -1 of differences.
        """
        count = len(values)
        if not count:
            return None
        mean = float(np.mean(values))
        if count < FEWEST_RECORDINGS or np.ptp(values) == 0:
            return cls(mean, count)
        error = float(np.std(values, ddof=1)) * sqrt((1 + num_folds / (num_folds - 1)) / count)
        whole = from_error(mean, error, df=count - 1, n=count, kind="recordings")
        interval = replace(whole, low=max(whole.low, lowest), high=min(whole.high, 1.0))
        return cls(mean, count, interval)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Answers to clips of left-out recordings."""

    answered: Labels  # (N,), 0..K-1, NONE, or UNANSWERED
    chosen: tuple[str, ...]  # of each fold: the encoder that answered


@dataclass(frozen=True, slots=True)
class ClassValue:
    """How often clips of a class are recognised in new recordings."""

    label: int
    num_clips: int
    num_recordings: int
    recall: Value | None  # None: of one recording


@dataclass(frozen=True, slots=True)
class Pair:
    """Two classes that are taken for one another."""

    labels: tuple[int, int]
    mistakes: int
    clips: int  # of the two classes, answered


@dataclass(frozen=True, slots=True)
class Judged:
    """One encoder: its accuracy, and the winner's less its own."""

    encoder: str
    accuracy: Value | None
    behind: Value | None  # None for the winner itself


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a classifier taught from these clips will do on new recordings."""

    accuracy: Value | None  # None: every class has one recording
    same_recordings: float | None  # of new clips of known recordings; None: too few clips for it
    chance: float  # 1 / K
    classes: tuple[ClassValue, ...]
    pairs: tuple[Pair, ...]  # most mistaken first
    encoders: tuple[Judged, ...]  # the winner first
    folds_won: Mapping[str, int]


def estimate(sets: Mapping[str, TaughtClips], candidates: Sequence[str]) -> Estimate:
    """Judge a classifier taught from these clips, the choice of its encoder included.

    Args:
        sets: encoder -> the same clips by its features.
        candidates: encoders to choose from, of equally good ones the first; the others are
            judged beside them.
    """
    clips = next(iter(sets.values()))
    folds = recording_folds(clips, OUTER_FOLDS)
    num_folds = int(folds.max()) + 1
    is_judged = judgeable(clips)
    nested, alone = cross_answer(sets, candidates, folds)
    winner = choose_encoder({name: sets[name] for name in candidates})
    by_recording = {
        name: _accuracies(clips, answers, is_judged)
        for name, answers in {**alone, "": nested}.items()
    }
    order = [winner, *(name for name in sets if name != winner)]
    return Estimate(
        accuracy=Value.of(by_recording[""], num_folds=num_folds),
        same_recordings=_same_recordings(sets[winner]),
        chance=1.0 / clips.num_classes,
        classes=tuple(
            _of_class(clips, nested.answered, label, num_folds)
            for label in range(clips.num_classes)
        ),
        pairs=_pairs(clips, nested.answered),
        encoders=tuple(
            Judged(
                name,
                Value.of(by_recording[name], num_folds=num_folds),
                None
                if name == winner
                else Value.of(
                    by_recording[winner] - by_recording[name], num_folds=num_folds, lowest=-1.0
                ),
            )
            for name in order
        ),
        folds_won={name: nested.chosen.count(name) for name in candidates},
    )


def judgeable(clips: TaughtClips) -> Mask:
    """Return which clips are of a class with at least two recordings: bool (N,)."""
    several = [label for label in range(clips.num_classes) if len(clips.recordings_of(label)) > 1]
    return np.isin(clips.labels, several)


def choose_encoder(sets: Mapping[str, TaughtClips]) -> str:
    """Return the encoder that is right most often about held-out recordings, of equals the first.

    Right is the mean over classes, so that large classes do not decide.
    """
    accuracy = {name: hold_out(clips).accuracy for name, clips in sets.items()}
    return max(accuracy, key=accuracy.__getitem__)


def cross_answer(
    sets: Mapping[str, TaughtClips], candidates: Sequence[str], folds: Labels
) -> tuple[Answers, dict[str, Answers]]:
    """Answer the clips of each fold by classifiers taught from the other folds.

    Returns:
        The answers of the encoder that inner folds choose, and of every encoder alone.
    """
    num_clips = len(folds)
    nested = np.full(num_clips, UNANSWERED)
    alone = {name: np.full(num_clips, UNANSWERED) for name in sets}
    chosen = []
    # With a single recording nothing is taught, and nothing answered.
    num_folds = int(folds.max()) + 1
    for fold in range(num_folds if num_folds > 1 else 0):
        is_held = folds == fold
        accuracy = {}
        for name, clips in sets.items():
            taught = clips.of(~is_held)
            held = hold_out(taught)
            accuracy[name] = held.accuracy
            (model,) = fit_linear(taught, [held.penalty])
            answered = model.scores(clips.features[is_held]).argmax(axis=1)
            alone[name][is_held] = np.where(answered == clips.num_classes, NONE, answered)
        best = max(candidates, key=accuracy.__getitem__)
        chosen.append(best)
        nested[is_held] = alone[best][is_held]
    return (
        Answers(nested, tuple(chosen)),
        {name: Answers(answers, (name,) * len(chosen)) for name, answers in alone.items()},
    )


def _accuracies(clips: TaughtClips, answers: Answers, is_judged: Mask) -> Floats:
    """Return the share of right answers in each recording that has judged clips: (R,)."""
    right = np.where(is_judged, answers.answered == clips.labels, np.nan)
    return means_by_recording(right, clips.recordings)


def _of_class(clips: TaughtClips, answered: Labels, label: int, num_folds: int) -> ClassValue:
    members = clips.labels == label
    recordings = clips.recordings_of(label)
    recall = None
    if len(recordings) > 1:
        right = np.where(members, answered == label, np.nan)
        recall = Value.of(means_by_recording(right, clips.recordings), num_folds=num_folds)
    return ClassValue(label, int(members.sum()), len(recordings), recall)


def _pairs(clips: TaughtClips, answered: Labels) -> tuple[Pair, ...]:
    """List the pairs of classes with the most mistakes, relative to their clips."""
    is_judged = judgeable(clips)
    counts = np.zeros((clips.num_classes, clips.num_classes), dtype=np.int64)
    shown = is_judged & (answered >= 0)
    np.add.at(counts, (clips.labels[shown], answered[shown]), 1)
    total = np.bincount(clips.labels[is_judged], minlength=clips.num_classes)
    pairs = [
        Pair((a, b), int(counts[a, b] + counts[b, a]), int(total[a] + total[b]))
        for a in range(clips.num_classes)
        for b in range(a + 1, clips.num_classes)
        if counts[a, b] + counts[b, a]
    ]
    pairs.sort(key=lambda pair: (-pair.mistakes / pair.clips, pair.labels))
    return tuple(pairs[:MOST_PAIRS])


def _same_recordings(clips: TaughtClips) -> float | None:
    """Return the accuracy on clips that have a fellow clip, of class and recording, in teaching.

    None where no class has two clips of a recording, or a class has a single clip.
    """
    folds = clip_folds(clips, SAME_FOLDS)
    right, has_fellow = np.zeros(len(clips), bool), np.zeros(len(clips), bool)
    for fold in range(int(folds.max()) + 1):
        is_held = folds == fold
        taught = clips.of(~is_held)
        if not np.isin(np.arange(clips.num_classes), taught.labels).all():
            return None
        (model,) = fit_linear(taught, [hold_out(taught).penalty])
        right[is_held] = model.scores(clips.features[is_held]).argmax(1) == clips.labels[is_held]
        known = set(zip(taught.labels.tolist(), taught.recordings.tolist(), strict=True))
        for index in np.flatnonzero(is_held & (clips.labels != NONE)).tolist():
            has_fellow[index] = (clips.labels[index], clips.recordings[index]) in known
    return float(right[has_fellow].mean()) if has_fellow.any() else None
