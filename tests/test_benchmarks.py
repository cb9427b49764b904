from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.run import BENCHMARKS
from benchmarks.table import Row, lines, measured, write_json
from benchmarks.timing import best_seconds

FAST = Row("sorting", 0.5, "a bubble sort", 2.0, wanted=4.0)
SLOW = Row("packing", 3.0, "one process", 2.0, wanted=1.5, note="busy")


def test_the_ratio_is_how_many_times_as_fast_as_the_peer_we_are() -> None:
    assert FAST.ratio == 4.0
    assert FAST.reached
    assert SLOW.reached is False
    assert Row("a", 1.0, "b", 9.0).reached is None


def test_the_table_is_aligned_and_marks_a_missed_claim() -> None:
    head, fast, slow = lines([FAST, SLOW])
    assert fast.index("4.00") == slow.index("0.67") == head.index("ratio")
    assert fast.endswith("reached")
    assert slow.endswith("MISSED; busy")


def test_the_small_form_claims_nothing() -> None:
    rows = measured(lambda small: [FAST], small=True)
    assert [row.wanted for row in rows] == [None]
    assert measured(lambda small: [FAST], small=False) == [FAST]


def test_the_json_holds_every_row_with_its_ratio(tmp_path: Path) -> None:
    write_json([FAST, SLOW], tmp_path / "rows.json")
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [(row["what"], row["reached"]) for row in rows] == [
        ("sorting", True),
        ("packing", False),
    ]
    assert rows[0]["ratio"] == 4.0


def test_works_take_turns_and_the_best_round_counts() -> None:
    now, calls = [0.0], []

    def work(name: str, seconds: list[float]) -> None:
        calls.append(name)
        now[0] += seconds.pop(0)

    ours, theirs = [3.0, 1.0], [2.0, 5.0]
    best = best_seconds(
        {"ours": lambda: work("ours", ours), "theirs": lambda: work("theirs", theirs)},
        rounds=2,
        clock=lambda: now[0],
    )
    assert best == {"ours": 1.0, "theirs": 2.0}
    assert calls == ["ours", "theirs"] * 2


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_runs_in_its_small_form(name: str) -> None:
    rows = measured(BENCHMARKS[name], small=True)
    assert rows
    assert all(row.ours > 0 and row.peers > 0 for row in rows)


def test_every_benchmark_is_part_of_the_one_table() -> None:
    files = Path(__file__).parents[1].glob("benchmarks/bench_*.py")
    assert len(BENCHMARKS) == len(list(files))
