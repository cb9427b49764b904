"""Answer every clip by what the other folds of clips teach: folds of whole recordings.

Where classes are small, a division into two sides leaves too few clips to learn from and too few to
judge by. In folds each clip is scored once, and learned from in all other folds.

Shapes: N clips, K classes, F folds, U units: recordings, or clips where these are not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from taskgrain.errors import ConfigError, ManifestError, list_problems
from taskgrain.statistics.tests import FEWEST_DRAWS
from taskgrain.teaching.estimate import OUTER_FOLDS
from taskgrain.teaching.folds import Labels, TaughtClips, recording_folds
from taskgrain.tools.compare.division import DIVISION_STREAM
from taskgrain.tools.compare.labels import LabelTable
from taskgrain.tools.compare.plan import Folds
from taskgrain.transfer.answers import Answers, Evaluation, Subject
from taskgrain.transfer.evaluate import PERMUTATION_STREAM, evaluation_of
from taskgrain.transfer.features import FeatureSet, mean_over_steps
from taskgrain.transfer.fitting import (
    NO_ANSWER,
    Answered,
    Problems,
    answer_by_each,
    joined_choices,
)
from taskgrain.transfer.probes import ProbeName
from taskgrain.transfer.task import TargetTask

Entropy = tuple[int, int]
EVEN_STREAM = 4  # keeps it apart from draws, permutations, episodes and divisions of the same seed
ROUNDING = 1e-9  # of a share times a count
MOST_PERMUTED_CLIPS = 1000  # with more, permuting labels would take 20 times as long as the rest


@dataclass(frozen=True, slots=True, eq=False)
class Folding:
    """Clips in folds, each of whole recordings where these are known."""

    task: TargetTask  # all of its clips are scored; its support is empty
    fold_of: Labels  # (N,), 0..F-1
    unit_of: Labels  # (N,), 0..U-1
    recordings: tuple[str, ...] | None  # name of each unit; None: each clip is a unit
    lone: tuple[str, ...]  # classes of one unit, which are left out
    reason: str | None  # why there are folds; None: they were asked for

    @property
    def num_folds(self) -> int:
        """F."""
        return int(self.fold_of.max()) + 1

    @property
    def num_units(self) -> int:
        """U."""
        return int(self.unit_of.max()) + 1


def fold(
    table: LabelTable,
    groups: Sequence[str] | None,
    *,
    folds: Folds | None,
    seed: int,
    reason: str | None = None,
) -> Folding:
    """Deal clips to folds; classes of one recording (or clip) are left out.

    What tells such a class from others may be its recording, and nothing can say how well the
    next one would be known. Folds depend on clips, labels, groups and seed alone.

    Args:
        table: the labels; a split of theirs is not used.
        groups: of each clip, as its recording; None: each clip for itself.
        folds: how many, at most one for each recording; None: ten at most.
        seed: of the deal.
        reason: why there are folds, if nobody asked for them.

    Raises:
        ConfigError: if folds of recordings are wanted and none are known.
        ManifestError: if fewer than two classes are left.
    """
    if folds == "recordings" and groups is None:
        raise ConfigError(
            "--folds recordings: which clips are of one recording is not known; give --groups "
            "FILE, a table clip,group, or a number of folds"
        )
    units = table.clip_ids if groups is None else tuple(groups)
    units_of: dict[str, set[str]] = {}
    for label, unit in zip(table.labels, units, strict=True):
        units_of.setdefault(label, set()).add(unit)
    names = tuple(sorted(name for name, own in units_of.items() if len(own) > 1))
    lone = tuple(sorted(units_of.keys() - set(names)))
    if len(names) < 2:
        raise ManifestError(_too_few(table.path, len(units_of), lone, by_group=groups is not None))
    # Sorted, so that the order of rows changes no number.
    clips = sorted(
        each for each in zip(table.clip_ids, table.labels, units, strict=True) if each[1] in names
    )
    labels = np.array([names.index(label) for _, label, _ in clips], dtype=np.int64)
    unit_names, unit_of = np.unique([unit for _, _, unit in clips], return_inverse=True)
    return Folding(
        TargetTask(
            table.name,
            names,
            support_ids=(),
            support_labels=np.zeros(0, np.int64),
            query_ids=tuple(clip for clip, _, _ in clips),
            query_labels=labels,
        ),
        _deal(labels, unit_of.astype(np.int64), folds=folds, seed=seed),
        unit_of.astype(np.int64),
        None if groups is None else tuple(map(str, unit_names)),
        lone,
        reason,
    )


def _deal(labels: Labels, unit_of: Labels, *, folds: Folds | None, seed: int) -> Labels:
    """Deal the units to folds: int64 (N,), in each of which another has clips of every class."""
    num_units = int(unit_of.max()) + 1
    wanted = num_units if folds == "recordings" else folds or OUTER_FOLDS
    # Of equal units the first is dealt first: which that is, the seed decides.
    order = np.random.default_rng((seed, DIVISION_STREAM)).permutation(num_units)[unit_of]
    clips = TaughtClips(np.zeros((len(labels), 1)), labels, order, int(labels.max()) + 1)
    fold_of = recording_folds(clips, wanted)
    in_one = any(len(np.unique(fold_of[labels == each])) < 2 for each in np.unique(labels))
    # Recordings of several classes may have left one of them to a single fold: it would then be
    # unknown where that fold is answered. With a fold for each recording none is.
    return recording_folds(clips, num_units) if in_one else fold_of


def _too_few(path: Path, num_classes: int, lone: Sequence[str], *, by_group: bool) -> str:
    what = "recording" if by_group else "clip"
    advice = (
        "; what a class and what its recording looks like cannot be told apart. Film more, or "
        "name the recordings by --groups"
        if by_group
        else "; add clips"
    )
    return (
        f"{path}: {len(lone)} of {num_classes} classes have one {what} ({', '.join(lone[:10])}); "
        f"expected two classes or more of at least 2 {what}s{advice}"
    )


def check_taught(folding: Folding, unusable: frozenset[str]) -> None:
    """Check that every fold is taught every class.

    Args:
        folding: the clips.
        unusable: clips that some source has no features of, which no source learns from.

    Raises:
        ConfigError: naming the classes that a fold would not be taught.
    """
    usable = np.array([clip not in unusable for clip in folding.task.query_ids], dtype=np.bool_)
    problems = [
        f"class {name!r} has clips with features in every source in fewer than two folds; extract "
        "more, or leave the class out"
        for label, name in enumerate(folding.task.class_names)
        if len(np.unique(folding.fold_of[usable & (folding.task.query_labels == label)])) < 2
    ]
    if problems:
        raise ConfigError(list_problems(problems))


def answer_in_folds(
    subject: Subject,
    features: FeatureSet,
    folding: Folding,
    *,
    probes: Sequence[ProbeName],
    unusable: frozenset[str],
    seed: int,
) -> tuple[Evaluation, Evaluation | None]:
    """Fit each probe on all folds but one, and answer the clips of that one.

    Features are standardised by the clips that are learned from. Computes on one thread.

    Args:
        subject: whose features they are.
        features: (N, D) or (N, T', D), whose steps are averaged.
        folding: the clips.
        probes: that read one vector a clip.
        unusable: clips that are learned from by no source.
        seed: of the permutations.

    Returns:
        The answers, int16 (1, N), and those of 20 permutations of the labels that are learned
        from, int16 (20, N); None where there are too many clips for these.
    """
    task = folding.task
    row_of = {clip: row for row, clip in enumerate(features.clip_ids)}
    rows = np.array([row_of.get(clip, -1) for clip in task.query_ids], dtype=np.int64)
    is_taught = np.array([clip not in unusable for clip in task.query_ids], dtype=np.bool_)
    values = mean_over_steps(features).features
    own, shuffled = _Sheets(probes, 1, len(rows)), _Sheets(probes, FEWEST_DRAWS, len(rows))
    is_permuted = len(rows) <= MOST_PERMUTED_CLIPS
    with threadpool_limits(limits=1):
        for number in range(folding.num_folds):
            is_held = folding.fold_of == number
            learned = _even(task.query_labels, is_taught, is_held, entropy=(seed, number))
            asked = np.flatnonzero(is_held & (rows >= 0))
            if not len(asked):
                continue
            taught, queries = values[rows[learned]], values[rows[asked]]
            labels = task.query_labels[learned]
            entropy = (seed, PERMUTATION_STREAM, number)
            for sheets in (own, shuffled) if is_permuted else (own,):
                labelings = labels[None] if sheets is own else _permuted(labels, entropy)
                problems = Problems(
                    support=np.tile(np.arange(len(learned)), (len(labelings), 1)),
                    labels=labelings,
                    query=None,
                    num_classes=len(task.class_names),
                )
                (answered,) = answer_by_each(
                    probes, taught, queries, problems=[problems], standardiser=None
                )
                sheets.add(asked, answered)
    task = replace(task, failed=frozenset(np.array(task.query_ids)[rows < 0].tolist()))
    permuted = replace(subject, control="permuted-labels")
    return (
        evaluation_of(task, own.answers(), subject=subject),
        evaluation_of(task, shuffled.answers(), subject=permuted) if is_permuted else None,
    )


# A class whose clips are held out has fewer to learn from than it would have. Probes that heed how
# many clips a class has then prefer the others, and are right less often than chance where nothing
# can be learned (ridge on 28 clips of 4 classes: .07 for .25). So the others give up as many.
def _even(
    labels: Labels, is_taught: NDArray[np.bool_], is_held: NDArray[np.bool_], *, entropy: Entropy
) -> Labels:
    """Choose the clips that a fold is learned from: the same share of every class.

    Args:
        labels: int64 (N,).
        is_taught: bool (N,), which clips may be learned from at all.
        is_held: bool (N,), which clips are answered.
        entropy: seed, and number of the fold.

    Returns:
        int64 (n,), places of the clips in rising order; at least one of each class.
    """
    places = np.random.default_rng((*entropy, EVEN_STREAM)).permutation(len(labels))
    num_classes = int(labels.max()) + 1
    had, left = (
        np.bincount(labels[chosen], minlength=num_classes)
        for chosen in (is_taught, is_taught & ~is_held)
    )
    share = float((left / had).min())
    wanted = np.maximum(np.floor(share * had + ROUNDING), 1).astype(np.int64)
    free = places[(is_taught & ~is_held)[places]]
    return np.sort(
        np.concatenate(
            [free[labels[free] == label][:number] for label, number in enumerate(wanted)]
        )
    )


def _permuted(labels: Labels, entropy: tuple[int, int, int]) -> Labels:
    """Permute the labels of one fold's teaching clips: int64 (20, n)."""
    return np.stack(
        [
            np.random.default_rng((*entropy, draw)).permutation(labels)
            for draw in range(FEWEST_DRAWS)
        ]
    )


class _Sheets:
    """The answers of each probe to all clips, filled in fold by fold."""

    def __init__(self, probes: Sequence[ProbeName], num_draws: int, num_clips: int) -> None:
        self._predicted: dict[ProbeName, NDArray[np.int16]] = {
            probe: np.full((num_draws, num_clips), NO_ANSWER, np.int16) for probe in probes
        }
        self._answered: dict[ProbeName, list[Answered]] = {probe: [] for probe in probes}

    def add(self, clips: Labels, answered: Sequence[Answered]) -> None:
        for probe, each in zip(self._predicted, answered, strict=True):
            self._predicted[probe][:, clips] = each.predicted
            self._answered[probe].append(each)

    def answers(self) -> list[Answers]:
        """Return what each probe answered; a failure in one fold leaves it without any answer."""
        found = []
        for probe, predicted in self._predicted.items():
            folds = self._answered[probe]
            failure = next((each.failure for each in folds if each.failure is not None), None)
            chosen_on = next((each.chosen_on for each in folds if each.chosen_on), None)
            chosen = joined_choices([each.chosen for each in folds])
            found.append(Answers(probe, "all", predicted, chosen, chosen_on, failure))
        return found
