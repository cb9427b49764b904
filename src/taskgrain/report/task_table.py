"""The table of tasks: what each asks, what the sources' labels say of it, how well it is read."""

from __future__ import annotations

from dataclasses import replace

from taskgrain.names import ALIGNMENT_GAIN
from taskgrain.report.lookup import Lookup, base_target, pair_of
from taskgrain.report.tables import Block, Cell, Column, Line, Table, cell_of, highest_of
from taskgrain.report.transfer_tables import ladder_question, main_metric, named_source
from taskgrain.report.words import MINUS, metric_words, setting_words
from taskgrain.statistics.alignment import NAMED, UNNAMED
from taskgrain.tabletop.attributes import ATTRIBUTES
from taskgrain.tabletop.tasks import TASKS, Given

NOT_KNOWN = "not known"


def task_table(lookup: Lookup) -> Table:
    """Return every task with its kind, its alignment gain, each source's value and the difference.

    Empty where the study computes no alignment and asks for no factor task of the tabletop.
    """
    primary, study = lookup.primary, lookup.run.study
    is_aligned = study is not None and study.alignment > 0
    is_shown = is_aligned or any(map(lookup.is_one_of_many, lookup.all_tasks))
    lines: dict[str, list[Line]] = {}
    for task in lookup.all_tasks if is_shown and primary is not None else ():
        lines.setdefault(base_target(task), []).append(_line(lookup, task))
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


def _line(lookup: Lookup, task: str) -> Line:
    primary = lookup.primary
    assert primary is not None, "the table is empty without an endpoint"
    pair = pair_of(primary)
    gain = lookup.aligned(ALIGNMENT_GAIN, task, *pair)
    asked = ladder_question(lookup, task)
    assert asked is not None
    asked = replace(asked, readout=primary.readout)
    rows = [lookup.measured(source, asked) for source in lookup.sources]
    highest = highest_of(rows)
    numbers = sorted({row.n for row in rows if row is not None})
    attribute, classes = _words(lookup, task)
    return Line(
        task if task == base_target(task) else task.partition("/")[2],
        (
            *map(Cell, (attribute, classes, lookup.kind(task) or NOT_KNOWN)),
            cell_of(gain) if gain is not None else Cell(NOT_KNOWN),
            Cell(", ".join(f"{number:,}" for number in numbers)),
            cell_of(lookup.difference(*pair, asked)),
            *(cell_of(row, is_highest=row is not None and row is highest) for row in rows),
        ),
    )


def _words(lookup: Lookup, task: str) -> tuple[str, str]:
    """Return which attribute a task asks for, and its classes."""
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


def _condition(given: Given) -> str:
    conditions = (f"{name} {' or '.join(values)}" for name, values in given.items())
    return f" (where {' and '.join(conditions)})" if given else ""


def _number_of_classes(lookup: Lookup, task: str) -> str:
    """Return how many classes there are, as chance tells it."""
    chance = lookup.chance(task, main_metric(lookup))
    return "" if chance is None or not chance.value else f"{round(1 / chance.value)} classes"
