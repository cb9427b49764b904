from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from taskgrain.errors import CheckpointError, ConfigError
from taskgrain.train.log import (
    EpochRecord,
    TensorBoardLog,
    Values,
    append_record,
    drop_records_after,
    read_records,
)
from tests.train.test_resume import OPTIONS, StopAt, run


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


WATCHED = replace(OPTIONS, tensorboard=True)


def points(folder: Path, tag: str) -> list[tuple[int, float]]:
    shown = EventAccumulator(str(folder)).Reload()
    return [(event.step, event.value) for event in shown.Scalars(tag)]


@pytest.mark.slow
def test_each_epoch_is_shown_once_however_often_the_run_was_stopped(tmp_path: Path) -> None:
    for stop in (2, 4, 6):
        run(tmp_path, options=WATCHED, watch=StopAt(stop).watch())
    run(tmp_path, options=WATCHED)
    records = read_records(tmp_path / "epochs.jsonl")
    assert len(records) == 3
    for tag, values in (
        ("loss/classification", [record.terms["classification"] for record in records]),
        ("validation-loss/captioning", [r.validation_terms["captioning"] for r in records]),
        ("validation/top-1", [record.validation["top-1"] for record in records]),
        ("gradient-share/captioning", [record.shares["captioning"] for record in records]),
        ("learning-rate", [record.lr for record in records]),
        ("epoch", [1.0, 2.0, 3.0]),
    ):
        shown = points(tmp_path / "tensorboard", tag)
        assert [step for step, _ in shown] == [4, 8, 12], tag
        assert [value for _, value in shown] == pytest.approx(values), tag


def test_what_was_written_after_the_state_is_not_shown_twice(tmp_path: Path) -> None:
    def record(step: int, lr: float) -> EpochRecord:
        nothing: Values = {"classification": None, "captioning": None}
        return EpochRecord(step // 4, step, 16, lr, nothing, nothing, {"top-1": 0.5}, nothing)

    killed = TensorBoardLog(tmp_path, step=0)
    for step in (4, 8):
        killed.append(record(step, 0.1))
    killed.close()
    resumed = TensorBoardLog(tmp_path, step=4)  # the state of step 8 was never saved
    resumed.append(record(8, 0.2))
    resumed.close()
    shown = points(tmp_path, "learning-rate")
    assert [step for step, _ in shown] == [4, 8]
    assert [rate for _, rate in shown] == pytest.approx([0.1, 0.2])


@pytest.mark.slow
def test_watching_changes_no_number_and_a_finished_run_writes_nothing_more(tmp_path: Path) -> None:
    run(tmp_path / "watched", options=WATCHED)
    run(tmp_path / "alone")
    assert not (tmp_path / "alone" / "tensorboard").exists()
    for name in ("training.json", "epochs.jsonl", "last/model.safetensors"):
        watched, alone = (tmp_path / each / name for each in ("watched", "alone"))
        assert watched.read_bytes() == alone.read_bytes()
    files = list((tmp_path / "watched" / "tensorboard").iterdir())
    assert len(files) == 1
    run(tmp_path / "watched", options=WATCHED)
    assert list((tmp_path / "watched" / "tensorboard").iterdir()) == files


def test_without_the_package_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(
        "taskgrain.train.log.find_spec",
        lambda name: None if name == "tensorboard" else there(name),
    )
    with pytest.raises(ConfigError, match=r'pip install "taskgrain\[tracking\]"'):
        run(tmp_path, options=WATCHED)
