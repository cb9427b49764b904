"""The tables of what the study asks: its endpoints, the trend over levels, and its tasks."""

from __future__ import annotations

from dataclasses import replace

from taskgrain.config.testing import FamilyEndpoint
from taskgrain.names import (
    ALIGNMENT_GAIN,
    MEAN_OVER_TASKS,
    SLOPE_OVER_TASKS,
    TASK_KINDS,
    TREND,
    VARIANCE_OVER_TASKS,
    mean_over_kind,
)
from taskgrain.report.lookup import (
    Lookup,
    Question,
    base_target,
    comparison_of,
    is_step,
    pair_of,
    question_of,
    unique,
)
from taskgrain.report.tables import (
    Block,
    Cell,
    Column,
    Line,
    Table,
    cell_of,
    highest_of,
    note_of,
    p_cell,
)
from taskgrain.report.transfer_tables import (
    ladder_question,
    main_metric,
    named_source,
    target_title,
)
from taskgrain.report.verdict import judge
from taskgrain.report.words import (
    MINUS,
    format_value,
    joined,
    metric_words,
    probe_words,
    readout_words,
    setting_words,
)
from taskgrain.results import ResultRow
from taskgrain.statistics.alignment import NAMED, UNNAMED
from taskgrain.statistics.tests import LEVEL, POWER
from taskgrain.tabletop.attributes import ATTRIBUTES
from taskgrain.tabletop.tasks import TASKS, Given

SAMPLE_COLUMNS = (
    (MEAN_OVER_TASKS, "all tasks"),
    *((mean_over_kind(kind), kind) for kind in TASK_KINDS),
    (SLOPE_OVER_TASKS, "slope"),
)
NOT_KNOWN = "not known"


def endpoint_table(lookup: Lookup) -> Table:
    """Return every endpoint with its test, its correction, and the smallest detectable difference.

    The primary comparison on the study's other targets stands beside them, as secondary. Empty
    where the study names no endpoint but the primary one, which was read on no other target, and
    its seeds gave no test.
    """
    endpoints = lookup.endpoints
    is_tested = any(lookup.tested(*comparison_of(each)) is not None for each in endpoints)
    others = tuple(each for each in elsewhere(lookup) if each not in endpoints)
    blocks: tuple[Block, ...] = ()
    if is_tested or len(endpoints) > 1 or others:
        further = tuple(line for endpoint in endpoints[1:] for line in _lines(lookup, endpoint))
        blocks = (
            Block("Primary", tuple(_line(lookup, endpoint) for endpoint in endpoints[:1])),
            Block("Further", further),
            Block(
                "The primary comparison on other targets, secondary",
                tuple(_beside(lookup, *comparison_of(each)) for each in others),
            ),
        )
    family = f"all {len(endpoints)}" if len(endpoints) > 1 else "the only one"
    caption = _caption(family, lookup.margin, is_tested=is_tested)
    if any(len(endpoint.each_versus) > 1 for endpoint in endpoints):
        caption += (
            " Above each of several: the smallest of the differences and the largest p, one place "
            "in the correction."
        )
    return Table(
        name="endpoints",
        title="The endpoints, named before the run",
        caption=f"{caption} Every other difference of this page is secondary.",
        corner="endpoint",
        columns=tuple(map(Column, ("difference", "verdict", "p", "p, Holm", "detectable"))),
        blocks=tuple(block for block in blocks if block.lines),
    )


def _caption(family: str, margin: float, *, is_tested: bool) -> str:
    verdict = (
        f"No difference: the 90 % interval lies within {100 * margin:g} points, the margin that "
        "the study names."
    )
    if not is_tested:
        return (
            "Differences in percentage points. Without several encoder seeds there is no test of "
            f"them, and nothing is claimed. {verdict}"
        )
    return (
        "Differences in percentage points over encoder seeds; p of the paired t test, and "
        f"after Holm's correction over {family}: below {LEVEL:g} a difference is claimed. "
        f"{verdict} "
        "Detectable is the smallest difference that so many seeds find "
        f"{100 * POWER:.0f} % of the time: it says how much the study could see, and tests "
        "nothing."
    )


def elsewhere(lookup: Lookup) -> tuple[FamilyEndpoint, ...]:
    """Return the primary comparison on every other target of the study that has it."""
    primary = lookup.primary
    if primary is None:
        return ()
    names = (each.name for each in lookup.target_settings if each.name != primary.target)
    others = (primary.model_copy(update={"target": name}) for name in names)
    return tuple(each for each in others if lookup.difference(*comparison_of(each)) is not None)


def _lines(lookup: Lookup, endpoint: FamilyEndpoint) -> tuple[Line, ...]:
    """Return an endpoint's line; with several rivals, also the difference from each of them."""
    if len(endpoint.each_versus) == 1:
        return (_line(lookup, endpoint),)
    source, question = endpoint.source, question_of(endpoint)
    parts = (_beside(lookup, source, versus, question) for versus in endpoint.each_versus)
    return (_line(lookup, endpoint), *parts)


