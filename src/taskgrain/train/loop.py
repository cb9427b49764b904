"""The training loop: a model, its batches, and a folder from which it resumes to the bit."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch.optim import AdamW

from taskgrain.data.batch import Batch
from taskgrain.data.files import write_text
from taskgrain.errors import CheckpointError, RunError
from taskgrain.losses import LossSums, LossWeights
from taskgrain.models.model import SourceModel, check_encoder
from taskgrain.models.weights import save_weights
from taskgrain.train.checkpoint import TrainingState, capture, load_state, restore, save_state
from taskgrain.train.memory import kept_memory
from taskgrain.train.optimizer import make_optimizer, one_cycle_lr, set_lr
from taskgrain.train.position import Position
from taskgrain.train.precision import Precision
from taskgrain.train.run_log import EpochRecord, append_record, drop_records_after
from taskgrain.train.step import Shares, StepOptions, reproducible, train_step
from taskgrain.train.validate import Validation, validate

LOG = "epochs.jsonl"


class Batches(Protocol):
    """Clips in batches; order and augmentation depend on the seed, epoch and clip alone."""

    steps_per_epoch: int

    def batches(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """Give the batches of an epoch (0 is the first), from a step of it on."""


@dataclass(frozen=True, slots=True)
class Splits:
    """The clips to learn from, and those to score each epoch on (always as epoch 0)."""

    training: Batches
    validation: Batches


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How to train; all but `save_seconds` belongs to what a result came from."""

    epochs: int
    weights: LossWeights
    peak_lr: float
    weight_decay: float
    seed: int  # of dropout; weights and clips have their own
    precision: Precision = "fp32"
    device: str = "cpu"
    max_gradient_norm: float = 1.0
    share_every: int = 25  # steps from one measurement of the gradient shares to the next
    save_seconds: float = 300.0  # at most this much work is lost when the process is killed


@dataclass(frozen=True, slots=True)
class Watch:
    """Who looks on: told of every step done since the start of the run, and asked to stop."""

    progress: Callable[[int], None] = lambda step: None
    should_stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """How a call of `train` ended."""

    status: Literal["finished", "stopped"]
    step: int  # steps done since the start of the run
    num_steps: int  # of the whole run
    best_epoch: int | None  # 1 is the first; None before the first validation
    best_score: float | None  # the mean of the source's validation scores in that epoch
    seconds: float  # that this call took
    data_seconds: float  # of those, spent waiting for batches


@dataclass(slots=True)
class _Run:
    """What the functions below share."""

    model: SourceModel
    optimizer: AdamW
    splits: Splits
    options: TrainingOptions
    folder: Path
    describe: Mapping[str, object]
    position: Position
    started: float
    saved: float
    data_seconds: float = 0.0

    @property
    def num_steps(self) -> int:
        return self.options.epochs * self.splits.training.steps_per_epoch

    def result(self, status: Literal["finished", "stopped"]) -> TrainingResult:
        return TrainingResult(
            status=status,
            step=self.position.step,
            num_steps=self.num_steps,
            best_epoch=self.position.best_epoch,
            best_score=self.position.best_score,
            seconds=time.monotonic() - self.started,
            data_seconds=self.data_seconds,
        )


def train(
    model: SourceModel,
    *,
    splits: Splits,
    options: TrainingOptions,
    folder: Path,
    describe: Mapping[str, object],
    watch: Watch | None = None,
) -> TrainingResult:
    """Train a model, or go on where the folder's state stands.

    However often a run is stopped or killed, its weights end with the same bits. The folder gets
    `best/` and `last/` (model.safetensors and model.json), `epochs.jsonl`, and the state.

    Args:
        model: as built from its seed; it ends on the device, with the last weights.
        splits: the clips.
        options: how to train.
        folder: of this run alone.
        describe: JSON that goes into every model.json, so that the weights can be used.
        watch: told of the steps; when it asks to stop, the state is saved first.

    Raises:
        RunError: if a loss is not finite, or the folder holds a run with other options.
        CheckpointError: if the folder's state is damaged or does not fit the model.
        ValueError: if the encoder does not keep its contract, or the batches theirs.
    """
    watch = watch or Watch()
    with kept_memory(), reproducible(torch.device(options.device)):
        run = _open(model, splits, options, folder, describe)
        if run.position.step:
            watch.progress(run.position.step)
        steps_per_epoch = splits.training.steps_per_epoch
        while run.position.step < run.num_steps:
            epoch = run.position.step // steps_per_epoch
            for batch in _timed(run, epoch):
                _train_on(run, batch)
                watch.progress(run.position.step)
                if run.position.step % steps_per_epoch == 0:
                    continue  # the epoch is over: it is validated before anything is saved
                if watch.should_stop():
                    _save(run)
                    return run.result("stopped")
                if time.monotonic() - run.saved >= options.save_seconds:
                    _save(run)
            if run.position.step != (epoch + 1) * steps_per_epoch:
                raise ValueError(
                    f"epoch {epoch} ended at step {run.position.step}; "
                    f"expected {steps_per_epoch} steps an epoch"
                )
            _end_epoch(run, epoch + 1)
            if run.position.step < run.num_steps and watch.should_stop():
                return run.result("stopped")
        return run.result("finished")


