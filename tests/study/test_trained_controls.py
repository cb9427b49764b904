from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from taskgrain.config.load import load_study
from taskgrain.config.testing import Transfer
from taskgrain.data.dataset import ClipBatches, Example, Label, Variation
from taskgrain.data.manifest import Manifest, Split
from taskgrain.data.opening import read_manifest
from taskgrain.errors import ConfigError, StoppedError
from taskgrain.study.datasets import lay_out, prepare_shard, shards
from taskgrain.study.folder import RunFolder
from taskgrain.study.inputs import Inputs
from taskgrain.study.trained_controls import (
    Rounds,
    learn_from_scratch,
    random_task,
    scratch_plan_of,
    support_of,
)
from taskgrain.transfer.answers import Evaluation
from taskgrain.transfer.fitting import NO_ANSWER
from taskgrain.transfer.predictions import read_evaluation
from taskgrain.transfer.task import TargetTask, support_draws
from tests.making import PULL, PUSH, moving_square, row, write_annotations, write_video

FAILED = "21"


class Counting:
    """A worker that is asked to stop after so many reports, and adds their costs up."""

    def __init__(self, after: int | None = None) -> None:
        self.after = after
        self.reports = 0
        self.cost = 0.0

    def report(self, cost: float) -> None:
        self.reports += 1
        self.cost += cost

    def advance(self, cost: float) -> None:
        self.report(cost)
        if self.stopping():
            raise StoppedError

    def stopping(self) -> bool:
        return self.after is not None and self.reports >= self.after


