"""Compare sources of features on one target: the same division, draws and probes for all.

Shapes: N scored clips, K classes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from taskgrain.errors import ConfigError, ResultError, list_problems, nearest
from taskgrain.results import ResultRow
from taskgrain.statistics.intervals import ClipBootstrap
from taskgrain.tools.compare.differences import STUDY, Finding, correct, differences
from taskgrain.tools.compare.division import divide, small_class, torn_groups
from taskgrain.tools.compare.fold_rows import folded_differences, folded_floors, value_rows
from taskgrain.tools.compare.folds import Folding, answer_in_folds, check_taught, fold
from taskgrain.tools.compare.labels import LabelTable, Side, read_groups
from taskgrain.tools.compare.own_labels import read_table
from taskgrain.tools.compare.plan import ComparePlan
from taskgrain.tools.compare.sources import (
    Coverage,
    SourceFeatures,
    SourceFiles,
    check_coverage,
    coverage_of,
    parse_sources,
    read_source,
)
from taskgrain.train.memory import kept_memory
from taskgrain.transfer.answers import Evaluation, Subject
from taskgrain.transfer.evaluate import ProbePlan, SubjectFeatures, evaluate, evaluate_both
from taskgrain.transfer.features import FeatureSet, mean_over_steps
from taskgrain.transfer.probes import Standardiser
from taskgrain.transfer.probes.neighbours import MAX_KERNEL_CLIPS
from taskgrain.transfer.rows import clip_rows, floor_rows, permuted_rows, seed_rows
from taskgrain.transfer.task import TargetTask

READOUT = "given"
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Every number of a comparison, and what its reader has to know."""

    plan: ComparePlan
    primary: str
    num_seeds: dict[str, int]  # of each source, in the order given
    by_order: tuple[str, ...]  # sources whose rows were taken to be in the order of the labels
    task: TargetTask  # its `failed` are clips that no source could answer, or learn from
    left_out: int  # labelled clips on neither side
    is_divided_here: bool  # whether the division was drawn, not given
    has_groups: bool
    torn: tuple[str, ...]  # recordings that a given split puts on both sides
    folding: Folding | None  # None: two sides, and support draws
    coverage: tuple[Coverage, ...]
    rows: tuple[ResultRow, ...]
    findings: tuple[Finding, ...]
    # Over the scored clips, or their groups where one has several; None in folds.
    bootstrap: ClipBootstrap | None

    @property
    def repeats_groups(self) -> bool:
        """Whether a group has several scored clips."""
        return self.bootstrap is not None and self.bootstrap.groups is not None

    @property
    def sides(self) -> dict[str, Side]:
        """The side of each clip, in the order of ids."""
        sides: dict[str, Side] = dict.fromkeys(self.task.support_ids, "support")
        sides |= dict.fromkeys(self.task.query_ids, "scored")
        return dict(sorted(sides.items()))


def compare_files(
    features: Sequence[str],
    labels: Path | None = None,
    *,
    groups: Path | None = None,
    plan: ComparePlan,
    tell: Tell = lambda _: None,
) -> Comparison:
    """Compare files of features: `FILE`, or `NAME=FILE,FILE,...` with a file for each seed.

    Args:
        features: the sources (`compare.sources`). Of one alone it is measured how well its features
            serve these labels.
        labels: `clip,label[,split]`, or the folder of a dataset; None: those that the features
            carry (`compare.own_labels`).
        groups: `clip,group`; clips of one group are never on both sides. None: the recordings, as
            far as the features or the dataset know them.
        plan: how they are compared.
        tell: is called with each step as it begins.

    Raises:
        TaskgrainError: naming the file and what is wrong with it, a class with too few clips, a
            source that has no labelled clip, or a number of seeds that cannot be paired.
    """
    named = parse_sources(features)
    primary = _primary(named, plan)
    _check_seeds(named, primary)
    table = read_table(labels, named)
    group_of = table.recordings if groups is None else read_groups(groups, table)
    plan = replace(plan, primary=primary)
    folding = _folding(table, group_of, plan)
    # What a table of groups says of a given split has to hold; what was found out need not.
    is_strict = groups is not None or table.sides is None
    sides = None
    if folding is None:
        sides = divide(
            table,
            group_of if is_strict else None,
            seed=plan.seed,
            support_share=plan.support_share,
        )
    sources = []
    for each in named:
        tell(f"reading {each.name}")
        sources.append(read_source(each, table))
    check_coverage(sources, table)
    # Page faults of memory that one draw frees and the next asks for were a tenth of the time.
    with threadpool_limits(limits=1), kept_memory():
        if folding is not None:
            return _compare_in_folds(sources, folding, plan=plan, tell=tell)
        assert sides is not None, "clips are in folds or on sides"
        base = _task(table, sides)
        _check_shots(base, plan, sources)
        division = _Division(
            left_out=sides.count("left out"),
            is_divided_here=table.sides is None,
            has_groups=group_of is not None,
            torn=tuple(torn_groups(table, sides, group_of or ())),
            scored_groups=_scored_groups(table, group_of, base),
        )
        return _compare(sources, base, plan=plan, tell=tell, division=division)


