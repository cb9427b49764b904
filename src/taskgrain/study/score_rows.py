"""A score of a source on its own clips, and the row that it becomes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from taskgrain.data.manifest import ClipRecord
from taskgrain.learned import SOURCE_VALIDATION
from taskgrain.names import Control
from taskgrain.results import ResultRow
from taskgrain.statistics.intervals import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One number; NaN where there was nothing to count."""

    probe: str | None = None  # what was read: the head, the decoder, a linear read-out
    metric: str
    value: float
    clips: Sequence[ClipRecord] | None = None  # that it counts; None for all
    interval: Interval | None = None
    control: Control | None = None  # what the captions are, where no source said them
    chosen: str | None = None
    chosen_on: str | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """Who was scored, and on which clips."""

    study: str
    source: str
    seed: int | None  # None for what does not depend on the encoder's
    records: Sequence[ClipRecord]
    states: Mapping[str, str]  # clip id -> how it was decoded; whole where it is not there
    passes: int | None = None  # None for the training that is tested

    def rows(self, scores: Iterable[Score]) -> list[ResultRow]:
        """Write the scores that are numbers as rows, in their order."""
        return [self._row(score) for score in scores if not math.isnan(score.value)]

    def _row(self, score: Score) -> ResultRow:
        clips = self.records if score.clips is None else score.clips
        found = [self.states.get(record.clip_id, "whole") for record in clips]
        interval = score.interval
        return ResultRow(
            study=self.study,
            source=self.source,
            seed=self.seed,
            target=SOURCE_VALIDATION,
            probe=score.probe,
            metric=score.metric,
            value=score.value,
            interval=None if interval is None else interval.kind,
            low=None if interval is None else interval.low,
            high=None if interval is None else interval.high,
            n=len(clips),
            failed=found.count("failed"),
            truncated=found.count("truncated"),
            chosen=score.chosen,
            chosen_on=score.chosen_on,
            control=score.control,
            passes=self.passes,
        )
