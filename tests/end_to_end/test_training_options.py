from __future__ import annotations

import json
from pathlib import Path

import pytest

from taskgrain.cli.main import main
from taskgrain.train.log import read_records
from tests.end_to_end.conftest import SMALL, with_drawn_clips

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("forked_trainings")]
SOURCES = (
    "sources=[{name='joint-full', classify='category', caption='full', lambda=0.5, "
    "warm_start='action-groups'}, {name='again', classify='category', caption='full', "
    "lambda=0.5, warm_start='joint-full', warm_start_parts='all'}]"
)
OTHERWISE = (
    *("train.optimizer=adam", "train.schedule=plateau", "train.plateau_patience=0"),
    *("train.accumulate=2", "train.padding=counted", "train.balanced=true", "train.epochs=4"),
    *("train.early_stopping=3", "train.max_gradient_norm=0.0"),
)


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    groups = "[{name='action-groups', classify='action-group'}, "
    sources = SOURCES.replace("[", groups, 1)
    return [*SMALL, *(part for each in (sources, *OTHERWISE) for part in ("--set", each))]


def test_a_study_of_other_optimisation_runs_and_its_second_source_begins_with_the_first(
    command: list[str], small_run: Path, tmp_path: Path
) -> None:
    main([*command, "--out", str(with_drawn_clips(small_run, tmp_path / "run"))])
    run = tmp_path / "run" / "checkpoints"
    described = json.loads((run / "joint-full-seed-0" / "last" / "model.json").read_text())
    begun = described["warm_start"]
    assert (begun["source"], begun["parts"]) == ("action-groups", "encoder")
    assert begun["left_out"] == ["head.linear.bias", "head.linear.weight"]
    again = json.loads((run / "again-seed-0" / "last" / "model.json").read_text())
    assert (again["warm_start"]["source"], again["warm_start"]["left_out"]) == ("joint-full", [])
    first, *_ = read_records(run / "again-seed-0" / "epochs.jsonl")
    untouched, *_ = read_records(run / "joint-full-seed-0" / "epochs.jsonl")
    assert first.step == 2  # 60 clips are 4 batches of at most 16, two a step
    assert first.terms["captioning"] is not None
    assert untouched.terms["captioning"] is not None
    assert first.terms["captioning"] < untouched.terms["captioning"]