def _folding(table: LabelTable, groups: Sequence[str] | None, plan: ComparePlan) -> Folding | None:
    """Deal the clips to folds, if that is asked for, or small classes are no split's; else None."""
    reason = None
    if plan.folds is None:
        if table.sides is not None or not plan.folds_if_small:
            return None
        reason = small_class(
            table,
            groups,
            seed=plan.seed,
            support_share=plan.support_share,
            most_shots=max(1 if shots == "all" else shots for shots in plan.shots),
        )
        if reason is None:
            return None
    return fold(table, groups, folds=plan.folds, seed=plan.seed, reason=reason)


def _compare_in_folds(
    sources: Sequence[SourceFeatures], folding: Folding, *, plan: ComparePlan, tell: Tell
) -> Comparison:
    plan = replace(plan, shots=("all",), num_draws=1)
    base = folding.task
    unusable = _missing_from_any(sources, base.query_ids)
    check_taught(folding, unusable)
    most = max(int((folding.fold_of != number).sum()) for number in range(folding.num_folds))
    plans = _probe_plans(plan, most, len(base.class_names))
    if not plans:
        raise _no_probe()
    evaluations: dict[str, list[Evaluation]] = {}
    permuted: list[Evaluation] = []
    for source in sources:
        for seed, features in enumerate(source.seeds):
            tell(f"{source.name}, seed {seed}, {folding.num_folds} folds")
            own, shuffled = answer_in_folds(
                Subject(source.name, seed, READOUT, control=None),
                features,
                folding,
                probes=plans[0].probes,
                unusable=unusable,
                seed=plan.seed,
            )
            evaluations.setdefault(source.name, []).append(own)
            permuted += [] if shuffled is None else [shuffled]
    every = [each for seeds in evaluations.values() for each in seeds]
    rows = value_rows(every, folding) + seed_rows(every, study=STUDY)
    primary, findings = plan.primary or sources[0].name, []
    for name, seeds in evaluations.items():
        if name != primary:
            added, found = folded_differences(seeds, evaluations[primary], folding)
            rows += added
            findings += found
    task = replace(base, failed=_missing_from_all(sources, base.query_ids))
    rows += folded_floors(task)
    rows += permuted_rows(permuted, study=STUDY)
    return Comparison(
        plan=plan,
        primary=primary,
        num_seeds={source.name: len(source.seeds) for source in sources},
        by_order=tuple(source.name for source in sources if source.by_order),
        task=task,
        left_out=0,
        is_divided_here=True,
        has_groups=folding.recordings is not None,
        torn=(),
        folding=folding,
        coverage=coverage_of(sources, base),
        rows=tuple(rows),
        findings=tuple(correct(findings, metric=plan.metric)),
        bootstrap=None,
    )


@dataclass(frozen=True, slots=True)
class _Division:
    """How the labelled clips were divided, and which of them were recorded together."""

    left_out: int
    is_divided_here: bool
    has_groups: bool
    torn: tuple[str, ...]  # recordings on both sides
    scored_groups: NDArray[np.int64] | None  # (N,) in 0..G-1; None: each clip for itself


