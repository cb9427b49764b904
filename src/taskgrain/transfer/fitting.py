"""Fit probes on many small problems over the same features, and answer their queries.

Shapes: S problems, N support clips, M clips of the pool, Q query clips, D width, K classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskgrain.errors import ProbeError
from taskgrain.transfer.probes import PROBES, Fitted, Floats, Labels, ProbeName, Standardiser
from taskgrain.transfer.probes.clips import (
    FLOAT_BYTES,
    KEPT_BYTES,
    Queries,
    RawClips,
    Scaling,
    Support,
    check_finite,
)

NO_ANSWER = -1  # the predicted class of a clip without an answer: never the true one
BLOCK_BYTES = 16 << 20  # 16 MiB of standardised features at a time: about what the caches hold


@dataclass(frozen=True, slots=True, eq=False)
class Problems:
    """The clips that each problem learns from, their labels, and the clips that it answers."""

    support: Labels  # (S, N), rows of the pool
    labels: Labels  # (S, N) in 0..K-1; every problem has clips of every class
    query: Labels | None  # (S, Q), rows of the scored clips; None: all of them, in each problem
    num_classes: int


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """The answers of one probe to every problem, or why it has none."""

    predicted: NDArray[np.int16]  # (S, Q) in 0..K-1; NO_ANSWER everywhere after a failure
    chosen: str | None  # the hyper-parameter; where problems differ, each with its count
    chosen_on: str | None
    failure: str | None = None  # why the probe answered none of them


def answer_many(
    probe: ProbeName,
    pool: NDArray[np.float32],
    scored: NDArray[np.float32],
    *,
    problems: Problems,
    standardiser: Standardiser | None,
) -> Answered:
    """Fit one probe on each problem and answer its query clips; see `answer_by_each`."""
    ((answered,),) = answer_by_each(
        [probe], pool, scored, problems=[problems], standardiser=standardiser
    )
    return answered


def answer_by_each(
    probes: Sequence[ProbeName],
    pool: NDArray[np.float32],
    scored: NDArray[np.float32],
    *,
    problems: Sequence[Problems],
    standardiser: Standardiser | None,
) -> list[list[Answered]]:
    """Fit each probe on each problem and answer its query clips.

    What probes and labels have in common, such as the products of query and support clips, is
    computed once. A probe that cannot be fitted on one of the problems, or whose standardised
    features are not finite there, answers none of them: a mean over the other problems would be of
    other problems than other sources have. The reason is then the answers' `failure`. This is the
    one place where the failure of a probe is caught.

    Args:
        probes: their names, all of which read steps, or none.
        pool: float32 (M, D) or (M, T', D), of the clips that can be learned from.
        scored: float32, of the clips that are answered, in the same form.
        problems: one or more that differ in their labels alone.
        standardiser: of the features; None measures each problem's own support.

    Returns:
        For each of the problems, the answers of each probe.
    """
    questions = _Questions(pool, scored, problems, standardiser)
    # Probes that work on products share them. One that needs standardised copies of the queries is
    # fitted by itself, on fewer problems at a time: its copies are what the memory goes to.
    scaling_queries = [probe for probe in probes if PROBES[probe]().scales_queries]
    together = [probe for probe in probes if probe not in scaling_queries]
    groups = [group for group in (together, *([each] for each in scaling_queries)) if group]
    answered: dict[ProbeName, list[Answered]] = {}
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is looked for
        for group in groups:
            answered |= questions.answers_of(group)
    return [[answered[probe][position] for probe in probes] for position in range(len(problems))]


class _Questions:
    """Problems over the same clips, answered block by block."""

    def __init__(
        self,
        pool: NDArray[np.float32],
        scored: NDArray[np.float32],
        problems: Sequence[Problems],
        standardiser: Standardiser | None,
    ) -> None:
        self._learned = pool.astype(np.float64)
        self._scored = RawClips(scored.astype(np.float64))
        self._problems = problems
        self._support, self._query = problems[0].support, problems[0].query
        self._num_query = len(scored) if self._query is None else self._query.shape[1]
        self._standardiser = standardiser

    def answers_of(self, probes: Sequence[ProbeName]) -> dict[ProbeName, list[Answered]]:
        """Answer by each probe: an `Answered` for each of the problems."""
        # A probe that fails on one block is not fitted on the next: it has no answers at all.
        collected = {probe: [_Collected() for _ in self._problems] for probe in probes}
        failed: dict[ProbeName, str] = {}
        block = self._num_at_once(probes)
        for start in range(0, len(self._support), block):
            part = slice(start, start + block)
            queries = self._queries(part)
            labelings = [each.labels[part] for each in self._problems]
            for probe in probes:
                if probe in failed:
                    continue
                try:
                    check_finite(queries.support.features)
                    fits = PROBES[probe]().fit_labelings(
                        queries.support, labelings, num_classes=self._problems[0].num_classes
                    )
                    for into, fitted in zip(collected[probe], fits, strict=True):
                        into.add(fitted, queries)
                except FloatingPointError:
                    failed[probe] = (
                        f"probe {probe}: standardised features are not finite "
                        "(is one almost constant in the clips whose spread scales it?)"
                    )
                except ProbeError as error:
                    failed[probe] = str(error)
        return {
            probe: [self._no_answer(failed[probe]) for _ in each]
            if probe in failed
            else [into.answered() for into in each]
            for probe, each in collected.items()
        }

    def _num_at_once(self, probes: Sequence[ProbeName]) -> int:
        """Choose how many problems are taken at a time; the answers do not depend on it."""
        # Two bounds: the features of a block should stay in the caches, and the products of queries
        # and support are kept from one probe to the next (`Queries.met`) up to a size.
        num_support = self._support.shape[1]
        scales = PROBES[probes[0]]().scales_queries
        clips = num_support + (self._num_query if scales else 0)
        features = FLOAT_BYTES * clips * int(np.prod(self._learned.shape[1:]))
        products = FLOAT_BYTES * (num_support + 1) * self._num_query
        return max(1, min(BLOCK_BYTES // features, KEPT_BYTES // products))

    def _queries(self, part: slice) -> Queries:
        """Standardise the support of some problems, and return their queries."""
        features = self._learned[self._support[part]]
        if self._standardiser is None:
            scaling = _scaling_of(features)
        else:
            scaling = Scaling(
                self._standardiser.mean[None, None], self._standardiser.scale[None, None]
            )
        features -= scaling.mean
        features /= scaling.scale
        rows = None if self._query is None else self._query[part]
        return Queries(self._scored, rows, scaling, Support(features))

    def _no_answer(self, failure: str) -> Answered:
        shape = (len(self._support), self._num_query)
        return Answered(np.full(shape, NO_ANSWER, np.int16), None, None, failure)


class _Collected:
    """The answers of one probe, block after block."""

    def __init__(self) -> None:
        self._predicted: list[NDArray[np.int16]] = []
        self._chosen: list[str | None] = []
        self._chosen_on: str | None = None

    def add(self, fitted: Fitted, queries: Queries) -> None:
        self._predicted.append(fitted.answers(queries).astype(np.int16))
        self._chosen += fitted.chosen
        self._chosen_on = fitted.chosen_on

    def answered(self) -> Answered:
        return Answered(
            np.concatenate(self._predicted), joined_choices(self._chosen), self._chosen_on
        )


def _scaling_of(support: Floats) -> Scaling:
    """Measure each problem's support (S, N, D) or (S, N, T', D) as `Standardiser.of` does."""
    shape = (len(support), *(1,) * (support.ndim - 2), support.shape[-1])
    flat = support.reshape(len(support), -1, support.shape[-1])
    mean = flat.mean(axis=1)
    centred = flat - mean[:, None]
    deviation = np.sqrt(np.einsum("snd,snd->sd", centred, centred) / flat.shape[1])
    # Rounding can give a constant feature a tiny deviation: compare values instead.
    varies = (flat != flat[:, :1]).any(axis=1)
    return Scaling(mean.reshape(shape), np.where(varies, deviation, 1.0).reshape(shape))


def joined_choices(chosen: Sequence[str | None]) -> str | None:
    """Join what the problems chose: "C=0.1", or "C=0.1 (31), C=1 (19)", the commonest first."""
    counted = Counter(each for each in chosen if each is not None).most_common()
    if len(counted) < 2:
        return counted[0][0] if counted else None
    return ", ".join(f"{text} ({count})" for text, count in counted)
