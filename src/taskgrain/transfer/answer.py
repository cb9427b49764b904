"""Fit one probe on many small problems over the same features, and answer their queries.

Shapes: S problems, N support clips, M clips of the pool, Q query clips, D width, K classes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskgrain.errors import ProbeError
from taskgrain.transfer.probes import PROBES, Floats, Labels, ProbeName, Standardiser
from taskgrain.transfer.probes.raw import RawClips, Scaling, check_finite

NO_ANSWER = -1  # the predicted class of a clip without an answer: never the true one
BLOCK_BYTES = 16 << 20  # 16 MiB of standardised features at a time: about what the caches hold
FLOAT_BYTES = 8


@dataclass(frozen=True, slots=True, eq=False)
class Problems:
    """Which clips each problem learns from, as what, and which it answers."""

    support: Labels  # (S, N), rows of the pool
    labels: Labels  # (S, N) in 0..K-1; every problem has clips of every class
    query: Labels | None  # (S, Q), rows of the scored clips; None: all of them, in each problem
    num_classes: int


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """The answers of one probe to every problem, or why it has none."""

    predicted: NDArray[np.int16]  # (S, Q) in 0..K-1; NO_ANSWER everywhere if there is a problem
    chosen: str | None  # the hyper-parameter; where problems differ, each with its count
    chosen_on: str | None
    problem: str | None = None  # why the probe answered none of them


def answer_many(
    probe: ProbeName,
    pool: NDArray[np.float32],
    scored: NDArray[np.float32],
    *,
    problems: Problems,
    standardiser: Standardiser | None,
) -> Answered:
    """Fit the probe on each problem and answer its query clips.

    A probe that cannot be fitted on one of the problems, or whose standardised features are not
    finite there, answers none of them: a mean over the other problems would be of other problems
    than other sources have. The reason is then the answers' `problem`. This is the one place where
    the failure of a probe is caught.

    Args:
        probe: its name.
        pool: float32 (M, D) or (M, T', D), of the clips that can be learned from.
        scored: float32, of the clips that are answered, in the same form.
        problems: what is asked.
        standardiser: of the features; None measures each problem's own support.
    """
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is looked for
            return _answer_many(probe, pool, scored, problems, standardiser)
    except ProbeError as error:
        shape = (len(problems.support), _num_query(scored, problems))
        return Answered(np.full(shape, NO_ANSWER, np.int16), None, None, str(error))


def _num_query(scored: NDArray[np.float32], problems: Problems) -> int:
    return len(scored) if problems.query is None else problems.query.shape[1]


def _answer_many(
    probe: ProbeName,
    pool: NDArray[np.float32],
    scored: NDArray[np.float32],
    problems: Problems,
    standardiser: Standardiser | None,
) -> Answered:
    """Answer some problems at a time.

    How many are taken at a time is for speed and memory; the answers do not depend on it.
    """
    num_query = _num_query(scored, problems)
    clips = problems.support.shape[1] + (num_query if PROBES[probe]().scales_queries else 0)
    block = max(1, BLOCK_BYTES // (FLOAT_BYTES * clips * int(np.prod(pool.shape[1:]))))
    predicted = np.empty((len(problems.support), num_query), dtype=np.int16)
    chosen: list[str | None] = []
    chosen_on: str | None = None
    learned, asked = pool.astype(np.float64), RawClips(scored.astype(np.float64))
    for start in range(0, len(predicted), block):
        part = slice(start, start + block)
        support = learned[problems.support[part]]
        scaling = _scaling_of(support) if standardiser is None else _shaped(standardiser)
        support -= scaling.mean
        support /= scaling.scale
        rows = None if problems.query is None else problems.query[part]
        try:
            check_finite(support)
            fitted = PROBES[probe]().fit_many(
                support, problems.labels[part], num_classes=problems.num_classes
            )
            predicted[part] = fitted.answers(asked, rows, scaling)
        except FloatingPointError:
            raise ProbeError(
                f"probe {probe}: standardised features are not finite "
                "(do some vary by next to nothing where they were measured?)"
            ) from None
        chosen += fitted.chosen
        chosen_on = fitted.chosen_on
    return Answered(predicted, _summary(chosen), chosen_on)


def _scaling_of(support: Floats) -> Scaling:
    """Measure each problem's support (S, N, D) or (S, N, T', D) as `Standardiser.of` does."""
    shape = (len(support), *(1,) * (support.ndim - 2), support.shape[-1])
    flat = support.reshape(len(support), -1, support.shape[-1])
    mean = flat.mean(axis=1)
    centred = flat - mean[:, None]
    deviation = np.sqrt(np.einsum("snd,snd->sd", centred, centred) / flat.shape[1])
    varies = (flat != flat[:, :1]).any(axis=1)
    return Scaling(mean.reshape(shape), np.where(varies, deviation, 1.0).reshape(shape))


def _shaped(standardiser: Standardiser) -> Scaling:
    return Scaling(standardiser.mean[None, None], standardiser.scale[None, None])


def _summary(chosen: list[str | None]) -> str | None:
    """Join what the problems chose: "C=0.1", or "C=0.1 (31), C=1 (19)", the commonest first."""
    counted = Counter(each for each in chosen if each is not None).most_common()
    if len(counted) < 2:
        return counted[0][0] if counted else None
    return ", ".join(f"{text} ({count})" for text, count in counted)