def _line(lookup: Lookup, endpoint: FamilyEndpoint) -> Line:
    source, versus, question = comparison_of(endpoint)
    tested, judged = lookup.tested(source, versus, question), judge(lookup, endpoint)
    # The row of the test, so that the interval and the p beside it are one statement.
    row = tested or next(iter(judged.rows), None)
    each = "each of " if len(endpoint.each_versus) > 1 else ""
    return Line(
        f"{source} {MINUS} {each}{versus}: {setting_of(endpoint)}",
        (
            cell_of(row),
            Cell(judged.verdict.value),
            p_cell(tested),
            p_cell(tested, corrected=True),
            cell_of(lookup.detectable(endpoint)),
        ),
    )


def _beside(lookup: Lookup, source: str, versus: str, question: Question) -> Line:
    """Return the line of a comparison that is not an endpoint: without verdict and correction."""
    tested = lookup.tested(source, versus, question)
    row = tested or lookup.difference(source, versus, question)
    header = f"{source} {MINUS} {versus}: {question.target}"
    return Line(header, (cell_of(row), Cell(), p_cell(tested), Cell(), Cell()))


def setting_of(endpoint: FamilyEndpoint) -> str:
    """Return in words where an endpoint is read: target, shots, probe, metric, read-out."""
    readout = "" if endpoint.readout in (None, "lstm-mean") else readout_words(endpoint.readout)
    second = endpoint.minus_target
    return joined(
        endpoint.target if second is None else f"gain on {endpoint.target} minus gain on {second}",
        setting_words(endpoint.shots, endpoint.probe),
        metric_words(endpoint.metric),
        readout,
    )


def trend_table(lookup: Lookup) -> Table:
    """Return the gain for each step to the next finer level; empty without slopes."""
    rows: dict[tuple[str, str | None, object], ResultRow] = {}
    # Without a seed first: a slope over the seeds stands for the slopes of each.
    slopes = (row for row in lookup.attempted_rows if row.metric == TREND)
    own = [row for row in slopes if row.readout == lookup.readout]
    for row in sorted(own, key=lambda row: -1 if row.seed is None else row.seed):
        rows.setdefault((row.target, row.probe, row.shots), row)
    asked = list(dict.fromkeys((row.target, row.shots) for row in own))
    steps = [each.name for each in lookup.source_settings if is_step(each)]  # the line's points
    unlearned = [name for name in steps if name in lookup.unlearned]
    warning = f" No claim: {', '.join(unlearned)} did not learn." if unlearned else ""
    lines = []
    for probe in lookup.probes:
        found = [rows.get((target, probe, shots)) for target, shots in asked]
        if any(found):
            lines.append(Line(probe_words(probe), tuple(map(cell_of, found))))
        if not unlearned and any(row is not None and row.p is not None for row in found):
            lines.append(Line(f"p, {probe_words(probe)}", tuple(map(p_cell, found))))
    return Table(
        name="trend",
        title="A trend over nested levels",
        caption=(
            f"Gain in {metric_words(main_metric(lookup))} for each step from a classification "
            "level to the next finer one, percentage points: a straight line a seed, and its "
            "interval and p over the seeds, not corrected. Captions and joint sources have no "
            "place on it. A slope may come from one step alone: the differences between "
            f"neighbours say which.{warning}"
        ),
        corner="probe",
        columns=tuple(
            Column(str(shots), f"{target_title(lookup, target)}: shots") for target, shots in asked
        ),
        blocks=(Block("", tuple(lines)),),
    )


def task_sample_table(lookup: Lookup) -> Table:
    """Return each pair's difference over a target's tasks; empty without samples of tasks."""
    metrics = (*(metric for metric, _ in SAMPLE_COLUMNS), *VARIANCE_OVER_TASKS)
    rows = [row for row in lookup.attempted_rows if row.metric in metrics]
    blocks = []
    for target in unique(row.target for row in rows):
        own = [row for row in rows if row.target == target]
        pairs = unique((row.source, row.versus) for row in own)
        lines = (
            line
            for source, versus in pairs
            for line in _sample_lines(
                [row for row in own if (row.source, row.versus) == (source, versus)]
            )
        )
        blocks.append(Block(f"{target}: {lookup.num_tasks(target)} tasks", tuple(lines)))
    return Table(
        name="task-sample",
        title="Tasks as a sample",
        caption=_sample_caption(rows[0]) if rows else "",
        corner="difference",
        columns=(*(Column(name) for _, name in SAMPLE_COLUMNS), Column("variances")),
        blocks=tuple(blocks),
    )


def _sample_caption(row: ResultRow) -> str:
    return (
        f"Differences in percentage points ({setting_words(row.shots, row.probe)}) over the tasks "
        "that a target was drawn as a sample of, with 95 % intervals over tasks and encoder seeds "
        "together. Named tasks ask for what only the finer labels name, kind-named ones for new "
        "values of what they name, unnamed ones for nothing that they add. The slope is the gain "
        "for one unit of alignment gain. Variances, of tasks, seeds and tasks x seeds, are in "
        "squared points and unbiased: one below 0 counts as 0."
    )


