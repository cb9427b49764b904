from __future__ import annotations

from collections.abc import Callable

from taskgrain.report.answer import answer
from taskgrain.report.lookup import Lookup
from taskgrain.report.task_sample import task_sample_table
from taskgrain.report.words import MINUS, plain
from taskgrain.results import ResultRow

Make = Callable[..., ResultRow]
MakeLookup = Callable[..., Lookup]
OVER = {"seed": None, "interval": "tasks", "target": "many"}


def sampled(difference: Make) -> list[ResultRow]:
    return [
        difference(0.02),
        *(difference(0.01, target=f"many/t{index}") for index in range(9)),
        difference(0.01, **OVER, metric="mean-over-tasks", p=0.03),
        difference(0.03, **OVER, metric="mean-over-named-tasks", p=0.01),
        difference(-0.002, **OVER, metric="mean-over-unnamed-tasks", p=0.7),
        difference(0.2, **OVER, metric="slope-over-tasks", p=0.02),
        *(
            difference(value, seed=None, target="many", metric=f"variance-of-{name}", width=None)
            for name, value in (("tasks", 4e-4), ("seeds", -1e-5), ("tasks-and-seeds", 2e-4))
        ),
    ]


def test_a_sample_of_tasks_has_a_line_of_means_slope_and_variances(
    make_lookup: MakeLookup, difference: Make
) -> None:
    (block,) = task_sample_table(make_lookup(*sampled(difference))).blocks
    assert block.title == "many: 9 tasks"
    line, p = block.lines
    assert line.header == f"categories {MINUS} action-groups"
    shown = ["+1.0", "+3.0", "", f"{MINUS}0.2", "+20.0", f"4.00, {MINUS}0.10, 2.00"]
    assert [cell.shown for cell in line.cells] == shown
    assert [cell.shown for cell in p.cells] == ["0.03", "0.01", "", "0.7", "0.02", ""]


def test_no_sample_needs_no_table(make_lookup: MakeLookup, difference: Make) -> None:
    assert task_sample_table(make_lookup(difference(0.02))).is_empty


def test_the_front_page_has_the_sample_by_kind(make_lookup: MakeLookup, difference: Make) -> None:
    said = plain(answer(make_lookup(*sampled(difference))).everywhere)
    assert (
        "Over the 9 tasks of many as a sample it is +1.0 points "
        f"({MINUS}2.0 to +4.0), +3.0 (+0.0 to +6.0) where the labels name what is asked, "
        f"{MINUS}0.2 ({MINUS}3.2 to +2.8) where they add nothing, over tasks and encoder seeds "
        "together."
    ) in said
