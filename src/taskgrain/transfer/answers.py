"""Who was measured, and what was answered: in every support draw of a target, or every episode.

One record serves both. In a support draw every scored clip of the target is answered, among all of
its classes. In an episode a few clips of a few classes, its ways, are answered, and both are drawn
anew; its queries come way after way, so that their truth is the same in every episode.

Scores are held as counts of right answers, and computed where they are used: a score is a count
over the number of draws. A count takes one or two bytes; a float64 score would take eight, for
every answer, seed and clip of both sources, in several copies.

Shapes: R draws or episodes, Q clips that are answered in each, N scored clips, n of these,
K classes, W ways, A answers, S encoder seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from taskgrain.errors import ResultError
from taskgrain.names import Control
from taskgrain.results import Shots
from taskgrain.transfer.archive import StoredArray


@dataclass(frozen=True, slots=True)
class Subject:
    """Who was measured: an encoder read in one way, or features that no encoder computed."""

    source: str | None  # None for a control that no source was trained for
    seed: int | None  # of the encoder; None where there is no encoder
    readout: str
    control: Control | None

    @property
    def name(self) -> str:
        """The source or the control with its seed, as messages name them."""
        seed = "" if self.seed is None else f", seed {self.seed}"
        return f"{self.source or self.control}{seed}"


class ProbeAndShots(Protocol):
    """Which of a subject's answers are meant: those of a probe, at some number of shots."""

    @property
    def probe(self) -> str | None:
        """The probe; None where a head of the network's own answers."""

    @property
    def shots(self) -> Shots:
        """Support clips a class."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What one probe answered at one number of shots, in every support draw or every episode."""

    probe: str | None  # None where a head of the network's own answers
    shots: Shots
    held: NDArray[np.int16] | StoredArray  # or where it lies: `predicted` reads it anew
    chosen: str | None
    chosen_on: str | None
    problem: str | None = None  # why the probe has no answer to any clip, in any draw
    num_ways: int | None = None  # W of episodes; None for support draws, which have all K classes

    @property
    def predicted(self) -> NDArray[np.int16]:
        """The answers: int16 (R, Q) in 0..K-1 or 0..W-1, NO_ANSWER where the clip failed."""
        if isinstance(self.held, StoredArray):
            return self.held.read().astype(np.int16, copy=False)
        return self.held

    @property
    def num_draws(self) -> int:
        """R, the number of support draws or of episodes."""
        return self.held.shape[0]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """All answers of one subject on one target, and what is needed to score them."""

    subject: Subject
    target: str
    class_names: tuple[str, ...]
    clip_ids: tuple[str, ...]  # the N scored clips: of episodes, those that queries are drawn from
    labels: NDArray[np.int64]  # (N,)
    failed: int  # of the scored clips, could not be decoded
    truncated: int  # of the scored clips, end early
    answers: tuple[Answers, ...]

    def truth(self, answers: Answers) -> NDArray[np.integer]:
        """Return the right answers: int64 (N,) of every support draw, int16 (Q,) of every episode.

        The latter are the ways 0, 0, ..., 1, 1, ..., W - 1, with as many queries of each.
        """
        if answers.num_ways is None:
            return self.labels
        num_queries = answers.held.shape[1] // answers.num_ways  # of each way
        return np.repeat(np.arange(answers.num_ways), num_queries).astype(np.int16)

    def correct(self, answers: Answers) -> NDArray[np.bool_]:
        """Compare answers with the truth: bool (R, Q), False where the clip failed."""
        assert answers.problem is None, "a probe without answers is not wrong, it has no score"
        right: NDArray[np.bool_] = answers.predicted == self.truth(answers)
        return right

    def hits(self, answers: Answers) -> NDArray[np.unsignedinteger]:
        """Count the draws in which each clip was answered right: (N,), the least type that fits."""
        return self.correct(answers).sum(axis=0, dtype=np.min_scalar_type(answers.num_draws))

    def scores(self, answers: Answers) -> NDArray[np.float64]:
        """Compute each clip's share of draws in which it was answered right: float64 (N,)."""
        return self.correct(answers).mean(axis=0)

    def accuracies(self, answers: Answers) -> NDArray[np.float64]:
        """Compute the share of right answers in each draw or episode: float64 (R,)."""
        return self.correct(answers).mean(axis=1)


