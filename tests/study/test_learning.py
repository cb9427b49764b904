from __future__ import annotations

import os
import re

import pytest

from taskgrain.config.learning import Train
from taskgrain.config.load import load_study
from taskgrain.errors import ConfigError
from taskgrain.study.learning import check_training
from taskgrain.study.run import usual_workers


def test_the_packaged_studies_can_be_trained() -> None:
    for name in ("smoke", "quick", "granularity", "paper-ssv2", "paper-ssv2-ours"):
        check_training(load_study(name))


def test_balancing_without_classes_names_the_source() -> None:
    check_training(load_study("smoke", ["train.balanced=true"]))  # all of its sources classify
    study = load_study("quick", ["train.balanced=true"])
    with pytest.raises(ConfigError, match=r"train\.balanced: source 'captions-\S+' has no classes"):
        check_training(study)


def test_tensorboard_is_looked_for_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = load_study("smoke", ["train.tensorboard=true"])
    check_training(study)
    monkeypatch.setattr("taskgrain.train.log.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"train\.tensorboard: .* tensorboard is not installed"):
        check_training(study)


def test_a_plateau_needs_room_below_its_rate() -> None:
    with pytest.raises(ConfigError, match=r"begins at 1e-08, not above least_learning_rate, 1e-08"):
        load_study("smoke", ["train.schedule=plateau", "train.learning_rate=1e-8"])
    assert Train(schedule="constant", learning_rate=1e-8).learning_rate == 1e-8


@pytest.mark.parametrize("sooner", ["train.early_stopping=3", "train.schedule=plateau"])
def test_trainings_of_several_passes_all_run_to_their_end(sooner: str) -> None:
    name = re.escape(sooner.removeprefix("train.").split("=")[0])
    with pytest.raises(ConfigError, match=rf"asks for 2 trainings .* {name} may end them sooner"):
        load_study("smoke", ["train.passes=[8, 16]", sooner])
    assert load_study("smoke", ["train.passes=[16]", sooner]).train.passes == (16,)


def test_a_process_a_core_is_for_the_cpu_alone() -> None:
    assert usual_workers("cpu") == (os.cpu_count() or 1)
    assert usual_workers("cuda:1") == 1
    with pytest.raises(ConfigError, match="no device is called 'gpu'"):
        usual_workers("gpu")