def _sample_lines(rows: list[ResultRow]) -> tuple[Line, ...]:
    """Return the values of a pair, then their uncorrected p where there is one."""
    of_metric = {row.metric: row for row in rows}
    found = [of_metric.get(metric) for metric, _ in SAMPLE_COLUMNS]
    name = f"{rows[0].source} {MINUS} {rows[0].versus}"
    shown = ", ".join(
        format_value(metric, row.value)
        for metric in VARIANCE_OVER_TASKS
        if (row := of_metric.get(metric)) is not None and row.value is not None
    )
    p = tuple(_sample_p(row) for row in found)
    lines = (Line(name, (*map(cell_of, found), Cell(shown)), key=rows[0].source or ""),)
    return (*lines, Line("p, not corrected", (*p, Cell()))) if any(c.shown for c in p) else lines


def _sample_p(row: ResultRow | None) -> Cell:
    if row is None or row.p is None:
        return Cell()
    return replace(p_cell(row), note=f"{metric_words(row.metric)}; {note_of(row)}")


def task_table(lookup: Lookup) -> Table:
    """Return every task with its kind, its alignment gain, each source's value and the difference.

    Empty where the study computes no alignment and asks for no factor task of the tabletop.
    """
    primary, study = lookup.primary, lookup.run.study
    is_aligned = study is not None and study.alignment > 0
    is_shown = is_aligned or any(map(lookup.is_one_of_many, lookup.all_tasks))
    lines: dict[str, list[Line]] = {}
    for task in lookup.all_tasks if is_shown and primary is not None else ():
        lines.setdefault(base_target(task), []).append(_task_line(lookup, task))
    where = ladder_question(lookup, lookup.all_tasks[0]) if lookup.all_tasks else None
    setting = "" if where is None else setting_words(where.shots, where.probe)
    pair = "" if primary is None else f" {MINUS} ".join(pair_of(primary))
    return Table(
        name="tasks",
        title="Tasks and their alignment",
        caption=(
            f"{metric_words(main_metric(lookup)).capitalize()}, {setting}, in percent; the "
            f"difference {pair} in percentage points. Alignment gain: how much more of the task "
            "the finer labels speak of than the coarser ones, 0 to 1, computed from undrawn "
            f"scenes. Named: a gain of {NAMED:.2f} or more, a control of the instrument; "
            "kind-named: the labels name the factor, the values are new; unnamed: at most "
            f"{UNNAMED:.2f}. Not known: of data that are not drawn."
        ),
        corner="task",
        columns=(
            *map(Column, ("attribute", "classes", "kind", "alignment gain", "n", "difference")),
            *(Column(named_source(lookup, source)) for source in lookup.sources),
        ),
        blocks=tuple(Block(target, tuple(held)) for target, held in lines.items()),
    )


def _task_line(lookup: Lookup, task: str) -> Line:
    primary = lookup.primary
    assert primary is not None, "the table is empty without an endpoint"
    pair = pair_of(primary)
    gain = lookup.aligned(ALIGNMENT_GAIN, task, *pair)
    question = ladder_question(lookup, task)
    assert question is not None, "a task is listed because some probe answered it"
    question = replace(question, readout=primary.readout)
    rows = [lookup.measured(source, question) for source in lookup.sources]
    highest = highest_of(rows)
    numbers = sorted({row.n for row in rows if row is not None})
    attribute, classes = _task_words(lookup, task)
    return Line(
        task if task == base_target(task) else task.partition("/")[2],
        (
            *map(Cell, (attribute, classes, lookup.kind(task) or NOT_KNOWN)),
            cell_of(gain) if gain is not None else Cell(NOT_KNOWN),
            Cell(", ".join(f"{number:,}" for number in numbers)),
            cell_of(lookup.difference(*pair, question)),
            *(cell_of(row, is_highest=row is not None and row is highest) for row in rows),
        ),
    )


def _task_words(lookup: Lookup, task: str) -> tuple[str, str]:
    """Return the attribute that a task is about, and its classes, in words."""
    _, _, factor = task.partition("/")
    if not factor:
        return "category", _number_of_classes(lookup, task)
    if lookup.world_of(task) != "tabletop" or not {factor} & {*TASKS, *ATTRIBUTES}:
        return factor, _number_of_classes(lookup, task)
    if factor not in TASKS:
        return factor, ", ".join(ATTRIBUTES[factor].values)
    declared = TASKS[factor]
    classes = ", ".join(declared.classes)
    return declared.attribute, f"{classes}{_condition(declared.given)}"


def _condition(condition: Given) -> str:
    conditions = (f"{name} {' or '.join(values)}" for name, values in condition.items())
    return f" (where {' and '.join(conditions)})" if condition else ""


def _number_of_classes(lookup: Lookup, task: str) -> str:
    """Return the number of classes, computed from chance; "" where chance is not known."""
    chance = lookup.chance(task, main_metric(lookup))
    return "" if chance is None or not chance.value else f"{round(1 / chance.value)} classes"
