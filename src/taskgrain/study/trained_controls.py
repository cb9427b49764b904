"""The controls that are trained: the target from its support alone, and categories permuted.

*From scratch*: the study's encoder, drawn, with a head of its own, is trained on the clips of a
support draw, which the probes of the sources get too, and answers the scored clips itself. It
shows what the support teaches an encoder that has learned nothing before.

*Random labels*: the study's encoder learns categories that were permuted over the training clips.
It has seen the same clips as often as the sources, and its classes are as large; what it transfers
beyond an untrained one came from the pixels, not from the labels.

Shapes: N scored clips, n of them that could be decoded, K classes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from taskgrain.config.clips import Target
from taskgrain.config.learning import Source
from taskgrain.config.testing import Transfer
from taskgrain.data.dataset import Batch, ClipBatches, Example, Label, Variation
from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.data.store import FrameStore
from taskgrain.errors import ConfigError, RunError, StoppedError, TaxonomyError
from taskgrain.jobs.executor import Facts, Worker
from taskgrain.labels.taxonomy import CATEGORY
from taskgrain.models.build import add_readouts
from taskgrain.models.encoder import UNMEASURED
from taskgrain.models.model import SourceModel
from taskgrain.names import OWN_HEAD
from taskgrain.randomness import derive_seed
from taskgrain.results import Shots
from taskgrain.study.inputs import Inputs, batches_in_order
from taskgrain.study.learning import learn, options_of, watch_of
from taskgrain.study.networks import changes_of, drawn, encoder_from, pass_seconds, shows_changes
from taskgrain.study.sources import SourceTask, source_task
from taskgrain.study.targets import rotates, tasks_of
from taskgrain.train.loop import Splits, train
from taskgrain.train.step import TrainingOptions
from taskgrain.transfer.answers import Answers, Subject
from taskgrain.transfer.evaluate import evaluation_of, placed
from taskgrain.transfer.predictions import write_evaluation
from taskgrain.transfer.task import TargetTask, support_draws

FROM_SCRATCH: Literal["from-scratch"] = "from-scratch"


@dataclass(frozen=True, slots=True)
class ScratchPlan:
    """The support draws that the control is trained on, and for how long."""

    shots: tuple[Shots, ...]
    draws: int  # at most, at each number of shots; the first of those that the sources get
    seed: int  # of the draws
    passes: int  # clips seen by a training, at least

    @property
    def trainings(self) -> int:
        """Number of trainings of one seed on one target."""
        return sum(1 if shots == "all" else self.draws for shots in self.shots)


def scratch_plan_of(transfer: Transfer) -> ScratchPlan:
    """Turn settings into the plan of the control."""
    scratch = transfer.from_scratch
    draws = min(scratch.draws, transfer.draws)
    return ScratchPlan(transfer.shots, draws, transfer.seed, scratch.passes)


def support_of(task: TargetTask, plan: ScratchPlan) -> dict[Shots, NDArray[np.int64]]:
    """Draw the support: for each number of shots int64 (draws, clips), indices into the pool."""
    return {
        shots: support_draws(task, num_shots=shots, num_draws=plan.draws, seed=plan.seed)
        for shots in plan.shots
    }


def scratch_seconds(inputs: Inputs) -> float:
    """Estimate what the trainings of one seed on one target take."""
    plan = scratch_plan_of(inputs.study.transfer)
    return plan.trainings * plan.passes * pass_seconds(inputs, None)


def scratch_name(target: str, seed: int) -> str:
    """Name the file of the answers to a target."""
    return f"{FROM_SCRATCH}-seed-{seed}.{target}"


def learn_from_scratch(worker: Worker, inputs: Inputs, target: Target, seed: int) -> None:
    """Train on each support draw of a target, and write the answers to its scored clips.

    A call that was stopped or killed goes on within the training that it had reached. What the
    trainings leave is removed once their answers are written. Learned and answered are the target's
    categories, not its factors.

    Raises:
        StoppedError: when the run is to stop.
        RunError: naming target, shots, draw and seed, if a loss or gradient is not finite.
    """
    store = inputs.datasets[target.name].frames()
    task = tasks_of(inputs, target, seed if rotates(inputs.study, target) else None)[0]
    plan = scratch_plan_of(inputs.study.transfer)
    name = scratch_name(target.name, seed)
    folder = inputs.folder.scratch(name)
    answers: list[Answers] = []
    for shots, draws in support_of(task, plan).items():
        predicted: list[NDArray[np.int16]] = []
        for number, draw in enumerate(draws):
            training = _Training(task, store, draw, seed, folder / f"{shots}-shots-draw-{number}")
            predicted.append(_learn(worker, inputs, training, plan.passes))
        held = placed(np.stack(predicted), task.is_decoded)
        answers.append(Answers(None, shots, held, chosen=None, chosen_on=None))
    evaluation = evaluation_of(task, answers, subject=Subject(None, seed, OWN_HEAD, FROM_SCRATCH))
    write_evaluation(inputs.folder.predictions(name), evaluation)
    shutil.rmtree(folder)


@dataclass(frozen=True, slots=True, eq=False)
class _Training:
    """One training: on some clips of the support."""

    task: TargetTask
    store: FrameStore
    draw: NDArray[np.int64]  # indices into the pool
    seed: int
    folder: Path

    @property
    def examples(self) -> list[Example]:
        return [
            Example(self.task.support_ids[index], Label(int(self.task.support_labels[index])))
            for index in self.draw
        ]


def _learn(worker: Worker, inputs: Inputs, training: _Training, passes: int) -> NDArray[np.int16]:
    """Train on one draw, and answer the clips that could be decoded: int16 (n,)."""
    task, store, seed = training.task, training.store, training.seed
    varied = Variation(seed, inputs.augmentation, inputs.study.train.balanced)
    batches = ClipBatches(
        store,
        training.examples,
        inputs.sampling,
        batch_size=inputs.study.train.batch_size,
        variation=varied,
    )
    clips = [example.clip_id for example in batches.examples]
    rounds = Rounds(batches, ceil(passes / len(clips)))
    options = scratch_options(inputs, batches, seed)
    # The time planned for the passes, over the steps that there are: whole rounds see some clips
    # more.
    step_seconds = (
        passes * pass_seconds(inputs, None) / ceil(rounds.steps_per_epoch / options.accumulate)
    )
    model = _new_model(inputs, len(task.class_names), seed, clips, store)
    # The loop validates once, at the end of its one epoch. There are no clips for it but the
    # support itself, and nothing is chosen by that score: the last weights answer.
    try:
        result = train(
            model,
            splits=Splits(
                rounds,
                ClipBatches(
                    store, training.examples, inputs.sampling, batch_size=batches.batch_size
                ),
            ),
            options=options,
            folder=training.folder,
            describe={"control": FROM_SCRATCH},
            watch=watch_of(worker, step_seconds),
        )
    except RunError as error:
        where = f"{FROM_SCRATCH} on {task.name}, {training.folder.name}, seed {seed}"
        raise RunError(f"{where}: {error}") from error
    if result.status == "stopped":
        raise StoppedError
    decoded = [clip for clip, has in zip(task.query_ids, task.is_decoded, strict=True) if has]
    return _answer(model, batches_in_order(inputs, decoded, store), torch.device(inputs.device))


class Rounds:
    """Many rounds over few clips as one epoch, which the loop validates and keeps once."""

    def __init__(self, batches: ClipBatches, rounds: int) -> None:
        """Take the batches of a round, and the number of rounds, at least 1."""
        self._batches = batches
        self._rounds = rounds
        self.steps_per_epoch = rounds * batches.steps_per_epoch

    def batches(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """Yield the batches of all rounds, each in an order of its own, from a step on."""
        begun, step = divmod(first_step, self._batches.steps_per_epoch)
        for number in range(begun, self._rounds):
            yield from self._batches.batches(epoch * self._rounds + number, step)
            step = 0


def scratch_options(inputs: Inputs, batches: ClipBatches, seed: int) -> TrainingOptions:
    """Return the options of the control: those of the sources, with all rounds as one epoch."""
    # A head without a decoder: lambda is 1, and no caption could be hidden.
    options = options_of(inputs, 1.0, batches, seed=seed)
    return replace(options, epochs=1, num_steps=None, hidden_captions=0.0, tensorboard=False)


def _new_model(
    inputs: Inputs, num_classes: int, seed: int, clips: Sequence[str], store: FrameStore
) -> SourceModel:
    """Build the study's own encoder with drawn weights, and a head; it sees no source's clip."""
    settings = inputs.study.encoder
    if inputs.encoder_factory is not None:
        encoder = inputs.encoder_factory(seed)
    else:
        shows = shows_changes(settings)
        changes = changes_of(inputs, clips, store) if shows else UNMEASURED
        encoder, _ = encoder_from(drawn(settings), seed, changes=changes)
    return add_readouts(encoder, num_classes=num_classes, vocabulary_size=None, seed=seed)


@torch.inference_mode()
def _answer(model: SourceModel, batches: ClipBatches, device: torch.device) -> NDArray[np.int16]:
    """Answer clips by the head, in float32: int16 (n,) in 0..K-1."""
    # In float32, as features are extracted: the control is answered as exactly as the sources are.
    model.eval()
    answers: list[NDArray[np.int64]] = []
    with torch.autocast(device.type, enabled=False):
        for batch in batches.batches():
            log_probs = model(batch.video.to(device), batch.caption.to(device)).log_probs
            answers.append(log_probs.argmax(dim=1).cpu().numpy())
    return np.concatenate(answers).astype(np.int16)


RANDOM_LABELS = "random-labels"


def train_on_random_labels(worker: Worker, inputs: Inputs, seed: int) -> Facts:
    """Train the study's own encoder on permuted categories; resumes as `train_source` does."""
    task = random_task(inputs.clips(seed).learned, seed)
    return learn(worker, inputs, task, seed=seed, encoder_of=None)


def random_task(manifest: Manifest, seed: int) -> SourceTask:
    """Teach each training clip the category of another; validation clips keep their own.

    So every category keeps its number of clips, and a head that generalises would score chance
    there. No clip is mirrored: the image of a random label is unknown. Each seed has its own
    permutation.

    Raises:
        ConfigError: if there is one category only.
    """
    source = Source.model_validate({"name": RANDOM_LABELS, "classify": CATEGORY})
    try:
        task = source_task(source, manifest)
    except TaxonomyError as error:
        raise ConfigError(
            f"transfer.controls: {RANDOM_LABELS} cannot be learned from {manifest.root}: {error}; "
            "leave it out"
        ) from None
    return replace(task, taught=_permuted(manifest.split(Split.TRAIN), seed))


def _permuted(records: Sequence[ClipRecord], seed: int) -> dict[str, str]:
    order = np.random.default_rng(derive_seed(seed, RANDOM_LABELS)).permutation(len(records))
    return {
        record.clip_id: records[other].category
        for record, other in zip(records, order, strict=True)
    }
