"""Which answers and rows of a run are kept as its evidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from taskgrain.config.settings import Study
from taskgrain.names import (
    FLAT,
    MEAN_OVER_TASKS,
    SLOPE_OVER_TASKS,
    TASK_KINDS,
    VARIANCE_OVER_TASKS,
    mean_over_kind,
)
from taskgrain.results import BOTH, ResultRow, Shots
from taskgrain.transfer.answers import Answers, Evaluation

OVER_TASKS = (
    *(MEAN_OVER_TASKS, SLOPE_OVER_TASKS, *VARIANCE_OVER_TASKS),
    *(mean_over_kind(kind) for kind in TASK_KINDS),
)


@dataclass(frozen=True, slots=True)
class Setting:
    """Where endpoints are read."""

    probe: str
    shots: Shots
    readout: str


@dataclass(frozen=True, slots=True)
class Kept:
    """Whose answers are kept, and with them which rows: what endpoints rest on and little more.

    A study has far more answers than a repository should hold, most of them to the tasks of a
    target, of which there may be many.

        on a target        all sources and controls where the primary endpoint is read; where
                           another endpoint is read, the sources that are compared there
        on one of its      the sources that an endpoint with one rival compares there; where the
        tasks              primary endpoint is read, their twins too
    """

    primary: Setting
    compared: Mapping[Setting, frozenset[str]]  # the sources of the endpoints that are read there
    paired: Mapping[Setting, frozenset[str]]  # those of endpoints with one rival, with their twins

    @classmethod
    def of(cls, study: Study) -> Kept:
        """Collect the settings and sources of a study's endpoints."""
        compared: dict[Setting, set[str]] = defaultdict(set)
        paired: dict[Setting, set[str]] = defaultdict(set)
        for each in study.endpoints:
            setting = Setting(each.probe, each.shots, each.readout)
            sources = {each.source, *each.each_versus}
            compared[setting] |= sources
            if len(each.each_versus) == 1:
                paired[setting] |= sources
        at = study.primary
        primary = Setting(at.probe, at.shots, at.readout)
        paired[primary] |= {
            source.name for source in study.sources if source.twin_of in paired[primary]
        }
        return cls(
            primary,
            {setting: frozenset(names) for setting, names in compared.items()},
            {setting: frozenset(names) for setting, names in paired.items()},
        )

    def _settings(
        self, probe: str | None, shots: Shots | None, readout: str | None
    ) -> list[Setting]:
        """List the settings that answers belong to.

        At most one for a probe on an encoder's read-out. A control without an encoder fits every
        read-out, and so does a network that learned the target itself, which has no probe.
        """
        return [
            each
            for each in self.compared
            if shots == each.shots
            and probe in (each.probe, None)
            and (readout in (each.readout, FLAT) or probe is None)
        ]

    def has(self, setting: Setting, subjects: Collection[str], *, of_task: bool) -> bool:
        """Whether the answers of sources and controls are kept, on a target or one of its tasks."""
        if of_task:
            return self.paired.get(setting, frozenset()).issuperset(subjects)
        return setting == self.primary or self.compared[setting].issuperset(subjects)

    def has_answers(self, evaluation: Evaluation, answers: Answers) -> bool:
        """Whether a subject's answers are kept."""
        subject = evaluation.subject
        name = subject.control or subject.source or ""
        return answers.problem is None and any(
            self.has(setting, {name}, of_task="/" in evaluation.target)
            for setting in self._settings(answers.probe, answers.shots, subject.readout)
        )

    def has_row(self, row: ResultRow) -> bool:
        """Whether a row is kept: its answers are, or it has no shots (own scores, alignments)."""
        if row.shots is None:
            return row.passes is None
        rivals = () if row.versus is None else row.versus.split(BOTH)
        subjects = {row.control or row.source or "", *rivals}
        of_task = "/" in row.target or row.metric in OVER_TASKS
        return row.control != "permuted-labels" and any(
            self.has(setting, subjects, of_task=of_task)
            for setting in self._settings(row.probe, row.shots, row.readout)
        )