def _open(
    model: SourceModel,
    splits: Splits,
    options: TrainingOptions,
    folder: Path,
    describe: Mapping[str, object],
) -> _Run:
    """Prepare a run, from the folder's state where there is one."""
    now = time.monotonic()
    model.to(torch.device(options.device)).train()
    optimizer = make_optimizer(model, weight_decay=options.weight_decay)
    run = _Run(
        model, optimizer, splits, options, folder, describe, Position(), started=now, saved=now
    )
    state = load_state(folder)
    if state is not None:
        _refuse_other_settings(run, state.entries)
        run.position = Position.from_json(state.entries, folder)
        restore(model, optimizer, state.tensors)
    drop_records_after(folder / LOG, run.position.step)
    return run


def _timed(run: _Run, epoch: int) -> Iterator[Batch]:
    """Give the rest of an epoch's batches, and count the time that they are waited for."""
    first_step = run.position.step % run.splits.training.steps_per_epoch
    batches = run.splits.training.batches(epoch, first_step)
    is_first = True
    while True:
        asked = time.monotonic()
        batch = next(batches, None)
        run.data_seconds += time.monotonic() - asked
        if batch is None:
            return
        if is_first:
            check_encoder(run.model.encoder, batch.video[:1].to(run.options.device))
            is_first = False
        yield batch


def _train_on(run: _Run, batch: Batch) -> None:
    position, options = run.position, run.options
    set_lr(run.optimizer, _lr(run, position.step))
    step_in_epoch = position.step % run.splits.training.steps_per_epoch
    sums, shares = train_step(
        run.model,
        batch,
        optimizer=run.optimizer,
        step=position.step,
        options=StepOptions(
            options.weights,
            options.seed,
            options.max_gradient_norm,
            torch.device(options.device),
            options.precision,
        ),
        measures_shares=step_in_epoch % options.share_every == 0,
    )
    position.sums, position.shares = position.sums + sums, position.shares + shares
    position.clip_passes += len(batch.clip_ids)
    position.step += 1


def _end_epoch(run: _Run, epoch: int) -> None:
    """Score the model, keep it, log the epoch, save the state; in that order (see `train`)."""
    position, options = run.position, run.options
    validation = validate(
        run.model,
        run.splits.validation.batches(0),
        weights=options.weights,
        device=torch.device(options.device),
        precision=options.precision,
    )
    # Of equal epochs the first is kept.
    is_best = position.best_score is None or validation.score > position.best_score
    if is_best:
        position.best_epoch, position.best_score = epoch, validation.score
    record = _record(run, epoch, validation)
    for name in ("last", "best") if is_best else ("last",):
        _keep(run, run.folder / name, record)
    append_record(run.folder / LOG, record)
    position.sums, position.shares = LossSums(), Shares()
    _save(run)


def _record(run: _Run, epoch: int, validation: Validation) -> EpochRecord:
    position, weights, shares = run.position, run.options.weights, run.position.shares
    measured = shares.num_measured
    return EpochRecord(
        epoch=epoch,
        step=position.step,
        clip_passes=position.clip_passes,
        lr=_lr(run, position.step - 1),
        terms=_terms(position.sums),
        shares={
            "classification": shares.classification / measured
            if measured and weights.classification > 0
            else None,
            "captioning": shares.captioning / measured
            if measured and weights.captioning > 0
            else None,
        },
        validation={"top-1": validation.top_1, "exact-match": validation.exact_match},
        validation_terms=_terms(validation.sums),
    )


def _terms(sums: LossSums) -> dict[str, float | None]:
    return {"classification": sums.classification, "captioning": sums.captioning}


def _keep(run: _Run, folder: Path, record: EpochRecord) -> None:
    """Write the model as it is now; a file, so that later steps cannot change it."""
    save_weights(run.model, folder / "model.safetensors")
    trained = {"epoch": record.epoch, "step": record.step, "validation": record.validation}
    text = json.dumps({**run.describe, "trained": trained}, indent=1, allow_nan=False)
    write_text(folder / "model.json", text + "\n")


def _save(run: _Run) -> None:
    entries = {"settings": _settings(run), **run.position.to_json()}
    save_state(run.folder, TrainingState(capture(run.model, run.optimizer), entries))
    run.saved = time.monotonic()


def _lr(run: _Run, step: int) -> float:
    return one_cycle_lr(step, num_steps=run.num_steps, peak_lr=run.options.peak_lr)


def _settings(run: _Run) -> dict[str, object]:
    """What must not change while a run is resumed."""
    options = asdict(run.options)
    del options["save_seconds"]
    options["device"] = torch.device(run.options.device).type
    return {**options, "steps_per_epoch": run.splits.training.steps_per_epoch}


def _refuse_other_settings(run: _Run, entries: Mapping[str, object]) -> None:
    stored, now = entries.get("settings"), _settings(run)
    if not isinstance(stored, dict):
        raise CheckpointError(f"{run.folder}: the training state does not say its settings")
    differences = [
        f"{key} was {stored.get(key)!r}, is {now.get(key)!r}"
        for key in sorted({*stored, *now})
        if stored.get(key) != now.get(key)
    ]
    if differences:
        raise RunError(
            f"{run.folder}: this training was begun with other settings: "
            f"{'; '.join(differences)}. Choose another folder, or the old settings"
        )