def write_dataset(root: Path, first: int, *, scored: int) -> Path:
    """Write 12 training clips and some to score; dark ones are pushed, bright ones pulled."""
    numbers = range(first, first + 12 + scored)
    rows = [row(str(number), (PUSH, PULL)[number % 2]) for number in numbers]
    write_annotations(root, list(rows[:12]), list(rows[12:]))
    for number in numbers:
        frames = moving_square(5).astype(np.int64) // 3 + 150 * (number % 2) + number % 5
        write_video(root / "videos" / f"{number}.webm", frames.astype(np.uint8))
    return root


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Return two sources of other clips, and a target of which a scored clip is no video."""
    root = tmp_path_factory.mktemp("data")
    sources = [
        write_dataset(root / name, first, scored=4) for name, first in (("a", 100), ("b", 200))
    ]
    target = write_dataset(root / "target", 0, scored=10)
    (target / "videos" / f"{FAILED}.webm").write_bytes(b"no video")
    return sources[0], sources[1], target


def laid_out(source: Path, target: Path, run: Path, *changes: str) -> Inputs:
    targets = f"targets=[{{name='kitchenware', root='{target}', factors=[]}}]"
    study = load_study(
        "smoke",
        [
            *(f"data.root='{source}'", targets, "primary.shots=1", "transfer.draws=4"),
            *('transfer.shots=[1, "all"]', "video.num_frames=4", "train.batch_size=4"),
            *("transfer.from_scratch={draws=2, passes=60}", "train.learning_rate=0.01"),
            *changes,
        ],
    )
    folder = RunFolder(run)
    datasets = lay_out(study, folder)
    for each in datasets.values():
        for number, records, plans in shards(each):
            prepare_shard(Counting(), each, number, records, plans)
    return Inputs(study, folder, datasets, None, "cpu", "fp32")


def learned(inputs: Inputs, worker: Counting | None = None, seed: int = 3) -> Evaluation:
    learn_from_scratch(worker or Counting(), inputs, inputs.study.targets[0], seed)
    return read_evaluation(inputs.folder.predictions(f"from-scratch-seed-{seed}.kitchenware"))


@pytest.mark.slow
def test_what_the_support_teaches_is_answered_by_a_head_of_its_own(
    folders: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    source, _, target = folders
    inputs, worker = laid_out(source, target, tmp_path / "run"), Counting()
    evaluation = learned(inputs, worker)
    subject = evaluation.subject
    said = (subject.source, subject.seed, subject.readout, subject.control)
    assert said == (None, 3, "own-head", "from-scratch")
    assert [(each.probe, each.shots, each.num_draws) for each in evaluation.answers] == [
        (None, 1, 2),
        (None, "all", 1),
    ]
    whole = evaluation.answers[1]
    failed = evaluation.clip_ids.index(FAILED)
    assert (evaluation.failed, len(evaluation.clip_ids)) == (1, 10)
    assert whole.predicted[0, failed] == NO_ANSWER
    assert evaluation.correct(whole)[0].sum() == 9
    assert not list((tmp_path / "run" / "from-scratch").iterdir())
    assert worker.cost == pytest.approx(3 * 60 / 190, rel=0.01)  # as the plan reckons


@pytest.mark.slow
def test_no_clip_of_a_source_is_seen_and_more_draws_leave_the_first_as_they_are(
    folders: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    source, other, target = folders
    first = learned(laid_out(source, target, tmp_path / "a"))
    more = "transfer.from_scratch.draws=3"
    second = learned(laid_out(other, target, tmp_path / "b", more))
    assert second.answers[0].num_draws == 3
    assert np.array_equal(first.answers[0].predicted, second.answers[0].predicted[:2])
    assert np.array_equal(first.answers[1].predicted, second.answers[1].predicted)


@pytest.mark.slow
def test_trainings_that_were_stopped_anywhere_end_with_the_same_answers(
    folders: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    source, _, target = folders
    hard = ("train.learning_rate=0.001", "transfer.shots=[1]", "transfer.from_scratch.passes=20")
    inputs, worker = laid_out(source, target, tmp_path / "run", *hard), Counting()
    learned(inputs, worker)
    path = inputs.folder.predictions("from-scratch-seed-3.kitchenware")
    whole = path.read_bytes()
    for after in (1, 4, worker.reports - 3):
        path.unlink()
        with pytest.raises(StoppedError):
            learned(inputs, Counting(after))
        assert not path.exists()
        learned(inputs)
        assert path.read_bytes() == whole


def test_the_first_of_the_support_draws_are_learned() -> None:
    labels = np.repeat(np.arange(3), 8)
    ids = tuple(map(str, range(24)))
    task = TargetTask("kitchenware", ("a", "b", "c"), ids, labels, ("q",), labels[:1])
    transfer = Transfer.model_validate(
        {"draws": 4, "seed": 9, "shots": (1, 5, "all"), "from_scratch": {"draws": 6, "passes": 7}}
    )
    plan = scratch_plan_of(transfer)
    assert (plan.draws, plan.seed, plan.passes, plan.trainings) == (4, 9, 7, 9)
    fewer = support_of(task, replace(plan, draws=2))
    assert list(fewer) == [1, 5, "all"]
    for shots, draws in fewer.items():
        every = support_draws(task, num_shots=shots, num_draws=50, seed=9)
        assert np.array_equal(draws, every[:2])


@pytest.mark.slow
def test_rounds_are_epochs_one_after_the_other_and_go_on_at_any_step(
    folders: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    source, _, target = folders
    inputs = laid_out(source, target, tmp_path / "run")
    examples = [Example(str(number), Label(number % 2)) for number in range(12)]
    store = inputs.datasets["kitchenware"].frames()
    batches = ClipBatches(store, examples, inputs.sampling, batch_size=5, variation=Variation(0))
    rounds = Rounds(batches, 3)
    assert rounds.steps_per_epoch == 9
    every = list(rounds.batches(1))
    orders = [each.clip_ids for each in every]
    assert orders == [each.clip_ids for epoch in (3, 4, 5) for each in batches.batches(epoch)]
    for step in (0, 1, 3, 8):
        rest = list(rounds.batches(1, step))
        assert [each.clip_ids for each in rest] == orders[step:]
        assert all(torch.equal(a.video, b.video) for a, b in zip(rest, every[step:], strict=True))


def manifest(root: Path, templates: tuple[str, ...] = (PUSH, PUSH, PULL)) -> Manifest:
    train = [row(str(i), templates[i % len(templates)]) for i in range(60)]
    return read_manifest(write_annotations(root, list(train), [row("v", PUSH), row("w", PULL)]))


def targets(found: Manifest, seed: int, split: Split) -> list[int]:
    examples = random_task(found, seed).examples(found.split(split))
    assert all(example.mirrored is None for example in examples)
    return [example.label.target for example in examples]


def test_every_category_keeps_its_size_and_loses_its_clips(tmp_path: Path) -> None:
    found = manifest(tmp_path)
    index = {name: i for i, name in enumerate(found.taxonomy.categories)}
    true = [index[record.category] for record in found.split(Split.TRAIN)]
    drawn = targets(found, 0, Split.TRAIN)
    assert Counter(drawn) == Counter(true)
    agreeing = sum(a == b for a, b in zip(drawn, true, strict=True))
    assert 20 <= agreeing <= 47  # 60 * (4/9 + 1/9) = 33.3 are expected


def test_the_permutation_is_the_seeds_own_and_always_the_same(tmp_path: Path) -> None:
    found = manifest(tmp_path)
    assert targets(found, 1, Split.TRAIN) == targets(found, 1, Split.TRAIN)
    assert targets(found, 1, Split.TRAIN) != targets(found, 2, Split.TRAIN)


def test_validation_clips_keep_their_categories(tmp_path: Path) -> None:
    found = manifest(tmp_path)
    index = {name: i for i, name in enumerate(found.taxonomy.categories)}
    true = [index[record.category] for record in found.split(Split.VALIDATION)]
    assert targets(found, 0, Split.VALIDATION) == true


def test_one_category_alone_cannot_be_permuted(tmp_path: Path) -> None:
    train = [row(str(i), PUSH) for i in range(4)]
    found = read_manifest(write_annotations(tmp_path, list(train), [row("v", PUSH)]))
    with pytest.raises(ConfigError, match=r"transfer\.controls: random-labels"):
        random_task(found, 0)
