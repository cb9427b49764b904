from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from taskgrain.errors import ResultError
from taskgrain.transfer.archive import read_arrays, write_arrays
from taskgrain.transfer.episode_answers import read_episode_file, write_episode_answers
from taskgrain.transfer.episodes import EpisodeAnswers

ONE = EpisodeAnswers(
    source="categories",
    seed=3,
    readout="lstm-mean",
    control=None,
    target="kitchenware",
    probe="ridge",
    num_ways=3,
    shots=1,
    predicted=np.array([[0, 1, -1], [2, 1, 0]], dtype=np.int16),
    truth=np.array([0, 1, 2], dtype=np.int16),
    n=40,
    failed=2,
    truncated=1,
    chosen="lambda=1",
    chosen_on="fixed in advance",
)
FIVE = replace(ONE, shots=5, predicted=ONE.predicted[::-1].copy(), chosen=None, chosen_on=None)


def test_answers_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    nothing = np.full_like(ONE.predicted, -1)
    failed = replace(ONE, predicted=nothing, chosen=None, chosen_on=None, problem="broke")
    write_episode_answers(path, [ONE, FIVE, failed])
    found = read_episode_file(path)
    assert len(found) == 3
    for before, after in zip((ONE, FIVE, failed), found, strict=True):
        for each in fields(EpisodeAnswers):
            assert np.array_equal(getattr(before, each.name), getattr(after, each.name)), each.name
    assert found[0].accuracies.tolist() == pytest.approx([2 / 3, 1 / 3])
    written = path.read_bytes()
    write_episode_answers(path, found)
    assert path.read_bytes() == written


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("predicted-0", ONE.predicted.astype(np.int32), "is int32 .* expected int16 of 2 axes"),
        ("truth-0", ONE.predicted, r"is int16 \(2, 3\); expected int16 of 1 axes"),
        ("predicted-0", ONE.predicted + np.int16(1), "run from 0 to 3; expected -1 to 2"),
        ("truth-0", ONE.truth[:2], r"answers are \(2, 3\) to \(2,\) queries"),
        ("header", np.array("{}"), "header answers: Field required"),
    ],
)
def test_damaged_files_are_named(
    name: str, value: np.ndarray, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.npz"
    write_episode_answers(path, [ONE])
    write_arrays(path, {**read_arrays(path), name: value})
    with pytest.raises(ResultError, match=rf"a\.npz: .*{problem}"):
        read_episode_file(path)


def test_a_missing_entry_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_episode_answers(path, [ONE])
    kept = {name: array for name, array in read_arrays(path).items() if name != "truth-0"}
    write_arrays(path, kept)
    with pytest.raises(ResultError, match="no entry 'truth-0'"):
        read_episode_file(path)