def _compare(
    sources: Sequence[SourceFeatures],
    base: TargetTask,
    *,
    plan: ComparePlan,
    tell: Tell,
    division: _Division,
) -> Comparison:
    evaluations: dict[str, list[Evaluation]] = {}
    permuted: list[Evaluation] = []
    unusable = _missing_from_any(sources, base.support_ids)
    measured = partial(_measured, base=base, plan=plan, unusable=unusable, tell=tell)
    each_seed = [
        (source.name, seed, features)
        for source in sources
        for seed, features in enumerate(source.seeds)
    ]
    # Each computes on one thread, so that its bits do not depend on how many run at a time.
    with ThreadPoolExecutor(min(len(each_seed), os.cpu_count() or 1)) as pool:
        for (name, _, _), (own, shuffled) in zip(
            each_seed, pool.map(measured, each_seed), strict=True
        ):
            evaluations.setdefault(name, []).append(own)
            permuted += shuffled
    tell("intervals")
    bootstrap = ClipBootstrap(base.query_labels, seed=plan.seed, groups=division.scored_groups)
    every = [each for seeds in evaluations.values() for each in seeds]
    rows = clip_rows(every, study=STUDY, bootstrap=bootstrap)
    rows += seed_rows(every, study=STUDY)
    primary, findings = plan.primary or sources[0].name, []
    for name, seeds in evaluations.items():
        if name != primary:
            added, found = differences(seeds, evaluations[primary], bootstrap=bootstrap)
            rows += added
            findings += found
    # Floors need no features, so a clip fails them only where no source has features of it.
    floor_task = replace(base, failed=unusable | _missing_from_all(sources, base.query_ids))
    rows += floor_rows(floor_task, study=STUDY)
    rows += permuted_rows(permuted, study=STUDY)
    return Comparison(
        plan=plan,
        primary=primary,
        num_seeds={source.name: len(source.seeds) for source in sources},
        by_order=tuple(source.name for source in sources if source.by_order),
        task=floor_task,
        left_out=division.left_out,
        is_divided_here=division.is_divided_here,
        has_groups=division.has_groups,
        torn=division.torn,
        folding=None,
        coverage=coverage_of(sources, base),
        rows=tuple(rows),
        findings=tuple(correct(findings, metric=plan.metric)),
        bootstrap=bootstrap,
    )


def _measured(
    which: tuple[str, int, FeatureSet],
    *,
    base: TargetTask,
    plan: ComparePlan,
    unusable: frozenset[str],
    tell: Tell,
) -> tuple[Evaluation, list[Evaluation]]:
    """Evaluate the features of one source and seed, with true and with permuted labels."""
    name, seed, features = which
    tell(f"{name}, seed {seed}")
    held = frozenset(features.clip_ids)
    own = frozenset(clip for clip in base.query_ids if clip not in held)
    task = replace(base, failed=unusable | own)
    tested = _subject(name, seed, features, task)
    try:
        return _evaluate(tested, task, plan)
    except ResultError as error:
        raise ResultError(f"{name}, seed {seed}: {error}") from None


def _subject(name: str, seed: int, features: FeatureSet, task: TargetTask) -> SubjectFeatures:
    """Wrap the features of one seed; they are standardised by the pool, without its labels."""
    means = mean_over_steps(features)
    pool = [clip for clip, has in zip(task.support_ids, task.has_support, strict=True) if has]
    return SubjectFeatures(
        Subject(name, seed, READOUT, control=None),
        features=means,
        standardiser=Standardiser.of(means.of(pool)),
    )


def _evaluate(
    tested: SubjectFeatures, task: TargetTask, plan: ComparePlan
) -> tuple[Evaluation, list[Evaluation]]:
    """Evaluate, and control by permuted labels where there are draws to permute: two at least."""
    plans = _probe_plans(plan, int(task.has_support.sum()), len(task.class_names))
    if not plans:
        raise _no_probe()
    parts, permuted = [], []
    for part in plans:
        if plan.num_draws < 2 or part.shots == ("all",):
            parts.append(evaluate(tested, task, plan=part))
        else:
            # Together: they share the products of query and support clips, and the kernels.
            true, shuffled = evaluate_both(tested, task, plan=part)
            parts.append(true)
            permuted.append(shuffled)
    answers = tuple(answers for part in parts for answers in part.answers)
    return replace(parts[0], answers=answers), permuted


