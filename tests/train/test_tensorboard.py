from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from taskgrain.errors import ConfigError
from taskgrain.train.run_log import EpochRecord, Values, read_records
from taskgrain.train.tensorboard import TensorBoardLog
from tests.train.test_resume import OPTIONS, StopAt, run

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
        "taskgrain.train.tensorboard.find_spec",
        lambda name: None if name == "tensorboard" else there(name),
    )
    with pytest.raises(ConfigError, match=r'pip install "taskgrain\[tracking\]"'):
        run(tmp_path, options=WATCHED)
