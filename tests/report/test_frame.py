from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import pytest

import taskgrain
from taskgrain.errors import ResultError
from taskgrain.report.frame import KINDS, Kind, Record, results_frame
from taskgrain.results import COLUMNS, ResultRow, read_rows
from tests.report.conftest import RunMaker

Make = Callable[..., ResultRow]
PAGE = Path(__file__).parents[2] / "docs" / "data-format.md"


@pytest.fixture
def run(complete: RunMaker, row: Make, difference: Make, control: Make) -> Path:
    """A run of two seeds with every kind of row."""
    second = [
        row(0.4, source=source, seed=1, shots=shots)
        for source in ("action-groups", "categories")
        for shots in (1, 5)
    ]
    over: dict[str, object] = {"seed": None, "interval": "seeds"}
    aligned: dict[str, object] = dict.fromkeys(("seed", "probe", "readout", "shots", "width"))
    complete.study += 'readout = "lstm-mean"\n'  # of the primary endpoint
    complete.rows += [
        *second,
        row(0.35, **over),
        row(0.15, target="source-validation", probe="head", readout=None, passes=40),
        difference(0.02, seed=1),
        difference(0.02, **over),
        difference(0.02, seed=None),
        difference(0.02, seed=None, interval="crossed"),
        difference(0.1, seed=None, metric="5-way-accuracy", interval="episodes"),
        difference(0.02, seed=None, metric="mean-over-tasks", interval="tasks"),
        difference(0.02, seed=None, metric="mean-over-named-tasks", interval="tasks"),
        difference(-0.0001, seed=None, metric="variance-of-tasks", width=None),
        control("random-encoder", 0.2, seed=1),
        control("random-encoder", 0.2, **over),
        control("pixels", 0.2, readout="flat"),
        *(
            row(0.05, **{**columns, "versus": "pixels"})
            for columns in (
                *({"seed": 0}, {"seed": 1}, over),
                *({"seed": None, "interval": "clips"}, {"seed": None, "interval": "crossed"}),
            )
        ),
        row(0.01, source=None, metric="trend"),
        row(0.01, source=None, metric="trend", **over),
        difference(0.03, metric="detectable-difference", width=None, seed=None),
        row(0.3, **{**aligned, "metric": "alignment"}),
        row(0.2, **{**aligned, "metric": "alignment-gain", "versus": "action-groups"}),
    ]
    return complete.write()


def every(run: Path, kind: Kind | None = None) -> list[Record]:
    return results_frame(
        run, kind=kind, target=None, probe=None, metric=None, readout=None, plain=True
    )


def test_every_row_is_of_one_kind_and_comes_with_all_its_columns(run: Path) -> None:
    rows = read_rows(run / "results.jsonl")
    found = every(run)
    assert [{name: each[name] for name in COLUMNS} for each in found] == [
        {name: getattr(each, name) for name in COLUMNS} for each in rows
    ]
    assert {each["kind"] for each in found} == set(KINDS)
    assert sum(len(every(run, kind)) for kind in KINDS) == len(rows)


def test_no_two_rows_of_a_kind_answer_the_same_question(run: Path) -> None:
    asked = ("source", "versus", "control", "target", "probe", "readout", "shots", "metric", "seed")
    times = Counter((each["kind"], *(each[name] for name in asked)) for each in every(run))
    assert set(times.values()) == {1}
    seeds: dict[object, set[object]] = defaultdict(set)
    for each in every(run):
        seeds[each["kind"]].add(each["seed"])
    for kind, found in seeds.items():  # a mean over seeds never stands among its own seeds
        assert kind == "control" or found in ({None}, {0}, {0, 1}), kind


def test_a_natural_pivot_gives_the_plain_values_alone(run: Path) -> None:
    cells: dict[tuple[object, object], list[float]] = defaultdict(list)
    for each in results_frame(run, plain=True):
        assert isinstance(each["value"], float)
        cells[each["source"], each["shots"]].append(each["value"])
    rows = read_rows(run / "results.jsonl")
    for (source, shots), values in cells.items():
        expected = [
            each.value
            for each in rows
            if (each.source, each.shots, each.target) == (source, shots, "kitchenware")
            and (each.probe, each.metric) == ("logistic-regression", "mean-per-class")
            and each.control is None
            and each.versus is None
            and each.seed is not None
        ]
        assert values == expected
    assert len(cells) == 6 * 4


def test_a_results_file_is_read_as_its_folder_is(run: Path) -> None:
    assert results_frame(str(run / "results.jsonl"), plain=True) == results_frame(run, plain=True)


def test_every_row_names_the_processors_that_the_run_was_computed_on(
    complete: RunMaker,
) -> None:
    kinds = ["oneDNN Intel AVX2", "oneDNN Intel AVX-512"]
    cases: tuple[tuple[dict[str, object], str | None], ...] = (
        ({}, None),
        ({"same_bits": {"processors": kinds[:1]}}, kinds[0]),
        ({"same_bits": {"processors": kinds}}, "; ".join(kinds)),
    )
    for provenance, expected in cases:
        complete.provenance = provenance
        complete.study += 'readout = "lstm-mean"\n' if not provenance else ""
        found = results_frame(complete.write(), plain=True)
        assert {each["processors"] for each in found} == {expected}


