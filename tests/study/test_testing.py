from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from taskgrain.config.load import load_study
from taskgrain.study.datasets import SOURCE
from taskgrain.study.folder import RunFolder
from taskgrain.study.inputs import Inputs
from taskgrain.study.subjects import FeaturesKey, SubjectKey
from taskgrain.study.testing import asks_episodes, permuted_plan_of, probe_plan_of, read_subject
from taskgrain.transfer.features import FeatureSet, write_features
from taskgrain.transfer.probes import Standardiser

FEATURES = FeaturesKey("source", "categories", 0)
OWN = SubjectKey(FEATURES, 0)
ADAPTED = SubjectKey(FEATURES, 0, batch_norm="target")


def made(run: Path, *changes: str) -> Inputs:
    study = load_study("smoke", list(changes))
    return Inputs(study, RunFolder(run), {}, None, "cpu", "fp32")


def with_features(run: Path, *changes: str) -> tuple[Inputs, dict[str, FeatureSet]]:
    """Write features (N, 3 steps, 4) of the source, of the target, and with the target's norms."""
    inputs = made(run, *changes)
    generator = np.random.default_rng(0)
    sets: dict[str, FeatureSet] = {}
    for scale, name in enumerate((SOURCE, "kitchenware", "kitchenware.target-norm"), 1):
        values = scale * generator.normal(loc=scale, size=(9, 3, 4)).astype(np.float32)
        sets[name] = FeatureSet(tuple(f"{name}-{n}" for n in range(9)), values, {})
        write_features(inputs.folder.root / "features" / FEATURES.name / f"{name}.npz", sets[name])
    return inputs, sets


@pytest.mark.parametrize("key", [OWN, ADAPTED], ids=["source norms", "target norms"])
def test_the_scale_of_few_shots_is_measured_on_the_source_and_not_on_the_target(
    tmp_path: Path, key: SubjectKey
) -> None:
    inputs, sets = with_features(tmp_path, 'transfer.probes=["logistic-regression", "recurrent"]')
    (target,) = inputs.study.targets
    subject = read_subject(inputs, key, target)
    expected = Standardiser.of(sets[SOURCE].features.mean(axis=1, dtype=np.float64))
    assert np.allclose(subject.standardiser.mean, expected.mean, rtol=1e-6)
    assert np.allclose(subject.standardiser.scale, expected.scale, rtol=1e-6)
    steps = Standardiser.of(sets[SOURCE].features)
    assert subject.step_standardiser is not None
    assert np.array_equal(subject.step_standardiser.mean, steps.mean)
    assert np.array_equal(subject.step_standardiser.scale, steps.scale)
    scored = "kitchenware" if key is OWN else "kitchenware.target-norm"
    assert np.array_equal(subject.features.features, sets[scored].features)


def test_norms_that_have_seen_the_queries_of_a_pooled_episode_are_not_asked(
    tmp_path: Path,
) -> None:
    inputs = made(tmp_path, "transfer.episodes.number=2")
    (target,) = inputs.study.targets
    listed = target.model_copy(update={"few_shot": Path("list.txt")})
    assert asks_episodes(inputs, OWN, target)
    assert asks_episodes(inputs, ADAPTED, target)  # its queries are none of the support clips
    assert asks_episodes(inputs, OWN, listed)
    assert not asks_episodes(inputs, ADAPTED, listed)
    assert not asks_episodes(made(tmp_path), OWN, target)


def test_probes_that_read_steps_are_left_out_where_there_are_none() -> None:
    transfer = load_study(
        "smoke", ['transfer.probes=["recurrent", "logistic-regression"]']
    ).transfer
    assert probe_plan_of(transfer, has_steps=True).probes == ("recurrent", "logistic-regression")
    assert probe_plan_of(transfer, has_steps=False).probes == ("logistic-regression",)


def test_labels_are_permuted_at_the_fewest_shots_where_the_endpoint_takes_all() -> None:
    shots = ['transfer.shots=["all", 5, 2]', 'primary.shots="all"']
    assert permuted_plan_of(load_study("smoke", shots)).shots == (2,)
    assert permuted_plan_of(load_study("smoke", [shots[0], "primary.shots=5"])).shots == (5,)
