"""The training loop: a model, its batches, and a folder from which it resumes to the bit."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch

from taskgrain.data.dataset import Batch
from taskgrain.data.files import write_text
from taskgrain.errors import CheckpointError
from taskgrain.losses import LossSums
from taskgrain.models.model import SourceModel, check_encoder
from taskgrain.models.weights import save_weights
from taskgrain.train.log import EpochRecord, TensorBoardLog, append_record, drop_records_after
from taskgrain.train.memory import kept_memory
from taskgrain.train.optim import Descent, lr_at, make_optimizer, set_lr
from taskgrain.train.precision import make_scaler
from taskgrain.train.state import (
    Position,
    TrainingState,
    capture,
    kept_options,
    load_state,
    refuse_other_settings,
    restore,
    save_state,
)
from taskgrain.train.step import (
    Shares,
    TrainingOptions,
    Validation,
    reproducible,
    train_step,
    validate,
)

LOG, BOARD = "epochs.jsonl", "tensorboard"

# Exact resume: a run that was stopped or killed, however often, ends with the bits of one that was
# not. The idea is that a step is a function of the weights, the optimizer's moments and the step's
# number, and of nothing that only a process remembers:
#
# - The batches of an epoch can begin at any step: their order, and what is varied of a clip, come
#   from (seed, epoch, clip id).
# - Dropout and the captions whose words are hidden come from (seed, step): `train_step` seeds
#   torch's generator anew at every step.
# - The learning rate comes from the step's number (`lr_at`) and from how often a plateau lowered
#   it.
# - All else is stored: the weights with their BatchNorm statistics, the moments, fp16's scale of
#   the loss, and `Position`: counts, the running epoch's sums, the best epoch, the plateau.
#
# The end of an epoch comes in this order: validate, write `last` (and `best`), add the line to the
# log, save the state. A process that is killed in between goes on from the state before, computes
# the same steps again and writes the same files; the line that the state does not know of is
# dropped first (`drop_records_after`). The state itself is replaced as a pair (`train.state`).
#
# What breaks it: a random number from another stream, a count that is kept here and not in
# `Position`, operations without a deterministic form (`reproducible`), another number of threads,
# or a processor with other instructions (`study.settled` refuses to go on there).


class Batches(Protocol):
    """Clips in batches; order and augmentation depend on the seed, epoch and clip alone."""

    steps_per_epoch: int

    def batches(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch (0 is the first), from a step of it on."""


@dataclass(frozen=True, slots=True)
class Splits:
    """The clips to learn from, and those to score each epoch on (always as epoch 0)."""

    training: Batches
    validation: Batches


@dataclass(frozen=True, slots=True)
class Watch:
    """Callbacks of the caller: every step done since the start of the run, and whether to stop."""

    progress: Callable[[int], None] = lambda step: None
    should_stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """How a call of `train` ended."""

    status: Literal["finished", "stopped"]
    step: int  # steps done since the start of the run
    num_steps: int  # of the whole run, were it not ended early
    best_epoch: int | None  # 1 is the first; None before the first validation
    best_score: float | None  # the mean of the source's validation scores in that epoch
    seconds: float  # that this call took
    data_seconds: float  # of those, spent waiting for batches


