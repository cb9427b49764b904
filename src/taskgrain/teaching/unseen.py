"""Whether a taught classifier can tell clips of none of its classes from clips of its classes.

Classes play the unknown in turn: classifiers are taught without it and without a recording, and
see both classes and unknown in that recording.

Shapes: N clips, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from taskgrain.randomness import generator_for
from taskgrain.teaching.classifier import (
    conformal_threshold,
    fit_linear,
    hold_out,
    known_unlikeness,
    unlikeness,
)
from taskgrain.teaching.estimate import FEWEST_RECORDINGS, OUTER_FOLDS, Value
from taskgrain.teaching.folds import (
    NONE,
    Floats,
    Labels,
    Mask,
    TaughtClips,
    means_by_recording,
    recording_folds,
)

MOST_ROUNDS = 10
FEWEST_CLASSES = 3  # two have to be left when one plays the unknown
FEWEST_AUROC = 0.7  # whose lower bound below this means: cannot tell unknown from known
BASE_RATES = (0.5, 0.1, 0.01)


# The test. For each class u and each fold r of recordings, a classifier is taught from clips that
# are neither of u nor of r; its penalty, temperature and threshold come from inner folds of those
# clips. It then sees the clips of r: those of u are unknown, the others known.
#     AUROC(u, r)  = P(unlikeness of an unknown clip > that of a known clip), ties count half
#     rejected     = share of known clips above the threshold
#     accepted     = share of unknown clips at or below it
# Known and unknown of the same recording are compared where it has both, so that a strange room
# cannot pass for a strange action. A recording of one class alone has no such pairs; its clips are
# then compared with the known clips of all recordings, which were left out likewise.
# Values are averaged over u within a recording, and their interval is over recordings.
#
# Clips of NONE that the user gave are left out by recording as well; as unknown clips of their own
# they are counted apart, since they are what the classifier was taught to reject.


@dataclass(frozen=True, slots=True)
class Unseen:
    """How well clips of unseen classes are told from clips of the classes."""

    auroc: Value
    rejected: Value | None  # share of clips of the classes that get no answer; None: no threshold
    accepted: Value | None  # share of clips of unseen classes that get one
    given_none: Value | None  # AUROC of the user's own clips of NONE; None: there are none

    @property
    def can_tell(self) -> bool:
        """Whether unknown is told from known well enough to abstain: AUROC surely .7 or more."""
        return self.lower_bound is not None and self.lower_bound >= FEWEST_AUROC

    @property
    def lower_bound(self) -> float | None:
        """The lower bound of AUROC; None of fewer than five recordings."""
        if self.auroc.interval is not None:
            return self.auroc.interval.low
        return self.auroc.value if self.auroc.num_recordings >= FEWEST_RECORDINGS else None


def precision(base_rate: float, *, found: float, accepted: float) -> float:
    """Return the share of answers that are about a clip of a class.

    Args:
        base_rate: share of clips that are of a class at all, 0 to 1.
        found: share of clips of the classes that are answered.
        accepted: share of other clips that are answered.
    """
    right, wrong = base_rate * found, (1.0 - base_rate) * accepted
    return right / (right + wrong) if right + wrong > 0 else 0.0


def unseen_classes(clips: TaughtClips, alpha: float) -> Unseen | None:
    """Test classes as unknown ones, at most ten; None with fewer than three classes.

    Args:
        clips: to teach from.
        alpha: share of clips of the classes that may be rejected.
    """
    if clips.num_classes < FEWEST_CLASSES:
        return None
    folds = recording_folds(clips, OUTER_FOLDS)
    rounds = [_round(clips, folds, label, alpha) for label in unknown_classes(clips.num_classes)]
    auroc = _by_recording(clips, folds, [each.auroc for each in rounds])
    rejected = _by_recording(clips, folds, [each.rejected for each in rounds])
    accepted = _by_recording(clips, folds, [each.accepted for each in rounds])
    if auroc is None:
        return None
    own_none = _given_none(clips, folds) if clips.has_none else None
    return Unseen(auroc, rejected, accepted, own_none)


def unknown_classes(num_classes: int) -> list[int]:
    """List the classes that play the unknown: all of ten or fewer, else ten that are drawn.

    A round teaches some fifty classifiers: of fifty classes all would take minutes, and say little
    more about the next class that nobody taught.
    """
    order = generator_for(0, 0, "classes that play the unknown").permutation(num_classes)
    return sorted(order[:MOST_ROUNDS].tolist())


@dataclass(frozen=True, slots=True, eq=False)
class _Round:
    """What one class gave as the unknown, clip by clip (N,); NaN where a clip does not count."""

    auroc: Floats  # of unknown clips: share of known clips that are more alike
    rejected: Floats  # of known clips: 1 if above the threshold
    accepted: Floats  # of unknown clips: 1 if not above it


def _round(clips: TaughtClips, folds: Labels, label: int, alpha: float) -> _Round:
    unlike = np.full(len(clips), np.nan)
    above = np.full(len(clips), np.nan)
    for fold in range(int(folds.max()) + 1):
        is_held = folds == fold
        taught = without_class(clips.of(~is_held & (clips.labels != label)), label)
        if len(np.unique(taught.labels[taught.labels != NONE])) < 2:
            continue
        held = hold_out(taught)
        (model,) = fit_linear(taught, [held.penalty])
        unlike[is_held] = unlikeness(
            model.scores(clips.features[is_held]),
            num_classes=taught.num_classes,
            temperature=held.temperature,
        )
        threshold = conformal_threshold(known_unlikeness(taught, held), alpha)
        if threshold is not None:
            above[is_held] = unlike[is_held] > threshold
    is_unknown = clips.labels == label
    is_known = ~is_unknown & (clips.labels != NONE)
    return _Round(
        auroc=_auroc_of_clips(unlike, is_known, is_unknown, clips.recordings),
        rejected=np.where(is_known, above, np.nan),
        accepted=np.where(is_unknown, 1.0 - above, np.nan),
    )


def without_class(clips: TaughtClips, label: int) -> TaughtClips:
    """Renumber the classes of clips of which none is of this class: 0..K-2."""
    labels = np.where(clips.labels > label, clips.labels - 1, clips.labels)
    return TaughtClips(clips.features, labels, clips.recordings, clips.num_classes - 1)


def _given_none(clips: TaughtClips, folds: Labels) -> Value | None:
    """Return the AUROC of the clips of NONE, each answered without its recording."""
    unlike = np.full(len(clips), np.nan)
    for fold in range(int(folds.max()) + 1):
        is_held = folds == fold
        taught = clips.of(~is_held)
        held = hold_out(taught)
        (model,) = fit_linear(taught, [held.penalty])
        unlike[is_held] = unlikeness(
            model.scores(clips.features[is_held]),
            num_classes=clips.num_classes,
            temperature=held.temperature,
        )
    is_none = clips.labels == NONE
    of_clips = _auroc_of_clips(unlike, ~is_none, is_none, clips.recordings)
    return _by_recording(clips, folds, [of_clips])


def _auroc_of_clips(unlike: Floats, is_known: Mask, is_unknown: Mask, recordings: Labels) -> Floats:
    """Return, of each unknown clip, the share of known clips that are more alike: (N,) with NaN."""
    shares = np.full(len(unlike), np.nan)
    is_scored = np.isfinite(unlike)
    for index in np.flatnonzero(is_unknown & is_scored):
        beside = is_known & is_scored & (recordings == recordings[index])
        known = unlike[beside if beside.any() else is_known & is_scored]
        if len(known):
            shares[index] = (known < unlike[index]).mean() + 0.5 * (known == unlike[index]).mean()
    return shares


def _by_recording(clips: TaughtClips, folds: Labels, rounds: Sequence[Floats]) -> Value | None:
    """Average over the rounds in each recording, then over recordings."""
    means = []
    for recording in np.unique(clips.recordings):
        members = clips.recordings == recording
        of_rounds = [
            means_by_recording(each[members], clips.recordings[members]) for each in rounds
        ]
        values = np.concatenate(of_rounds)  # one of each round that has clips here
        if len(values):
            means.append(float(values.mean()))
    return Value.of(np.array(means), num_folds=int(folds.max()) + 1)
