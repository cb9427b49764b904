"""Which measurements belong together: the seeds of a source, and two sources read alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from taskgrain.errors import ResultError
from taskgrain.names import Control
from taskgrain.transfer.evaluate import Answers, Evaluation


class Measured(Protocol):
    """Whatever was measured of a subject on a target: its seed tells it from its like."""

    @property
    def source(self) -> str | None:
        """The source whose features they are; None for a control without one."""

    @property
    def seed(self) -> int | None:
        """The encoder's seed; None where there is no encoder."""

    @property
    def readout(self) -> str:
        """How the encoder was read."""

    @property
    def control(self) -> Control | None:
        """The control that it is, if any."""

    @property
    def target(self) -> str:
        """The target task."""


T = TypeVar("T", bound=Measured)


def by_subject(measured: Sequence[T]) -> list[list[T]]:
    """Group what differs in the seed alone, in the order of their first."""
    groups: dict[tuple[str | None, ...], list[T]] = {}
    for each in measured:
        key = (each.source, each.readout, each.control, each.target)
        groups.setdefault(key, []).append(each)
    return list(groups.values())


def paired_by_readout(
    groups: Sequence[Sequence[T]], source: str, versus: str
) -> list[tuple[Sequence[T], list[T]]]:
    """Pair two sources wherever they were read in the same way, seed by seed.

    Args:
        groups: as `by_subject` gives them, of one target.
        source: whose groups come first, in their order.
        versus: whose seeds are put into the order of the first's.

    Returns:
        A pair a read-out that both have; none where they share none.

    Raises:
        ResultError: if one of them is not there, or they have not the same seeds.
    """
    found: dict[str, dict[str, Sequence[T]]] = {source: {}, versus: {}}
    for group in groups:
        if group[0].source in found:
            found[group[0].source][group[0].readout] = group
    for name, of_readout in found.items():
        if not of_readout:
            raise ResultError(f"source {name!r} has not been evaluated on this target")
    shared = [readout for readout in found[source] if readout in found[versus]]
    return [
        (found[source][readout], _in_seed_order(found[source][readout], found[versus][readout]))
        for readout in shared
    ]


def _in_seed_order(first: Sequence[T], second: Sequence[T]) -> list[T]:
    of_seed = {each.seed: each for each in second}
    seeds = [each.seed for each in first]
    if set(seeds) != set(of_seed):
        raise ResultError(
            f"{first[0].source} has seeds {seeds}, {second[0].source} has {list(of_seed)} "
            f"(read by {first[0].readout}); a paired difference needs the same"
        )
    return [of_seed[seed] for seed in seeds]


def answers_like(evaluation: Evaluation, answers: Answers) -> Answers:
    """Find the answers of the same probe, or of a head of its own, at the same number of shots.

    Raises:
        ResultError: if the evaluation has none.
    """
    for each in evaluation.answers:
        if each.shots == answers.shots and each.probe in (None, answers.probe):
            return each
    raise ResultError(
        f"{evaluation.source} seed {evaluation.seed} has no answers of {answers.probe} "
        f"at {answers.shots} shots on {evaluation.target}"
    )