Group = Sequence[Evaluation]
"""A subject under several encoder seeds, on one target."""


def seeds_of(group: Group) -> list[int | None]:
    """List the encoder seeds of a group."""
    return [each.subject.seed for each in group]


def answers_like(evaluation: Evaluation, kind: ProbeAndShots) -> Answers:
    """Find the answers of the same probe, or of a head of its own, at the same number of shots.

    Raises:
        ResultError: if the evaluation has none.
    """
    # A head of a network's own has no probe: it is compared with every probe.
    for each in evaluation.answers:
        if each.shots == kind.shots and each.probe in (None, kind.probe):
            return each
    raise ResultError(
        f"{evaluation.subject.name} has no answers of {kind.probe} "
        f"at {kind.shots} shots on {evaluation.target}"
    )


def problem_of(evaluations: Sequence[Evaluation], kind: ProbeAndShots) -> str | None:
    """Return why some of the evaluations have no answers like these; None if all have.

    The text names source and seed of the first evaluation that has none.
    """
    for each in evaluations:
        problem = answers_like(each, kind).problem
        if problem is not None:
            return f"{each.subject.name}: {problem}"
    return None


def varies(group: Group, kind: ProbeAndShots) -> bool:
    """Whether the answers of a subject's seeds differ at all."""
    first = answers_like(group[0], kind).predicted
    return not all(np.array_equal(first, answers_like(each, kind).predicted) for each in group[1:])


def by_subject(evaluations: Sequence[Evaluation]) -> list[list[Evaluation]]:
    """Group the evaluations that differ in the seed alone, in the order of their first."""
    groups: dict[tuple[Subject, str], list[Evaluation]] = {}
    for each in evaluations:
        groups.setdefault((replace(each.subject, seed=None), each.target), []).append(each)
    return list(groups.values())


def paired_by_readout(
    groups: Sequence[Group], source: str, versus: str
) -> list[tuple[Group, list[Evaluation]]]:
    """Pair two sources wherever they were read in the same way, seed by seed.

    Args:
        groups: as `by_subject` returns them, of one target.
        source: whose groups come first, in their order.
        versus: whose seeds are put into the order of the first's.

    Returns:
        A pair a read-out that both have; none where they share none.

    Raises:
        ResultError: if one of them is not there, or they have not the same seeds.
    """
    by_name: dict[str, dict[str, Group]] = {source: {}, versus: {}}
    for group in groups:
        subject = group[0].subject
        if subject.source in by_name:
            by_name[subject.source][subject.readout] = group
    for name, of_readout in by_name.items():
        if not of_readout:
            raise ResultError(f"source {name!r} has not been evaluated on this target")
    shared = [readout for readout in by_name[source] if readout in by_name[versus]]
    return [
        (
            by_name[source][readout],
            _in_seed_order(by_name[source][readout], by_name[versus][readout]),
        )
        for readout in shared
    ]


def _in_seed_order(first: Group, second: Group) -> list[Evaluation]:
    of_seed = {each.subject.seed: each for each in second}
    # A seed stands for equal clips, order and first weights: values of one seed are a pair.
    seeds = seeds_of(first)
    if set(seeds) != set(of_seed):
        raise ResultError(
            f"{first[0].subject.source} has seeds {seeds}, {second[0].subject.source} has "
            f"{list(of_seed)} (read by {first[0].subject.readout}); a paired difference needs the "
            "same"
        )
    return [of_seed[seed] for seed in seeds]


