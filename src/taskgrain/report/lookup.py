"""Find the row that a table cell, a point of a figure or a sentence shows.

Several rows can answer one question: one for each seed, one over all seeds, one for each read-out.
Which of them is shown is decided here alone:

- a row of a probe that failed on any seed comes first: the others do not stand for all seeds
- then rows at the primary endpoint's read-out (without a study file, at the commonest)
- of these an interval that varies the seeds, then the row over all seeds, then the lowest seed

No number is ever computed from two rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from taskgrain.config.clips import Target
from taskgrain.config.learning import Source
from taskgrain.config.testing import FamilyEndpoint
from taskgrain.learned import SOURCE_VALIDATION, OwnScore, own_scores, unlearned
from taskgrain.names import (
    ALIGNMENT_GAIN,
    ALIGNMENT_GAIN_IF_SHOWN,
    CLIP_METRICS,
    CONTROLS,
    DETECTABLE,
    EPISODE_METRIC,
)
from taskgrain.report.run_folder import RunFolder
from taskgrain.results import BOTH, LESS, ResultRow, Shots, less_target, versus_each
from taskgrain.statistics.alignment import Kind, kind_of

SEED_INTERVALS = ("crossed", "seeds")
MARGIN = 2.0  # percentage points, where the run folder has no study.toml
TABLETOP = "tabletop"
"""The drawn target in the source's look, which asks for factor tasks."""
KITCHENWARE = ("kitchenware", "kitchenware-far")
"""The drawn worlds whose categories are told apart by what only the source's finer labels name."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question:
    """What was measured: everything that identifies a number but the source that it is about."""

    target: str
    probe: str | None = None
    shots: Shots | None = None
    metric: str = "top-1"
    readout: str | None = None  # None: the study's main one

    @property
    def anyhow(self) -> Question:
        """Return the same question at any read-out."""
        return replace(self, readout=None)


class Lookup:
    """The rows of a run, and the orders in which sources, targets, probes and shots are shown."""

    def __init__(self, run: RunFolder) -> None:
        """Index the rows of one run."""
        self.run = run
        study, rows = run.study, run.rows
        # The primary endpoint comes first. Without a study file nothing is declared.
        self.endpoints: tuple[FamilyEndpoint, ...] = study.endpoints if study else ()
        self.primary = self.endpoints[0] if study else None
        self.source_settings: tuple[Source, ...] = study.sources if study else ()
        self.target_settings: tuple[Target, ...] = study.targets if study else ()
        self.margin = (study.margin if study else MARGIN) / 100
        with_value = tuple(row for row in rows if row.value is not None)
        self.rows = tuple(row for row in with_value if row.passes is None)
        self.fewer_passes = tuple(row for row in with_value if row.passes is not None)
        self.failures = tuple(row for row in rows if row.problem is not None)
        self.transfer_rows = tuple(row for row in self.rows if row.target != SOURCE_VALIDATION)
        self._rows_of: dict[Question, list[ResultRow]] = defaultdict(list)
        self._failures_of: dict[Question, list[ResultRow]] = defaultdict(list)
        self._rows_of_control: dict[str, list[ResultRow]] = defaultdict(list)
        for index, rows in ((self._rows_of, self.rows), (self._failures_of, self.failures)):
            for row in rows:
                if row.control is None:
                    index[Question(row.target, row.probe, row.shots, row.metric)].append(row)
        # Failures too: a row of all seeds that has none comes before those of single seeds.
        for row in (*self.rows, *self.failures):
            if row.control is not None:
                self._rows_of_control[row.control].append(row)
        self.sources = self._source_order()
        self.all_tasks = unique(row.target for row in self.attempted_rows if LESS not in row.target)
        # The many factor tasks of the tabletop have a table of their own.
        self.targets = tuple(
            sorted(
                (each for each in self.all_tasks if not self.is_one_of_many(each)),
                key=lambda each: base_target(each) != (self.primary and self.primary.target),
            )
        )
        self.probes = self._probe_order()
        self.shots = sorted_shots(
            row.shots
            for row in self.attempted_rows
            if row.control is None and row.probe and row.metric in CLIP_METRICS
        )
        self.readout = self._main_readout()
        self.own_scores: tuple[OwnScore, ...] = own_scores(self.rows)
        self.unlearned: dict[str, OwnScore] = unlearned(self.rows)

    @property
    def attempted_rows(self) -> tuple[ResultRow, ...]:
        """The rows of transfer, then those of failed probes, which have no value."""
        return (*self.transfer_rows, *self.failures)

    def is_one_of_many(self, task: str) -> bool:
        """Whether a task is one of the many factor tasks of a drawn tabletop target."""
        drawn = [each.name for each in self.target_settings if each.world == TABLETOP]
        return "/" in task and base_target(task) in drawn

    def num_tasks(self, target: str) -> int:
        """Return the number of tasks that a target was asked for, beside the whole of it."""
        return sum(each.startswith(f"{target}/") for each in self.all_tasks)

    def aligned(self, metric: str, task: str, source: str, versus: str | None) -> ResultRow | None:
        """Return the row of a source's alignment with a task, or of an alignment gain, or None."""
        rows = self._rows_of.get(Question(task, metric=metric), ())
        return next((row for row in rows if (row.source, row.versus) == (source, versus)), None)

    def kind(self, task: str) -> Kind | None:
        """Return a task's kind for the primary comparison; None where its gain is not known."""
        if self.primary is None:
            return None
        rows = [
            self.aligned(metric, task, *pair_of(self.primary))
            for metric in (ALIGNMENT_GAIN, ALIGNMENT_GAIN_IF_SHOWN)
        ]
        gains = [row.value for row in rows if row is not None and row.value is not None]
        return kind_of(gains[0], gains[1]) if len(gains) == len(rows) else None

    def is_answered(self, question: Question) -> bool:
        """Whether any source or difference has a row for the question."""
        return question.anyhow in self._rows_of or question.anyhow in self._failures_of

    def measured(self, source: str, question: Question) -> ResultRow | None:
        """Return the row of a source, or None."""
        return self._answer(source, None, question)

    def difference(self, source: str, versus: str, question: Question) -> ResultRow | None:
        """Return the row of source minus versus, or None."""
        return self._answer(source, versus, question)

    def every(self, source: str, versus: str | None, question: Question) -> tuple[ResultRow, ...]:
        """Return every row of a source, or of source minus versus, at the question's read-out."""
        return self._as_read(self._rows_of, source, versus, question)

    def control(
        self,
        control: str,
        question: Question,
        *,
        source: str | None = None,
        readout: str | None = None,
    ) -> ResultRow | None:
        """Return a control's row, which has no value where a probe failed under any seed.

        A control without probe or shots answers for all of them.
        """
        rows = [
            row
            for row in self._rows_of_control.get(control, ())
            if source in (None, row.source) and readout in (None, row.readout)
            if row.target == question.target
        ]
        same_metric = [row for row in rows if row.metric == question.metric]
        # Chance (1 / K in either accuracy) and shuffled labels have a row in one accuracy alone,
        # whatever the study's metric is.
        either = [row for row in rows if {row.metric, question.metric} <= set(CLIP_METRICS)]
        rows = same_metric or either
        # The closest to the question: of its probe and shots, its shots, its probe, or of any.
        exact = [row for row in rows if (row.probe, row.shots) == (question.probe, question.shots)]
        same_shots = [row for row in rows if row.probe is None and row.shots == question.shots]
        same_probe = [row for row in rows if row.probe == question.probe and row.shots is None]
        free = [row for row in rows if row.probe is None and row.shots is None]
        return self._best(exact or same_shots or same_probe or free)

    def judging(self, rows: Sequence[ResultRow]) -> tuple[ResultRow, ...]:
        """Return the rows that judge a difference: one over all seeds, else one for each seed."""
        best = self._best(rows)
        if best is None or best.interval in SEED_INTERVALS or best.seed is None:
            return () if best is None else (best,)
        each = [row for row in rows if row.interval == best.interval and row.seed is not None]
        return tuple(sorted(each, key=lambda row: row.seed or 0))

    def chance(self, target: str, metric: str = "top-1") -> ResultRow | None:
        """Return the target's chance row, or None."""
        return self.control("chance", Question(target, metric=metric))

    def controls(self) -> tuple[str, ...]:
        """Return the names of the controls that were run on targets, chance first."""
        names = unique(row.control for row in self.transfer_rows if row.control is not None)
        return tuple(sorted(names, key=lambda name: name != "chance"))

    def control_sources(self, control: str) -> tuple[str, ...]:
        """Return the sources that a control was run on, in the ladder's order.

        Floors of the sources' own scores are no controls of a target, though chance is in both.
        """
        rows = self._rows_of_control.get(control, ())
        on_targets = (row for row in rows if row.target != SOURCE_VALIDATION)
        found = unique(row.source for row in on_targets if row.source)
        known = [name for name in self.sources if name in found]
        return (*known, *(name for name in found if name not in self.sources))

    def control_readouts(self, control: str) -> tuple[str | None, ...]:
        """Return the read-outs of a control, the main one first."""
        found = unique(row.readout for row in self._rows_of_control.get(control, ()))
        return tuple(sorted(found, key=lambda name: name != self.readout))

    def readouts(self) -> tuple[str, ...]:
        """Return the read-outs of the sources' features, the main one first."""
        found = unique(
            row.readout for row in self.transfer_rows if row.control is None and row.readout
        )
        return tuple(sorted(found, key=lambda name: name != self.readout))

    def episode_metrics(self) -> tuple[str, ...]:
        """Return the metrics of N-way episodes, as "5-way-accuracy"."""
        found = unique(row.metric for row in self.transfer_rows)
        return tuple(name for name in found if EPISODE_METRIC.fullmatch(name))

    def detectable(self, endpoint: FamilyEndpoint) -> ResultRow | None:
        """Return the smallest difference that the endpoint's seeds would find, or None."""
        main = self.primary.metric if self.primary else endpoint.metric
        metric = DETECTABLE if endpoint.metric == main else f"{DETECTABLE}-{endpoint.metric}"
        question = replace(question_of(endpoint), metric=metric)
        return self.difference(*pair_of(endpoint), question)

    def tested(self, source: str, versus: str, question: Question) -> ResultRow | None:
        """Return the row of a difference with the paired t test over seeds, or None."""
        found = self.every(source, versus, question)
        return next((row for row in found if row.interval == "seeds" and row.seed is None), None)

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Return the (source, versus) pairs of differences between sources, in ladder order."""
        found = {
            (row.source, row.versus)
            for row in self.attempted_rows
            if row.source and row.versus and row.versus not in CONTROLS and row.control is None
            if BOTH not in row.versus
        }
        # By what is subtracted first: a table has a block for each, in the order of the ladder.
        rank = {name: position for position, name in enumerate(self.sources)}
        last = len(rank)
        return tuple(
            sorted(found, key=lambda pair: (rank.get(pair[1], last), rank.get(pair[0], last), pair))
        )

    @property
    def twins(self) -> dict[str, str]:
        """The sources that are twins, and of which source: their difference is A/A."""
        return self.run.study.twins() if self.run.study else {}

    def seeds_of(self, *names: str) -> tuple[int, ...]:
        """Return the encoder seeds that rows of these sources exist for, else the study's."""
        found = {row.seed for row in self.rows if row.source in names and row.seed is not None}
        return tuple(sorted(found)) or (self.run.study.seeds if self.run.study else ())

    def world_of(self, target: str) -> str | None:
        """Return the embedded world that a target is drawn from; None for the user's own data."""
        for each in self.target_settings:
            if each.name == base_target(target):
                # The clips of held-out categories are the source's own.
                return self.source_world if each.is_held_out else each.world
        return None

    @property
    def source_world(self) -> str | None:
        """The embedded world that the sources learned from; None for the user's own data."""
        return self.run.study.data.world if self.run.study else None

    def has_one_origin(self, names: Collection[str] | None = None) -> bool:
        """Whether sources, all or those of these names, have one encoder and one start.

        They then differ in their labels alone.
        """
        own = [each for each in self.source_settings if names is None or each.name in names]
        return len({(each.encoder, each.warm_start) for each in own}) < 2

    @property
    def is_ladder(self) -> bool:
        """Whether sources classify different levels with one encoder: a line joins them."""
        levels = [each.classify for each in self.source_settings if is_step(each)]
        return len(levels) > 1 and len(set(levels)) == len(levels) and self.has_one_origin()

    def _answer(self, source: str, versus: str | None, question: Question) -> ResultRow | None:
        """Return the row of a failed probe, else the best row with a value."""
        # A failure comes first: seeds that have a value must not stand for the one that has none.
        failed = self._as_read(self._failures_of, source, versus, question)
        if failed:
            return min(failed, key=lambda row: -1 if row.seed is None else row.seed)
        return self._best(self._as_read(self._rows_of, source, versus, question))

    def _as_read(
        self,
        rows_of: Mapping[Question, list[ResultRow]],
        source: str,
        versus: str | None,
        question: Question,
    ) -> tuple[ResultRow, ...]:
        """Return the rows at the read-out of question or study; at any, where neither names one."""
        found = tuple(
            row
            for row in rows_of.get(question.anyhow, ())
            if row.source == source and row.versus == versus
        )
        wanted = question.readout or self.readout
        exact = tuple(row for row in found if row.readout in (None, wanted))
        return exact if question.readout or self.primary else exact or found

    def _best(self, rows: Iterable[ResultRow]) -> ResultRow | None:
        return min(rows, key=self._preference, default=None)

    def _preference(self, row: ResultRow) -> tuple[bool, int, int]:
        if row.interval in SEED_INTERVALS:
            return (row.readout != self.readout, SEED_INTERVALS.index(row.interval), -1)
        seed = -1 if row.seed is None else row.seed
        return (row.readout != self.readout, len(SEED_INTERVALS), seed)

    def _source_order(self) -> tuple[str, ...]:
        named = tuple(source.name for source in self.source_settings)
        measured = unique(
            row.source
            for row in (*self.rows, *self.failures)
            if row.source is not None and row.control is None
        )
        return (*named, *(name for name in measured if name not in named))

    def _probe_order(self) -> tuple[str, ...]:
        found = unique(
            row.probe
            for row in self.attempted_rows
            if row.probe is not None and row.control is None
        )
        return tuple(sorted(found, key=lambda name: name != (self.primary and self.primary.probe)))

    def _main_readout(self) -> str | None:
        if self.primary is not None:
            return self.primary.readout
        counts = Counter(
            row.readout for row in self.attempted_rows if row.control is None and row.readout
        )
        return counts.most_common(1)[0][0] if counts else None


