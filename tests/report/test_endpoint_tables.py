from __future__ import annotations

from collections.abc import Callable

from taskgrain.config.learning import Source
from taskgrain.report.answer import answer
from taskgrain.report.endpoint_tables import (
    endpoint_table,
    task_sample_table,
    task_table,
    trend_table,
)
from taskgrain.report.frame import results_frame
from taskgrain.report.html import write_report
from taskgrain.report.lookup import Lookup
from taskgrain.report.transfer_tables import target_title, transfer_tables
from taskgrain.report.verdict import Verdict
from taskgrain.report.words import MINUS, plain
from taskgrain.results import ResultRow
from tests.report.conftest import READOUTS, STUDY, RunMaker, row, with_sources

Make = Callable[..., ResultRow]
MakeLookup = Callable[..., Lookup]
FAMILY = (
    STUDY
    + READOUTS
    + '[[family]]\nsource = "joint-full"\nversus = "categories"\ntarget = "kitchenware"\n'
    'probe = "nearest-mean"\nshots = 1\nmetric = "top-1"\nreadout = "lstm-last"\n'
)
OVER = {"seed": None, "interval": "seeds", "p": 0.004, "p_holm": 0.008}
OTHER = {
    "source": "joint-full",
    "versus": "categories",
    "probe": "nearest-mean",
    "shots": 1,
    "metric": "top-1",
    "readout": "lstm-last",
}


def test_every_endpoint_has_its_test_its_correction_and_what_could_be_found(
    make_lookup: MakeLookup, difference: Make
) -> None:
    rows = (
        difference(0.05, seed=0),
        difference(0.05, **OVER),
        difference(0.02, seed=None, metric="detectable-difference", width=None),
        difference(0.01, **{**OVER, **OTHER, "p": 0.3, "p_holm": 0.3}),
        difference(0.09, **{**OTHER, "metric": "detectable-difference-top-1", "width": None}),
    )
    first, second = endpoint_table(make_lookup(*rows, study=FAMILY)).blocks
    (line,) = first.lines
    assert f"categories {MINUS} action-groups: kitchenware, 5-shot" in line.header
    assert [cell.shown for cell in line.cells] == ["+5.0", "better", "0.004", "0.008", "2.0"]
    assert [cell.value for cell in line.cells] == [0.05, None, 0.004, 0.008, 0.02]
    (line,) = second.lines
    assert "1-shot, nearest class mean, top-1 accuracy, LSTM, last step" in line.header
    shown = ["+1.0", "cannot be told apart", "0.3", "0.3", "9.0"]
    assert [cell.shown for cell in line.cells] == shown


def test_one_seed_and_no_family_need_no_table(make_lookup: MakeLookup, difference: Make) -> None:
    assert endpoint_table(make_lookup(difference(0.05))).is_empty
    table = endpoint_table(make_lookup(difference(0.05), study=FAMILY))
    shown = ["+5.0", "better", "", "", ""]
    assert [cell.shown for cell in table.blocks[0].lines[0].cells] == shown
    assert [line.cells[1].shown for line in table.blocks[1].lines] == ["no result"]
    assert "there is no test" in table.caption
    assert "p of the paired" not in table.caption


def test_a_difference_that_the_correction_does_not_leave_is_not_claimed(
    make_lookup: MakeLookup, difference: Make
) -> None:
    each = [difference(0.05, seed=seed) for seed in range(8)]
    row = difference(0.05, **{**OVER, "p_holm": 0.06})
    found = answer(make_lookup(*each, row, study=FAMILY))
    assert found.verdict == Verdict.UNSEPARATED
    assert "p = 0.06, corrected by Holm over 2 endpoints, which is not below 0.05" in plain(
        found.sentence
    )
    found = answer(make_lookup(*each, difference(0.05, **OVER), study=FAMILY))
    assert found.verdict == Verdict.BETTER
    assert "p = 0.008, corrected by Holm over 2 endpoints." in plain(found.sentence)


def test_an_interval_over_more_than_seeds_cannot_overrule_the_test_over_seeds(
    make_lookup: MakeLookup, difference: Make
) -> None:
    crossed = difference(0.05, seed=None, interval="crossed", p=0.01)
    tested = difference(0.05, **{**OVER, "p": 0.2, "p_holm": 0.2}, width=0.09)
    found = answer(make_lookup(crossed, tested))
    assert found.verdict == Verdict.UNSEPARATED
    assert "p = 0.2, which is not below 0.05" in plain(found.sentence)


