"""Stopped and resumed; tests/end_to_end/test_kills.py kills the same runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from taskgrain.data.dataset import Batch
from taskgrain.errors import CheckpointError, RunError
from taskgrain.losses import LossWeights
from taskgrain.models.model import SourceModel
from taskgrain.train.log import read_records
from taskgrain.train.loop import Splits, TrainingResult, Watch, train
from taskgrain.train.optim import PlateauRule
from taskgrain.train.step import TrainingOptions
from tests.networks import build_model, compact_shape

STEPS_PER_EPOCH, EPOCHS = 4, 3
OPTIONS = TrainingOptions(
    epochs=EPOCHS,
    weights=LossWeights(classification=0.5, captioning=0.5),
    learning_rate=1e-2,
    weight_decay=0.01,
    seed=5,
    share_every=2,
)

RULE = PlateauRule(factor=0.5, patience=0, least_lr=1e-4)
HOW: dict[str, TrainingOptions] = {
    "usual": OPTIONS,
    "adam-plateau": replace(OPTIONS, optimizer="adam", schedule="plateau", plateau=RULE),
    "sgd-cosine": replace(OPTIONS, optimizer="sgd", schedule="cosine", weight_decay=0.1),
    "sgd-without-momentum": replace(
        OPTIONS, optimizer="sgd", momentum=0.0, schedule="constant", max_gradient_norm=0.0
    ),
    "accumulated": replace(OPTIONS, accumulate=3, epochs=4, share_every=1),
    "ending-early": replace(
        OPTIONS, schedule="constant", early_stopping=1, epochs=9, counts_padding=True
    ),
    "cut-short": replace(OPTIONS, num_steps=STEPS_PER_EPOCH + 3, hidden_captions=0.5),
    "smoothed": replace(OPTIONS, weights=LossWeights(0.5, 0.5, label_smoothing=0.1)),
    "fp16": replace(OPTIONS, precision="fp16", optimizer="sgd", schedule="plateau", plateau=RULE),
}
"""Every optimizer, every schedule, and what else has a state or changes what a step is."""


class TinyBatches:
    """Four clips a step, drawn from (epoch, step) alone."""

    steps_per_epoch = STEPS_PER_EPOCH

    def batches(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        for step in range(first_step, self.steps_per_epoch):
            generator = torch.Generator().manual_seed(1000 * epoch + step)
            shape = (4, 6, 12, 12, 3)
            caption = torch.randint(4, 9, (4, 5), generator=generator)
            caption[:, 0], caption[:, 3], caption[:, 4] = 1, 2, 0
            yield Batch(
                tuple(f"{epoch}-{step}-{row}" for row in range(4)),
                torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator),
                torch.randint(0, 3, (4,), generator=generator),
                caption,
            )


def make_model() -> SourceModel:
    shape = replace(
        compact_shape(spatial_widths=(3, 4), temporal_widths=(3, 4), lstm_width=5),
        feature_width=6,
        dropout=0.5,
    )
    return build_model(shape, num_classes=3, vocabulary_size=9, seed=0)


def run(
    folder: Path, *, options: TrainingOptions = OPTIONS, watch: Watch | None = None
) -> tuple[SourceModel, TrainingResult]:
    torch.set_num_threads(1)
    model = make_model()
    result = train(
        model,
        splits=Splits(TinyBatches(), TinyBatches()),
        options=options,
        folder=folder,
        describe={"format": "test"},
        watch=watch,
    )
    return model, result


class StopAt:
    """Asks to stop when certain steps are done."""

    def __init__(self, *steps: int) -> None:
        self.steps = steps
        self.step = 0

    def watch(self) -> Watch:
        return Watch(progress=self.see, should_stop=lambda: self.step in self.steps)

    def see(self, step: int) -> None:
        self.step = step


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    _, result = run(folder)
    assert result.status == "finished"
    assert (result.step, result.num_steps) == (12, 12)
    return folder


def assert_same_run(left: Path, right: Path) -> None:
    for name in ("best", "last"):
        for file in ("model.safetensors", "model.json"):
            assert (left / name / file).read_bytes() == (right / name / file).read_bytes()
    assert (left / "epochs.jsonl").read_bytes() == (right / "epochs.jsonl").read_bytes()
    for file in ("training.safetensors", "training.json"):
        assert (left / file).read_bytes() == (right / file).read_bytes()


def test_the_same_run_gives_the_same_bits(uninterrupted: Path, tmp_path: Path) -> None:
    torch.manual_seed(99)  # what came before must not matter
    run(tmp_path)
    assert_same_run(uninterrupted, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("stops", [(1,), (4,), (5, 6, 7), (2, 3, 8, 11), tuple(range(1, 12))])
def test_a_run_that_was_stopped_ends_with_the_same_bits(
    uninterrupted: Path, tmp_path: Path, stops: tuple[int, ...]
) -> None:
    for stop in stops:
        _, result = run(tmp_path, watch=StopAt(stop).watch())
        assert (result.status, result.step) == ("stopped", stop)
    _, result = run(tmp_path)
    assert result.status == "finished"
    assert_same_run(uninterrupted, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("how", [how for how in HOW if how != "usual"])
def test_every_way_of_training_resumes_to_the_bit(tmp_path: Path, how: str) -> None:
    options = HOW[how]
    _, whole = run(tmp_path / "whole", options=options)
    assert whole.status == "finished"
    stops = [step for step in (2, 3, 5, 6) if step < whole.step]
    assert len(stops) > 1
    for stop in stops:
        _, result = run(tmp_path / "parts", options=options, watch=StopAt(stop).watch())
        assert (result.status, result.step) == ("stopped", stop)
    _, result = run(tmp_path / "parts", options=options)
    assert (result.status, result.step) == ("finished", whole.step)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_a_run_that_ended_early_is_finished_and_stays_so(tmp_path: Path) -> None:
    options = HOW["ending-early"]
    _, first = run(tmp_path, options=options)
    assert first.status == "finished"
    assert first.best_epoch is not None
    assert first.step == (first.best_epoch + 1) * STEPS_PER_EPOCH < first.num_steps == 36
    before = (tmp_path / "training.json").stat().st_mtime_ns
    _, again = run(tmp_path, options=options)
    assert (again.status, again.step) == ("finished", first.step)
    assert (tmp_path / "training.json").stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_plateau_lowers_the_rate_and_then_ends_training(tmp_path: Path) -> None:
    rule = PlateauRule(factor=0.1, patience=0, least_lr=1e-3)
    options = replace(OPTIONS, schedule="plateau", plateau=rule, epochs=30)
    _, result = run(tmp_path, options=options)
    records = read_records(tmp_path / "epochs.jsonl")
    rates = [record.lr for record in records]
    assert rates == sorted(rates, reverse=True)
    assert sorted(set(rates), reverse=True) == pytest.approx([1e-2, 1e-3])
    assert result.status == "finished"
    assert result.step == len(records) * STEPS_PER_EPOCH < result.num_steps


def test_steps_of_several_batches_are_fewer(tmp_path: Path) -> None:
    _, result = run(tmp_path, options=HOW["accumulated"])
    assert (result.step, result.num_steps) == (8, 8)  # 3 + 1 batches an epoch, 4 epochs
    assert [record.clip_passes for record in read_records(tmp_path / "epochs.jsonl")] == [
        16,
        32,
        48,
        64,
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"plateau": None}, "plateau: found null; expected a table"),
        ({"step": -1}, "step: found -1; expected at least 0"),
        ({"step": 2.5}, "step: found 2.5; expected a whole number"),
        ({"best_score": "high"}, 'best_score: found "high"; expected a number'),
        ({"sums": {"num_clips": 4}}, "sums.classification_nats: is missing"),
        ({"settings": None}, "has no settings"),
    ],
)
def test_a_state_whose_entries_do_not_fit_is_refused_by_name(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    run(tmp_path, watch=StopAt(2).watch())
    path = tmp_path / "training.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=message):
        run(tmp_path)


def test_a_state_that_lacks_an_option_is_one_of_other_settings(tmp_path: Path) -> None:
    run(tmp_path, watch=StopAt(2).watch())
    path = tmp_path / "training.json"
    entries = json.loads(path.read_text())
    del entries["settings"]["hidden_captions"]
    path.write_text(json.dumps(entries))
    with pytest.raises(RunError, match=r"hidden_captions was None, is 0\.0"):
        run(tmp_path)


def test_a_finished_run_is_not_trained_again(uninterrupted: Path) -> None:
    seen: list[int] = []
    before = (uninterrupted / "training.json").stat().st_mtime_ns
    model, result = run(uninterrupted, watch=Watch(progress=seen.append))
    assert (result.status, seen) == ("finished", [12])
    assert result.best_epoch is not None
    assert (uninterrupted / "training.json").stat().st_mtime_ns == before
    assert not same_weights(model, make_model())


def same_weights(left: SourceModel, right: SourceModel) -> bool:
    tensors: dict[str, Tensor] = dict(right.state_dict())
    return all(torch.equal(value, tensors[name]) for name, value in left.state_dict().items())


def test_records_after_the_state_are_dropped(uninterrupted: Path, tmp_path: Path) -> None:
    run(tmp_path, watch=StopAt(4).watch())
    log = tmp_path / "epochs.jsonl"
    lines = (uninterrupted / "epochs.jsonl").read_text().splitlines(keepends=True)
    assert log.read_text() == lines[0]
    log.write_text("".join(lines[:2]) + lines[2][:20])  # killed after logging, before saving
    run(tmp_path)
    assert_same_run(uninterrupted, tmp_path)
    assert [record.step for record in read_records(log)] == [4, 8, 12]


def damage_tensors(folder: Path) -> None:
    path = folder / "training.safetensors"
    path.write_bytes(path.read_bytes()[:-7])


def damage_entries(folder: Path) -> None:
    path = folder / "training.json"
    path.write_text(path.read_text()[:40])


@pytest.mark.slow
@pytest.mark.parametrize("damage", [damage_tensors, damage_entries])
def test_a_damaged_state_is_gone_back_from_loudly(
    uninterrupted: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    for stop in (2, 7):
        run(tmp_path, watch=StopAt(stop).watch())
    damage(tmp_path)
    with pytest.warns(RuntimeWarning, match="not whole; going on from step 4"):
        _, result = run(tmp_path)
    assert result.status == "finished"
    for name in ("best", "last"):
        weights = f"{name}/model.safetensors"
        assert (tmp_path / weights).read_bytes() == (uninterrupted / weights).read_bytes()
    assert (tmp_path / "epochs.jsonl").read_bytes() == (uninterrupted / "epochs.jsonl").read_bytes()


def test_a_run_with_other_settings_is_refused_with_the_difference(tmp_path: Path) -> None:
    run(tmp_path, watch=StopAt(2).watch())
    with pytest.raises(RunError, match=r"learning_rate was 0\.01, is 0\.02\. Choose"):
        run(tmp_path, options=replace(OPTIONS, learning_rate=0.02))


def test_how_often_the_state_is_saved_changes_no_number(
    uninterrupted: Path, tmp_path: Path
) -> None:
    run(tmp_path, options=replace(OPTIONS, save_seconds=0.0))
    assert_same_run(uninterrupted, tmp_path)


def test_a_state_of_another_model_is_refused(tmp_path: Path) -> None:
    run(tmp_path, watch=StopAt(2).watch())
    other = build_model(
        compact_shape(spatial_widths=(3, 4), temporal_widths=(3, 4), lstm_width=5),
        num_classes=3,
        vocabulary_size=9,
        seed=0,
    )
    with pytest.raises(CheckpointError, match=r"weight head\.linear\.weight has shape \(3, 6\)"):
        train(
            other,
            splits=Splits(TinyBatches(), TinyBatches()),
            options=OPTIONS,
            folder=tmp_path,
            describe={},
        )
