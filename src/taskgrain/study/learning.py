"""The cells that train an encoder for each source and seed."""

from __future__ import annotations

from collections.abc import Sequence

from taskgrain.config.learning import Train
from taskgrain.config.settings import Study
from taskgrain.data.dataset import ClipBatches, Variation
from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.data.store import FrameStore
from taskgrain.errors import ConfigError, RunError, StoppedError
from taskgrain.jobs.executor import Facts, Worker
from taskgrain.losses import LossWeights
from taskgrain.study.datasets import SOURCE
from taskgrain.study.inputs import Inputs, mirror_images
from taskgrain.study.networks import measured_changes, new_model, pass_seconds
from taskgrain.study.sources import SourceTask, source_task
from taskgrain.study.warm_start import begin_with, check_warm_start, warm_start_of
from taskgrain.train.log import require_tensorboard
from taskgrain.train.loop import Splits, Watch, train
from taskgrain.train.optim import PlateauRule, steps_of
from taskgrain.train.step import TrainingOptions


def check_training(study: Study) -> None:
    """Refuse settings of training that could only fail in a later cell.

    Raises:
        ConfigError: naming the setting or the source.
        CheckpointError: if a source is to begin with a checkpoint that does not fit.
    """
    if study.train.tensorboard:
        require_tensorboard()
    for source in study.sources:
        if study.train.balanced and source.classify is None and not source.is_frozen:
            raise ConfigError(
                f"train.balanced: source {source.name!r} has no classes to balance; leave it out "
                "of sources, or set train.balanced = false"
            )
        check_warm_start(study, source)


def task_of(inputs: Inputs, name: str, manifest: Manifest, *, seed: int) -> SourceTask:
    """Apply a source to the clips that a seed learns from, for training and scoring."""
    return source_task(
        inputs.source(name),
        manifest,
        min_word_count=inputs.study.train.min_word_count,
        words=inputs.study.train.words,
        mirror=mirror_images(inputs.study),
        seed=seed,
    )


def train_source(
    worker: Worker, inputs: Inputs, name: str, seed: int, passes: int | None = None
) -> Facts:
    """Train one source with one seed; goes on where an earlier call was stopped or killed.

    `passes` is one of `train.fewer_passes`; None for the training that is tested. Returns and
    raises what `learn` does.
    """
    task = task_of(inputs, name, inputs.clips(seed).learned, seed=seed)
    return learn(worker, inputs, task, seed=seed, encoder_of=name, passes=passes)


def learn(
    worker: Worker,
    inputs: Inputs,
    task: SourceTask,
    *,
    seed: int,
    encoder_of: str | None,
    passes: int | None = None,
) -> Facts:
    """Train an encoder on a task, with the settings of the study; resumes from its own folder.

    Args:
        worker: counts the steps, and knows when to stop.
        inputs: of the study; its source clips are learned from.
        task: what is learned.
        seed: of the weights, of the order of the clips and of what is varied of them.
        encoder_of: source whose encoder is trained, from the weights that this source begins
            with; None for the study's default encoder, from new weights.
        passes: clips to see; None for as many as the training that is tested sees.

    Returns:
        "data_share": of this call's seconds, those spent waiting for batches.

    Raises:
        StoppedError: when the run is to stop; the same call goes on from there.
        CheckpointError: if the weights that the source begins with do not fit.
        RunError: naming source, seed, step and clips, if loss or gradient is not finite.
    """
    dataset, settings = inputs.datasets[SOURCE], inputs.study.train
    changes = measured_changes(inputs, encoder_of, seed=seed)
    model, description = new_model(inputs, task, encoder_of=encoder_of, seed=seed, changes=changes)
    describe = description.to_json()
    begins_with = None if encoder_of is None else warm_start_of(inputs, encoder_of, seed)
    # The description of the encoder is replaced too: weights keep the deviations of the inputs that
    # they were learned with, which were measured on other clips than this seed's.
    if begins_with is not None:
        describe["warm_start"], describe["encoder"] = begin_with(model, description, *begins_with)
    step_seconds = settings.batch_size * settings.accumulate * pass_seconds(inputs, encoder_of)
    splits = splits_of(inputs, task, dataset.frames(), seed=seed)
    assert isinstance(splits.training, ClipBatches), "`splits_of` batches clips"
    try:
        result = train(
            model,
            splits=splits,
            options=options_of(
                inputs, task.classification_weight, splits.training, seed=seed, passes=passes
            ),
            folder=inputs.folder.checkpoint(task.name, seed, passes),
            describe=describe,
            watch=watch_of(worker, step_seconds),
        )
    except RunError as error:
        raise RunError(f"source {task.name!r}, seed {seed}: {error}") from error
    if result.status == "stopped":
        raise StoppedError
    return {"data_share": round(result.data_seconds / result.seconds, 4)}