def pair_of(endpoint: FamilyEndpoint) -> tuple[str, str]:
    """Return an endpoint's source and what it is compared with, as the rows name them."""
    return endpoint.source, versus_each(endpoint.each_versus)


def question_of(endpoint: FamilyEndpoint) -> Question:
    """Return the question that an endpoint asks; its target may be "NEAR minus FAR"."""
    target = less_target(endpoint.target, endpoint.minus_target)
    return Question(target, endpoint.probe, endpoint.shots, endpoint.metric, endpoint.readout)


def comparison_of(endpoint: FamilyEndpoint) -> tuple[str, str, Question]:
    """Return an endpoint's source, what it is compared with, and the question."""
    return (*pair_of(endpoint), question_of(endpoint))


def is_step(source: Source) -> bool:
    """Whether a source is a step of a ladder: it classifies a level, and is no control."""
    is_control = source.twin_of is not None or source.regrouped
    return source.classify is not None and source.caption is None and not is_control


def base_target(target: str) -> str:
    """Return the target that a factor belongs to: "kitchenware" for "kitchenware/motion"."""
    return target.split("/", maxsplit=1)[0]


def sorted_shots(shots: Iterable[Shots | None]) -> tuple[Shots, ...]:
    """Return the distinct numbers of shots in increasing order, "all" last, None left out."""
    found = {shot for shot in shots if shot is not None}
    return tuple(sorted(found, key=lambda shot: (isinstance(shot, str), shot)))


def unique(values: Iterable[T]) -> tuple[T, ...]:
    """Return the distinct values in the order of their first appearance."""
    return tuple(dict.fromkeys(values))