def test_the_answer_is_read_as_the_primary_endpoint_says(
    make_lookup: MakeLookup, difference: Make
) -> None:
    study = f'{STUDY}readout = "channels-mean"\n{READOUTS}'
    other = difference(0.4)
    assert answer(make_lookup(other, study=study)).verdict == Verdict.NO_ROW
    assert answer(
        make_lookup(other, difference(-0.4, readout="channels-mean"), study=study)
    ).verdict == (Verdict.WORSE)


def test_encoders_at_one_level_are_not_called_finer_than_one_another(
    make_lookup: MakeLookup, difference: Make
) -> None:
    names = ("action-groups", "categories")
    sources = (Source(name=name, classify="category", encoder=name) for name in names)
    lookup = with_sources(make_lookup(difference(0.4)), *sources)
    found = answer(lookup)
    assert found.verdict == Verdict.BETTER
    assert "finer" not in plain(found.sentence)
    assert not any("positive control" in plain(limit) for limit in found.limits)


def test_features_that_other_labels_made_are_no_positive_control(
    make_lookup: MakeLookup, difference: Make
) -> None:
    lookup = make_lookup(difference(0.4))
    frozen = Source(name="action-groups", encoder="resnet18")
    published = with_sources(lookup, frozen, Source(name="categories", classify="category"))
    for each, is_control in ((lookup, True), (published, False)):
        said = [plain(limit) for limit in answer(each).limits]
        assert any("positive control" in limit for limit in said) is is_control


def test_the_trend_over_seeds_is_shown_before_any_seeds_own(
    make_lookup: MakeLookup, row: Make
) -> None:
    slope = {"source": None, "metric": "trend"}
    over = row(0.02, **slope, seed=None, interval="seeds", p=0.01)
    rows = (row(0.5), row(0.01, **slope, width=None), over, row(0.9, **slope, readout="other"))
    table = trend_table(make_lookup(*rows))
    line, tested = table.blocks[0].lines
    assert (line.header, [cell.row for cell in line.cells]) == ("logistic regression", [over])
    assert line.cells[0].shown == "+2.0"
    assert (tested.header, tested.cells[0].value) == ("p, logistic regression", 0.01)
    assert trend_table(make_lookup(row(0.5))).is_empty


SAMPLE = {"seed": None, "interval": "tasks", "target": "many"}


def sampled(difference: Make) -> list[ResultRow]:
    return [
        difference(0.02),
        *(difference(0.01, target=f"many/t{index}") for index in range(9)),
        difference(0.01, **SAMPLE, metric="mean-over-tasks", p=0.03),
        difference(0.03, **SAMPLE, metric="mean-over-named-tasks", p=0.01),
        difference(-0.002, **SAMPLE, metric="mean-over-unnamed-tasks", p=0.7),
        difference(0.2, **SAMPLE, metric="slope-over-tasks", p=0.02),
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


def test_a_sample_counts_the_tasks_that_stand_in_their_own_table_alone(
    make_lookup: MakeLookup, difference: Make
) -> None:
    rows = [
        *(difference(0.01, target=f"tasks/{name}") for name in ("light", "noun-of-eight")),
        difference(0.01, **{**SAMPLE, "target": "tasks"}, metric="mean-over-tasks"),
    ]
    lookup = make_lookup(difference(0.02), *rows, study=WITH_TASKS)
    (block,) = task_sample_table(lookup).blocks
    assert block.title == "tasks: 2 tasks"
    assert "Over the 2 tasks of tasks as a sample" in plain(answer(lookup).everywhere)


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


def test_the_page_shows_the_table_where_there_is_one(complete: RunMaker) -> None:
    assert 'id="table-tasks"' not in write_report(complete.write()).read_text(encoding="utf-8")
    complete.study = WITH_TASKS
    complete.rows += aligned("kitchenware", 0.27)
    page = write_report(complete.write())
    assert 'id="table-tasks"' in page.read_text(encoding="utf-8")
    assert (page.parent / "tables" / "tasks.csv").is_file()
