"""Whether a source learned its own labels: its score beside what needs no learning.

Nothing is read from the transfer of a source that tells its own clips apart no better than a guess,
the commonest class or a linear probe of motion energy: it enters no claim.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from taskgrain.names import Control
from taskgrain.results import ResultRow

SOURCE_VALIDATION = "source-validation"
"""The target of a row that scores a source on its own validation clips."""
FLOORS: tuple[Control, ...] = ("chance", "majority", "motion-energy")
"""What scores without learning; a source has a row of each that its own score has."""


@dataclass(frozen=True, slots=True)
class OwnScore:
    """A source's score at its own task, of one seed, beside the highest floor."""

    own: ResultRow
    floor: ResultRow

    @property
    def is_learned(self) -> bool:
        """Whether the lower bound of the source's 95 % interval lies above the floor."""
        assert self.floor.value is not None, "a floor has a value"
        return self.own.low is not None and self.own.low > self.floor.value


def own_scores(rows: Iterable[ResultRow]) -> tuple[OwnScore, ...]:
    """Pair each source's own scores with their highest floor, in the order of the rows.

    A source that classifies and captions has one of each. Where seeds learn from different clips,
    each score is held against the floors of its own seed. Scores without a floor are left out; so
    are those of trainings of fewer passes, which are tested on no target.
    """
    own = [
        row
        for row in rows
        if row.target == SOURCE_VALIDATION and row.value is not None and row.passes is None
    ]
    highest: dict[tuple[str | None, str, int | None], ResultRow] = {}
    for row in own:
        key = row.source, row.metric, row.seed
        if row.control in FLOORS and (row.value or 0.0) > _value(highest.get(key)):
            highest[key] = row
    scores = []
    for row in own:
        floors = [highest.get((row.source, row.metric, seed)) for seed in (row.seed, None)]
        known = [floor for floor in floors if floor is not None]
        if row.control is None and known:
            scores.append(OwnScore(row, max(known, key=_value)))
    return tuple(scores)


def floor_of(rows: Iterable[ResultRow], score: OwnScore, control: Control) -> ResultRow | None:
    """Find one of the floors that a score is held against; None where it has no such floor."""
    own = score.own
    for row in rows:
        is_like = (row.target, row.source, row.metric) == (own.target, own.source, own.metric)
        if is_like and row.control == control and row.seed in (None, own.seed):
            return row
    return None


def unlearned(rows: Iterable[ResultRow]) -> dict[str, OwnScore]:
    """Find the sources that have not learned: the first score of each that shows it.

    A source has learned if each of its tasks was learned under every seed.
    """
    first: dict[str, OwnScore] = {}
    for score in own_scores(rows):
        if not score.is_learned and score.own.source is not None:
            first.setdefault(score.own.source, score)
    return first


def _value(row: ResultRow | None) -> float:
    return -1.0 if row is None or row.value is None else row.value
