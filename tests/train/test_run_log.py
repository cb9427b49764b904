from __future__ import annotations

from pathlib import Path

import pytest

from taskgrain.errors import CheckpointError
from taskgrain.train.run_log import EpochRecord, append_record, drop_records_after, read_records


def record(epoch: int) -> EpochRecord:
    return EpochRecord(
        epoch=epoch,
        step=10 * epoch,
        clip_passes=320 * epoch,
        lr=0.1 / 3,
        terms={"classification": 1 / 3, "captioning": None},
        shares={"classification": 1.0, "captioning": None},
        validation={"top-1": 0.5, "exact-match": None},
        validation_terms={"classification": 2 / 3, "captioning": None},
    )


def test_records_come_back_in_order_to_the_bit(tmp_path: Path) -> None:
    path = tmp_path / "new" / "epochs.jsonl"
    assert read_records(path) == []
    for epoch in (1, 2):
        append_record(path, record(epoch))
    assert read_records(path) == [record(1), record(2)]


@pytest.mark.parametrize(("step", "num_left"), [(0, 0), (9, 0), (10, 1), (25, 2), (30, 3)])
def test_records_after_a_step_are_dropped(tmp_path: Path, step: int, num_left: int) -> None:
    path = tmp_path / "epochs.jsonl"
    for epoch in (1, 2, 3):
        append_record(path, record(epoch))
    drop_records_after(path, step)
    assert read_records(path) == [record(epoch) for epoch in range(1, num_left + 1)]


def test_a_last_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "epochs.jsonl"
    append_record(path, record(1))
    with path.open("a") as file:
        file.write('{"epoch": 2, "st')
    drop_records_after(path, 100)
    append_record(path, record(2))
    assert read_records(path) == [record(1), record(2)]


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "epochs.jsonl"
    append_record(path, record(1))
    with path.open("a") as file:
        file.write('{"epoch": 2}\n')
    with pytest.raises(CheckpointError, match=r"epochs\.jsonl:2: not the record of an epoch"):
        read_records(path)