Floats = NDArray[np.float64]
Counts = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class HitTable:
    """The scores of one evaluation: a row of clips for each of its answers."""

    hits: Counts  # (A, N)
    draws: Floats  # (A,)

    @classmethod
    def of(cls, evaluation: Evaluation, answers: Sequence[Answers]) -> HitTable:
        """Count the right answers of an evaluation, for at least one of its `Answers`."""
        return cls(np.stack([evaluation.hits(each) for each in answers]), _draws(answers))

    @property
    def shape(self) -> tuple[int, int]:
        """A and N."""
        return len(self.hits), self.hits.shape[1]

    def of_set(self, index: int) -> Floats:
        """Compute the scores of one answer: float64 (N,), in [0, 1]."""
        scores: Floats = self.hits[index] / self.draws[index]
        return scores

    def of_clips(self, clips: NDArray[np.int64]) -> Floats:
        """Compute the scores of all answers on some clips: float64 (A, n)."""
        scores: Floats = self.hits[:, clips] / self.draws[:, None]
        return scores


@dataclass(frozen=True, slots=True, eq=False)
class PairedTable:
    """Differences of two sources: for each answer a row for each seed, then one for their mean."""

    ours: Counts  # (A, S, N)
    theirs: Counts  # (A, S, N)
    draws: Floats  # (A,)

    @classmethod
    def of(
        cls, first: Sequence[Evaluation], second: Sequence[Evaluation], answers: Sequence[Answers]
    ) -> PairedTable:
        """Count the right answers of two sources, seed by seed in the same order."""
        ours, theirs = (
            np.stack(
                [np.stack([each.hits(answers_like(each, kind)) for each in group])
                 for kind in answers]
            )
            for group in (first, second)
        )  # fmt: skip
        return cls(ours, theirs, _draws(answers))

    @property
    def shape(self) -> tuple[int, int]:
        """A * (S + 1) and N."""
        return len(self.ours) * self.sets_of_answer, self.ours.shape[2]

    @property
    def sets_of_answer(self) -> int:
        """S + 1."""
        return self.ours.shape[1] + 1

    def of_set(self, index: int) -> Floats:
        """Compute the differences of one answer for one seed, or their mean: float64 (N,)."""
        answer, seed = divmod(index, self.sets_of_answer)
        if seed < self.ours.shape[1]:
            return self._differences(answer, np.s_[seed : seed + 1])[0]
        return _mean(self._differences(answer, np.s_[:])[None])[0]

    def of_clips(self, clips: NDArray[np.int64]) -> Floats:
        """Compute all sets on some clips: float64 (A * (S + 1), n), in [-1, 1]."""
        draws = self.draws[:, None, None]
        gaps = self.ours[:, :, clips] / draws - self.theirs[:, :, clips] / draws  # (A, S, n)
        return np.concatenate([gaps, _mean(gaps)[:, None]], axis=1).reshape(-1, len(clips))

    def scores(self, answer: int) -> tuple[Floats, Floats]:
        """Compute the scores of both sources at one answer: float64 (S, N) each."""
        draws = self.draws[answer]
        return self.ours[answer] / draws, self.theirs[answer] / draws

    def _differences(self, answer: int, seeds: slice) -> Floats:
        draws = self.draws[answer]
        differences: Floats = self.ours[answer, seeds] / draws - self.theirs[answer, seeds] / draws
        return differences


def _draws(answers: Sequence[Answers]) -> Floats:
    return np.array([each.num_draws for each in answers], np.float64)


def _mean(values: Floats) -> Floats:
    """Average (A, S, n) over the seeds, one after the other, whatever n is."""
    # numpy sums in another order for arrays of another shape: the bits of a mean would depend on
    # how many clips are taken at a time.
    total = values[:, 0].copy()
    for seed in range(1, values.shape[1]):
        total += values[:, seed]
    return total / values.shape[1]