def splits_of(inputs: Inputs, task: SourceTask, store: FrameStore, *, seed: int) -> Splits:
    """Batch the clips that a task is learned from, and those that it is validated on.

    Those that could not be decoded are left out.
    """
    manifest, settings = inputs.clips(seed).learned, inputs.study.train
    varied = Variation(seed, inputs.augmentation, settings.balanced)
    return Splits(
        training=_batches(inputs, task, store, manifest.split(Split.TRAIN), varied),
        validation=evaluation_batches(inputs, task, store, manifest.split(Split.VALIDATION)),
    )


def options_of(
    inputs: Inputs,
    classification_weight: float,
    training: ClipBatches,
    *,
    seed: int,
    passes: int | None = None,
) -> TrainingOptions:
    """Turn the settings of a study into the options of the loop.

    `classification_weight` is lambda, 0 to 1; the captions have the rest. `passes` are the clips to
    see; None for as many as the training that is tested sees.
    """
    settings = inputs.study.train
    return TrainingOptions(
        epochs=settings.epochs,
        weights=LossWeights(
            classification=classification_weight,
            captioning=1 - classification_weight,
            label_smoothing=settings.label_smoothing,
        ),
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        seed=seed,
        precision=inputs.precision,
        device=inputs.device,
        optimizer=settings.optimizer,
        momentum=settings.momentum,
        schedule=settings.schedule,
        plateau=PlateauRule(
            settings.plateau_factor, settings.plateau_patience, settings.least_learning_rate
        ),
        early_stopping=settings.early_stopping,
        num_steps=_num_steps(settings, training, passes),
        accumulate=settings.accumulate,
        max_gradient_norm=settings.max_gradient_norm,
        counts_padding=settings.padding == "counted",
        hidden_captions=settings.hidden_captions,
        tensorboard=settings.tensorboard,
    )


def _num_steps(settings: Train, training: ClipBatches, passes: int | None) -> int | None:
    """Count the steps of a training; None where its epochs are counted instead."""
    if not settings.passes:
        return None
    return steps_of(
        settings.passes[-1] if passes is None else passes,
        num_clips=len(training.examples),
        num_batches=training.steps_per_epoch,
        accumulate=settings.accumulate,
    )


def watch_of(worker: Worker, step_seconds: float) -> Watch:
    """Return the loop's callbacks: steps become the work done since the last report."""
    reported = 0

    def advance(step: int) -> None:
        nonlocal reported
        worker.report((step - reported) * step_seconds)
        reported = step

    return Watch(progress=advance, should_stop=worker.stopping)


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
    variation: Variation | None,
) -> ClipBatches:
    """Batch the clips that could be decoded; in their order where nothing is varied."""
    # A clip that could not be decoded has no frames to learn from or to answer. Where scores are
    # reported it counts as wrong: `source_scores` begins with wrong answers for all records.
    usable = [record for record in records if record.clip_id in store]
    return ClipBatches(
        store,
        task.examples(usable),
        inputs.sampling,
        batch_size=inputs.study.train.batch_size,
        variation=variation,
    )
