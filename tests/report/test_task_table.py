from __future__ import annotations

from collections.abc import Callable

import pytest

from taskgrain.report.frame import results_frame
from taskgrain.report.html import write_report
from taskgrain.report.lookup import Lookup
from taskgrain.report.task_table import task_table
from taskgrain.report.transfer_tables import target_title, transfer_tables
from taskgrain.results import ResultRow
from tests.report.conftest import STUDY, RunMaker, row

Make = Callable[..., ResultRow]
MakeLookup = Callable[..., Lookup]
NO_PROBE: dict[str, object] = {
    **{"seed": None, "probe": None, "readout": None, "shots": None, "draws": None},
    "width": None,
}
WITH_TASKS = (
    STUDY.replace("seeds = [0]", "seeds = [0]\nalignment = 100000")
    + """
[[targets]]
name = "tasks"
world = "tabletop"
tasks = 3
[[targets]]
name = "mine"
root = "mine"
"""
)


def aligned(task: str, gain: float, if_shown: float | None = None) -> list[ResultRow]:
    """Make the rows of a task's alignment: of both sources, the gain, and the gain if shown."""
    made = [
        ("alignment", "categories", None, 0.9),
        ("alignment", "action-groups", None, 0.9 - gain),
        ("alignment-gain", "categories", "action-groups", gain),
        ("alignment-gain-if-shown", "categories", "action-groups", if_shown or gain),
    ]
    return [
        row(
            value,
            **{**NO_PROBE, "metric": metric, "source": source, "versus": versus, "target": task},
        )
        for metric, source, versus, value in made
    ]


def scored(task: str, n: int) -> list[ResultRow]:
    """Make a value of both sources and their difference."""
    return [
        row(0.6, target=task, n=n),
        row(0.5, target=task, n=n, source="action-groups"),
        row(0.1, target=task, n=n, versus="action-groups"),
    ]


def test_each_task_has_its_kind_gain_values_and_difference(make_lookup: MakeLookup) -> None:
    rows = [
        *aligned("kitchenware", 0.27),
        *aligned("tasks/reality-of-poking", 1.0),
        *aligned("tasks/noun-new-of-eight", 0.0, 1.0),
        *aligned("tasks/light", -0.0002),
        *aligned("tasks/count-end", 0.047),
        *scored("kitchenware", 1105),
        *scored("tasks/reality-of-poking", 150),
        *scored("tasks/noun-new-of-eight", 590),
        *scored("tasks/light", 2000),
        *scored("tasks/count-end", 2000),
        *scored("mine", 40),
    ]
    table = task_table(make_lookup(*rows, study=WITH_TASKS))
    assert [block.title for block in table.blocks] == ["kitchenware", "tasks", "mine"]
    shown = {
        line.header: [cell.shown for cell in line.cells]
        for block in table.blocks
        for line in block.lines
    }
    labels = [column.label for column in table.columns]
    assert labels[:6] == ["attribute", "classes", "kind", "alignment gain", "n", "difference"]
    assert set(labels[6:]) >= {"action-groups", "categories"}
    assert shown["kitchenware"][2:6] == ["named", "0.27", "1,105", "+10.0"]
    poking = "real, pretended (where verb poking)"
    assert shown["reality-of-poking"][:6] == ["reality", poking, "named", "1.00", "150", "+10.0"]
    assert shown["noun-new-of-eight"][0] == "noun"
    assert shown["noun-new-of-eight"][1].startswith("fish, chair")
    assert shown["noun-new-of-eight"][2:4] == ["kind-named", "0.00"]
    assert shown["light"][2:4] == ["unnamed", "0.00"]
    assert shown["count-end"][2:4] == ["between", "0.05"]
    assert shown["mine"][2:4] == ["not known", "not known"]
    values = dict(zip(labels, shown["light"], strict=True))
    assert (values["action-groups"], values["categories"]) == ("50.0", "60.0")


def test_many_tasks_stand_in_their_own_table_alone(make_lookup: MakeLookup) -> None:
    rows = [*scored("kitchenware", 9), *scored("tasks", 9), *scored("tasks/light", 9)]
    lookup = make_lookup(*rows, study=WITH_TASKS)
    assert lookup.targets == ("kitchenware", "tasks")
    assert lookup.all_tasks == ("kitchenware", "tasks", "tasks/light")
    (table,) = transfer_tables(lookup)
    assert not any("light" in column.group for column in table.columns)


def test_a_kind_stands_in_the_heading_of_its_task(make_lookup: MakeLookup) -> None:
    rows = [*aligned("kitchenware", 0.27), *scored("kitchenware", 9), *scored("mine", 9)]
    lookup = make_lookup(*rows, study=WITH_TASKS)
    assert target_title(lookup, "kitchenware") == "kitchenware, named"
    assert target_title(lookup, "mine") == "mine"


def test_a_study_without_alignment_has_no_such_table(make_lookup: MakeLookup) -> None:
    assert task_table(make_lookup(*scored("kitchenware", 9))).is_empty


def test_rows_of_alignment_are_a_kind_of_their_own(complete: RunMaker) -> None:
    complete.rows += aligned("kitchenware", 0.27)
    found = results_frame(complete.write(), kind="alignment", plain=True)
    metrics = ["alignment", "alignment", "alignment-gain", "alignment-gain-if-shown"]
    assert [record["metric"] for record in found] == metrics


@pytest.mark.slow
def test_the_page_shows_the_table_where_there_is_one(complete: RunMaker) -> None:
    assert 'id="table-tasks"' not in write_report(complete.write()).read_text(encoding="utf-8")
    complete.study = WITH_TASKS
    complete.rows += aligned("kitchenware", 0.27)
    page = write_report(complete.write())
    assert 'id="table-tasks"' in page.read_text(encoding="utf-8")
    assert (page.parent / "tables" / "tasks.csv").is_file()
