from __future__ import annotations

from collections.abc import Callable

from taskgrain.report.lookup import Lookup
from taskgrain.report.transfer_tables import group_error_table
from taskgrain.results import ResultRow

Make = Callable[..., ResultRow]
MakeLookup = Callable[..., Lookup]
SHARES = {"top-1": 0.5, "errors-within-groups": 0.2, "errors-between-groups": 0.3}


def parted(make: Make, target: str, **columns: object) -> list[ResultRow]:
    return [
        make(value, target=target, metric=metric, **columns) for metric, value in SHARES.items()
    ]


def test_sources_and_controls_have_their_answers_parted_by_group(
    make_lookup: MakeLookup, row: Make, control: Make
) -> None:
    pixels = [
        control("pixels", each.value, target=each.target, metric=each.metric, readout="flat")
        for each in parted(row, "kitchenware")
    ]
    chance = control("chance", 0.1, metric="top-1", probe=None, shots=None, readout=None)
    seeds = [
        *parted(row, "kitchenware", seed=0),
        *parted(row, "kitchenware", seed=None, interval="seeds"),
    ]
    table = group_error_table(make_lookup(*seeds, *pixels, chance))
    assert [(column.group, column.label) for column in table.columns] == [
        ("kitchenware", "right"),
        ("kitchenware", "in the group"),
        ("kitchenware", "in another"),
    ]
    shown = {
        line.header: [cell.shown for cell in line.cells]
        for block in table.blocks
        for line in block.lines
        if any(cell.shown for cell in line.cells)
    }
    assert shown == {"categories": ["50.0", "20.0", "30.0"], "raw pixels": ["50.0", "20.0", "30.0"]}
    own = next(line for line in table.blocks[0].lines if line.header == "categories")
    assert {cell.row.interval for cell in own.cells if cell.row} == {"seeds"}


def test_strata_have_columns_of_their_own_and_other_shots_none(
    make_lookup: MakeLookup, row: Make
) -> None:
    strata = ("kitchenware", "kitchenware/siblings", "kitchenware/groups")
    rows = [each for target in strata for each in parted(row, target)]
    other = parted(row, "other", shots=1)
    table = group_error_table(make_lookup(*rows, *other))
    groups = [column.group for column in table.columns[::3]]
    assert groups == [*strata, "other"]
    cells = next(line for line in table.blocks[0].lines if line.header == "categories").cells
    assert [bool(cell.shown) for cell in cells] == [True] * 9 + [False] * 3


def test_a_run_without_groups_has_no_such_table(make_lookup: MakeLookup, row: Make) -> None:
    own = row(0.2, target="source-validation", metric="errors-within-groups", probe="head")
    assert group_error_table(make_lookup(row(0.5), own)).is_empty