def _probe_plans(plan: ComparePlan, num_clips: int, num_classes: int) -> list[ProbePlan]:
    """Plan each number of shots by itself: not every probe can take all clips of a large pool."""
    plans = []
    for shots in plan.shots:
        clips = num_clips if shots == "all" else shots * num_classes
        probes = tuple(
            probe for probe in plan.probes if probe != "rbf-ridge" or clips <= MAX_KERNEL_CLIPS
        )
        if probes:
            plans.append(
                ProbePlan(probes=probes, shots=(shots,), num_draws=plan.num_draws, seed=plan.seed)
            )
    return plans


def _no_probe() -> ConfigError:
    return ConfigError(
        f"--probes rbf-ridge: takes at most {MAX_KERNEL_CLIPS} clips to learn from; ask for fewer "
        "shots, or another probe"
    )


def _task(table: LabelTable, sides: Sequence[Side]) -> TargetTask:
    """Order clips by their ids and classes by their names: rows may come in any order."""
    # The draws depend on these orders, and so would every number on the order of the rows.
    class_names = tuple(
        sorted(
            {label for label, side in zip(table.labels, sides, strict=True) if side != "left out"}
        )
    )
    index_of = {name: index for index, name in enumerate(class_names)}
    clips = sorted(zip(table.clip_ids, table.labels, sides, strict=True))
    ids = {s: tuple(c for c, _, side in clips if side == s) for s in ("support", "scored")}
    labels = {
        s: np.array([index_of[label] for _, label, side in clips if side == s], dtype=np.int64)
        for s in ("support", "scored")
    }
    return TargetTask(
        name=table.name,
        class_names=class_names,
        support_ids=ids["support"],
        support_labels=labels["support"],
        query_ids=ids["scored"],
        query_labels=labels["scored"],
    )


def _scored_groups(
    table: LabelTable, groups: Sequence[str] | None, task: TargetTask
) -> NDArray[np.int64] | None:
    """Number the groups of the scored clips; None without groups."""
    if groups is None:
        return None
    group_of = dict(zip(table.clip_ids, groups, strict=True))
    _, index = np.unique([group_of[clip] for clip in task.query_ids], return_inverse=True)
    return index.astype(np.int64)


def _primary(sources: Sequence[SourceFiles], plan: ComparePlan) -> str:
    names = [source.name for source in sources]
    if plan.primary is None:
        return names[0]
    if plan.primary not in names:
        raise ConfigError(
            f"--primary {plan.primary!r}: expected one of {', '.join(names)}"
            f"{nearest(plan.primary, names)}"
        )
    return plan.primary


def _check_seeds(sources: Sequence[SourceFiles], primary: str) -> None:
    """Refuse numbers of seeds that cannot be paired; one encoder is paired with any number."""
    wanted = next(len(source.paths) for source in sources if source.name == primary)
    wrong = [
        f"{source.name} has {len(source.paths)} files, the primary {primary} has {wanted}; "
        "differences are paired seed by seed: give as many, or one"
        for source in sources
        if len(source.paths) != wanted and 1 not in (len(source.paths), wanted)
    ]
    if wrong:
        raise ConfigError(list_problems(wrong))


def _check_shots(task: TargetTask, plan: ComparePlan, sources: Sequence[SourceFeatures]) -> None:
    """Refuse classes with too few support clips, all of them in one error."""
    missing = _missing_from_any(sources, task.support_ids)
    usable = np.array([clip not in missing for clip in task.support_ids], dtype=np.bool_)
    had = np.bincount(task.support_labels[usable], minlength=len(task.class_names))
    wanted = max(1 if shots == "all" else shots for shots in plan.shots)
    problems = [
        f"class {name!r} has {count} support clips with features in every source, {wanted} wanted; "
        "ask for fewer by --shots, give more of the clips by --support, or leave the class out"
        for name, count in zip(task.class_names, had.tolist(), strict=True)
        if count < wanted
    ]
    if problems:
        raise ConfigError(list_problems(problems))


def _missing_from_any(sources: Sequence[SourceFeatures], clip_ids: Sequence[str]) -> frozenset[str]:
    """Return the clips that some source has no features of."""
    held = [frozenset(features.clip_ids) for source in sources for features in source.seeds]
    return frozenset(clip for clip in clip_ids if not all(clip in each for each in held))


def _missing_from_all(sources: Sequence[SourceFeatures], clip_ids: Sequence[str]) -> frozenset[str]:
    """Return the clips that no source has features of."""
    held = (features.clip_ids for source in sources for features in source.seeds)
    return frozenset(clip_ids).difference(*held)