def test_filters_take_names_shots_and_none(run: Path) -> None:
    five = results_frame(run, shots=5, target="kitchenware/motion", plain=True)
    assert {(each["shots"], each["target"]) for each in five} == {(5, "kitchenware/motion")}
    assert {each["shots"] for each in results_frame(run, shots="primary", plain=True)} == {5}
    found = results_frame(run, probe=None, plain=True)
    assert {each["probe"] for each in found} == {"nearest-mean", "logistic-regression"}


def test_controls_are_kept_where_they_have_no_probe_or_readout_of_their_own(run: Path) -> None:
    found = results_frame(run, kind="control", shots="primary", plain=True)
    assert {each["control"] for each in found} >= {"chance", "majority", "random-encoder"}
    assert {each["probe"] for each in found} == {None, "logistic-regression"}
    assert {each["readout"] for each in found} == {None, "flat", "lstm-mean"}
    assert {each["target"] for each in found} == {"kitchenware"}
    (trend,) = results_frame(run, kind="trend", plain=True)
    assert trend["metric"] == "trend"


def test_without_a_primary_endpoint_the_question_has_to_be_given(run: Path) -> None:
    (run / "study.toml").write_text('name = "without"\n')
    with pytest.raises(ResultError, match=r"study\.toml: primary: is missing"):
        results_frame(run, plain=True)
    (run / "study.toml").unlink()
    with pytest.raises(ResultError, match=r"study\.toml: no such file; give target"):
        results_frame(run, plain=True)
    with pytest.raises(ResultError, match=r"not found; is .*nowhere a run folder"):
        results_frame(run / "nowhere", plain=True)
    assert len(every(run, "value")) > 100
    with pytest.raises(ValueError, match="kind 'values'; expected None or one of value, "):
        results_frame(run, kind="values", plain=True)  # type: ignore[call-overload]


def test_without_pandas_there_are_plain_rows(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert results_frame(run) == results_frame(run, plain=True)


def test_with_pandas_there_is_a_frame_of_the_same_rows(run: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = results_frame(run)
    assert isinstance(frame, pandas.DataFrame)
    plain = results_frame(run, plain=True)
    assert frame["value"].tolist() == [each["value"] for each in plain]
    table = frame.pivot_table(index="source", columns="shots", values="value")
    for source, shots in {(each["source"], each["shots"]) for each in plain}:
        expected = [
            float(each["value"] or 0)
            for each in plain
            if (each["source"], each["shots"]) == (source, shots)
        ]
        assert table.loc[source, shots] == pytest.approx(fmean(expected))


def blocks_about_frames() -> list[str]:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [block for block in blocks if "results_frame" in block]


def test_the_lines_of_the_docs_print_the_headline(
    complete: RunMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    run = complete.write()
    lines, _ = blocks_about_frames()
    exec(lines.replace("runs/quick", str(run)))
    said = capsys.readouterr().out.splitlines()
    for each in read_rows(run / "results.jsonl"):
        if (
            each.control is None
            and (each.target, each.probe, each.shots, each.metric)
            == ("kitchenware", "logistic-regression", 5, "mean-per-class")
            and {each.source, each.versus or each.source} <= {"categories", "action-groups"}
        ):
            assert f"{each.source} {each.versus} {each.value}" in said
            said.remove(f"{each.source} {each.versus} {each.value}")
    assert len(said) == 4 + 4  # the other sources, and their differences


def test_the_pandas_lines_of_the_docs_print_the_headline(
    complete: RunMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pandas")
    run = complete.write()
    exec(blocks_about_frames()[1].replace("runs/quick", str(run)), {"taskgrain": taskgrain})
    said = capsys.readouterr().out
    value = next(
        each["value"]
        for each in results_frame(run, shots="primary", plain=True)
        if each["source"] == "categories"
    )
    assert re.search(rf"categories .* {value:.4f}", said)


def test_floors_of_each_seed_leave_the_kind_of_the_other_floors_as_it_was(
    complete: RunMaker, control: Make
) -> None:
    own: dict[str, object] = {
        "target": "source-validation",
        "probe": None,
        "readout": None,
        "shots": None,
        "width": None,
    }
    complete.rows += [
        control("majority", 0.1, **own, source="categories"),
        control("majority", 0.1, **{**own, "source": "mixed", "seed": 0}),
        control("majority", 0.2, **{**own, "source": "mixed", "seed": 1}),
    ]
    found = results_frame(
        complete.write(), kind="control", target="source-validation", probe=None, plain=True
    )
    floors = [(each["source"], each["seed"]) for each in found if each["control"] == "majority"]
    assert floors == [("categories", None), ("mixed", 0), ("mixed", 1)]
