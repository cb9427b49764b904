"""The cells that learn: one encoder a source and seed."""

from __future__ import annotations

from collections.abc import Sequence

from taskgrain.data.dataset import ClipBatches
from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.data.store import FrameStore
from taskgrain.errors import StoppedError
from taskgrain.jobs.executor import Facts, Worker
from taskgrain.losses import LossWeights
from taskgrain.models.build import add_readouts
from taskgrain.predict import ModelDescription
from taskgrain.study.datasets import SOURCE
from taskgrain.study.inputs import Inputs, mirror_images
from taskgrain.study.networks import new_encoder
from taskgrain.study.sources import SourceTask, source_task
from taskgrain.train.loop import Splits, TrainingOptions, Watch, train

PASS_SECONDS = 1 / 190  # a clip forward, backward and in the optimizer; one thread, float32


def task_of(inputs: Inputs, name: str, manifest: Manifest) -> SourceTask:
    """Lay a source of the study over its dataset, as training and scoring need it."""
    return source_task(
        inputs.source(name),
        manifest,
        min_word_count=inputs.study.train.min_word_count,
        mirror=mirror_images(inputs.study),
    )


def train_source(worker: Worker, inputs: Inputs, name: str, seed: int) -> Facts:
    """Train one source with one seed; goes on where an earlier call was stopped or killed.

    Returns:
        "data_share": of this call's seconds, those spent waiting for batches.
    """
    dataset, settings = inputs.datasets[SOURCE], inputs.study.train
    manifest, store = dataset.manifest(), dataset.frames()
    task = task_of(inputs, name, manifest)
    encoder, shape = new_encoder(inputs, name, seed)
    vocabulary = task.vocabulary
    model = add_readouts(
        encoder,
        num_classes=task.num_classes,
        vocabulary_size=None if vocabulary is None else len(vocabulary),
        seed=seed,
    )
    splits = Splits(
        training=_batches(inputs, task, store, manifest.split(Split.TRAIN), seed),
        validation=_batches(inputs, task, store, manifest.split(Split.VALIDATION), None),
    )
    weight = task.classification_weight
    options = TrainingOptions(
        epochs=settings.epochs,
        weights=LossWeights(classification=weight, captioning=1 - weight),
        peak_lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        seed=seed,
        precision=inputs.precision,
        device=inputs.device,
    )
    description = ModelDescription(
        name, seed, shape, task.taxonomy, task.level, task.form, vocabulary, inputs.sampling
    )
    result = train(
        model,
        splits=splits,
        options=options,
        folder=inputs.folder.checkpoint(name, seed),
        describe=description.to_json(),
        watch=_Progress(worker, settings.batch_size * PASS_SECONDS).watch(),
    )
    if result.status == "stopped":
        raise StoppedError
    return {"data_share": round(result.data_seconds / result.seconds, 4)}


class _Progress:
    """Turns the loop's count of steps into the cost done since the last."""

    def __init__(self, worker: Worker, step_seconds: float) -> None:
        self._worker = worker
        self._step_seconds = step_seconds
        self._step = 0

    def watch(self) -> Watch:
        return Watch(progress=self._advance, should_stop=self._worker.stopping)

    def _advance(self, step: int) -> None:
        self._worker.report((step - self._step) * self._step_seconds)
        self._step = step


def evaluation_batches(
    inputs: Inputs, task: SourceTask, store: FrameStore, records: Sequence[ClipRecord]
) -> ClipBatches:
    """Batch the clips that could be decoded, in their order: the centre of each."""
    return _batches(inputs, task, store, records, None)


def _batches(
    inputs: Inputs,
    task: SourceTask,
    store: FrameStore,
    records: Sequence[ClipRecord],
    seed: int | None,
) -> ClipBatches:
    """Batch the clips that could be decoded; in the seed's order, or for evaluation without."""
    usable = [record for record in records if record.clip_id in store]
    return ClipBatches(
        store,
        task.examples(usable),
        inputs.sampling,
        batch_size=inputs.study.train.batch_size,
        seed=seed,
        augmentation=None if seed is None else inputs.augmentation,
    )