@dataclass(slots=True)
class _Run:
    """A run of training in memory, shared by the functions below."""

    model: SourceModel
    descent: Descent
    splits: Splits
    options: TrainingOptions
    folder: Path
    describe: Mapping[str, object]
    position: Position
    started: float
    saved: float
    data_seconds: float = 0.0
    board: TensorBoardLog | None = None

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self.splits.training.steps_per_epoch / self.options.accumulate)

    @property
    def num_steps(self) -> int:
        return self.options.num_steps or self.options.epochs * self.steps_per_epoch

    @property
    def is_over(self) -> bool:
        """Whether the last epoch is done; an early end is decided between epochs alone."""
        position, options = self.position, self.options
        if position.step >= self.num_steps:
            return True
        if position.best_epoch is None:
            return False
        epoch = position.step // self.steps_per_epoch  # epochs done
        waited = epoch - position.best_epoch
        if options.early_stopping is not None and waited >= options.early_stopping:
            return True
        lowers = options.schedule == "plateau"
        return lowers and position.plateau.is_over(options.learning_rate, options.plateau)

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
    `best/` and `last/` (model.safetensors and model.json), `epochs.jsonl`, and the state;
    `tensorboard/` where the options have it.

    Args:
        model: as built from its seed; it ends on the device, with the last weights.
        splits: the clips.
        options: how to train.
        folder: of this run alone.
        describe: JSON that goes into every model.json, so that the weights can be used.
        watch: called after every step; when it wants to stop, the state is saved first.

    Raises:
        RunError: if a loss is not finite, or the folder holds a run with other options.
        CheckpointError: if the folder's state is damaged or does not fit the model.
        ConfigError: if TensorBoard is wanted and not installed.
        ValueError: if the encoder does not keep its contract, or the batches theirs.
    """
    watch = watch or Watch()
    with kept_memory(), reproducible(torch.device(options.device)):
        run = _open(model, splits, options, folder, describe)
        if run.position.step:
            watch.progress(run.position.step)
        try:
            return _go_on(run, watch)
        finally:
            if run.board is not None:
                run.board.close()


def _go_on(run: _Run, watch: Watch) -> TrainingResult:
    """Train from where the run stands to its end, or until the watch stops it."""
    while not run.is_over:
        epoch = run.position.step // run.steps_per_epoch
        end = min((epoch + 1) * run.steps_per_epoch, run.num_steps)
        for batches in _groups(run, epoch):
            _train_on(run, batches)
            watch.progress(run.position.step)
            if run.position.step == end:
                continue  # the epoch is over: it is validated before anything is saved
            if watch.should_stop():
                _save(run)
                return run.result("stopped")
            if time.monotonic() - run.saved >= run.options.save_seconds:
                _save(run)
        if run.position.step != end:
            raise ValueError(
                f"epoch {epoch} ended at step {run.position.step}; "
                f"expected {run.steps_per_epoch} steps an epoch, and {end} in all"
            )
        _end_epoch(run, epoch + 1)
        if not run.is_over and watch.should_stop():
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
    device = torch.device(options.device)
    model.to(device).train()
    descent = Descent(
        make_optimizer(
            model,
            weight_decay=options.weight_decay,
            kind=options.optimizer,
            momentum=options.momentum,
        ),
        make_scaler(options.precision, device=device),
    )
    run = _Run(
        model, descent, splits, options, folder, describe, Position(), started=now, saved=now
    )
    state = load_state(folder)
    if state is not None:
        now_set = kept_options(options, run.steps_per_epoch)
        refuse_other_settings(state.entries.get("settings"), now_set, folder)
        run.position = Position.from_json(state.entries, folder)
        restore(model, descent.optimizer, state.tensors)
        _restore_scaler(run, state.entries.get("scaler"))
    drop_records_after(folder / LOG, run.position.step)
    if options.tensorboard and not run.is_over:
        run.board = TensorBoardLog(folder / BOARD, step=run.position.step)
    return run


def _restore_scaler(run: _Run, stored: object) -> None:
    if not run.descent.scaler.is_enabled():
        return
    if not isinstance(stored, dict):
        raise CheckpointError(f"{run.folder}: the training state has no loss scale")
    run.descent.scaler.load_state_dict(stored)


def _groups(run: _Run, epoch: int) -> Iterator[list[Batch]]:
    """Yield the rest of an epoch's batches, those of a step together; time what is waited for."""
    # Where the run ends within the epoch, no batch is read beyond its last step: decoding it would
    # count as waiting for data. Batches that go on longer than they declare are found by `_go_on`.
    first_step = run.position.step % run.steps_per_epoch
    batches = run.splits.training.batches(epoch, first_step * run.options.accumulate)
    group: list[Batch] = []
    is_first = True
    is_cut_short = run.num_steps < (epoch + 1) * run.steps_per_epoch
    while not (is_cut_short and run.position.step == run.num_steps):
        began = time.monotonic()
        batch = next(batches, None)
        run.data_seconds += time.monotonic() - began
        if batch is None:
            break
        if is_first:  # an encoder of the user's own may break its contract; one clip shows it
            check_encoder(run.model.encoder, batch.video[:1].to(run.options.device))
            is_first = False
        group.append(batch)
        if len(group) == run.options.accumulate:
            yield group
            group = []
    if group:
        yield group


def _train_on(run: _Run, batches: list[Batch]) -> None:
    position = run.position
    set_lr(run.descent.optimizer, _lr(run, position.step))
    step_in_epoch = position.step % run.steps_per_epoch
    sums, shares = train_step(
        run.model,
        batches,
        descent=run.descent,
        step=position.step,
        options=run.options,
        measures_shares=step_in_epoch % run.options.share_every == 0,
    )
    position.sums, position.shares = position.sums + sums, position.shares + shares
    position.clip_passes += sum(len(batch.clip_ids) for batch in batches)
    position.step += 1


def _end_epoch(run: _Run, epoch: int) -> None:
    """Score the model, keep it, log the epoch, save the state; in that order (see above)."""
    position, options = run.position, run.options
    validation = validate(
        run.model,
        run.splits.validation.batches(0),
        options=options,
        step=position.step - 1,
    )
    # Of equal epochs the first is kept.
    is_best = position.best_score is None or validation.score > position.best_score
    if is_best:
        position.best_epoch, position.best_score = epoch, validation.score
    record = _record(run, epoch, validation)
    for name in ("last", "best") if is_best else ("last",):
        _keep(run, run.folder / name, record)
    append_record(run.folder / LOG, record)
    if run.board is not None:
        run.board.append(record)
    if options.schedule == "plateau":
        position.plateau = position.plateau.after(validation.score, options.plateau)
    # Before the save: a run that goes on from here begins the next epoch's sums at 0.
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
    """Write the weights of now and their description into a folder."""
    save_weights(run.model, folder / "model.safetensors")
    trained = {"epoch": record.epoch, "step": record.step, "validation": record.validation}
    text = json.dumps({**run.describe, "trained": trained}, indent=1, allow_nan=False)
    write_text(folder / "model.json", text + "\n")


def _save(run: _Run) -> None:
    entries = {
        "settings": kept_options(run.options, run.steps_per_epoch),
        "scaler": run.descent.scaler.state_dict(),
        **run.position.to_json(),
    }
    save_state(run.folder, TrainingState(capture(run.model, run.descent.optimizer), entries))
    run.saved = time.monotonic()


def _lr(run: _Run, step: int) -> float:
    options = run.options
    rate = lr_at(
        step,
        schedule=options.schedule,
        num_steps=run.num_steps,
        learning_rate=options.learning_rate,
    )
    return run.position.plateau.lowered(rate, options.plateau)
