"""The cells that train an encoder for each source and seed, and the weights that it begins with.

A source may begin with the weights of an earlier source, or of any checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from taskgrain.config.learning import Source, Train
from taskgrain.config.settings import Study
from taskgrain.data.dataset import ClipBatches, Variation
from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.data.store import FrameStore
from taskgrain.errors import CheckpointError, ConfigError, RunError, StoppedError, nearest
from taskgrain.jobs.executor import Facts, Worker
from taskgrain.losses import LossWeights
from taskgrain.models.model import SourceModel
from taskgrain.models.weights import load_part, load_weights
from taskgrain.predict import ModelDescription
from taskgrain.study.datasets import SOURCE
from taskgrain.study.inputs import Inputs, mirror_images
from taskgrain.study.networks import measured_changes, new_model, pass_seconds, shape_of
from taskgrain.study.sources import SourceTask, source_task
from taskgrain.train.log import require_tensorboard
from taskgrain.train.loop import Splits, Watch, train
from taskgrain.train.optim import PlateauRule, steps_of
from taskgrain.train.step import TrainingOptions
from taskgrain.transfer.features import file_sha256


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


def warm_start_source(inputs: Inputs, name: str) -> str | None:
    """Name the earlier source whose checkpoint of the same seed a source begins with, or None."""
    warm_start = inputs.source(name).warm_start
    return warm_start if warm_start is not None and is_source_name(warm_start) else None


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

    Args:
        worker: gets the work done, and knows when to stop.
        inputs: of the study.
        name: of the source.
        seed: of its weights and clips.
        passes: one of `train.fewer_passes`; None for the training that is tested.

    Returns:
        "data_share": of this call's seconds, those spent waiting for batches.
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
        worker: gets the work done, and knows when to stop.
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
            watch=StepProgress(worker, step_seconds).watch(),
        )
    except RunError as error:
        raise RunError(f"source {task.name!r}, seed {seed}: {error}") from error
    if result.status == "stopped":
        raise StoppedError
    return {"data_share": round(result.data_seconds / result.seconds, 4)}


def warm_start_of(
    inputs: Inputs, name: str, seed: int
) -> tuple[Path, Literal["encoder", "all"]] | None:
    """Find the checkpoint folder that a source begins with, and which of its weights are taken.

    Returns:
        None for a source that begins with newly drawn weights.
    """
    source = inputs.source(name)
    if source.warm_start is None:
        return None
    earlier = warm_start_source(inputs, name)
    folder = Path(source.warm_start) if earlier is None else inputs.checkpoint(earlier, seed)
    return folder, source.warm_start_parts


def splits_of(inputs: Inputs, task: SourceTask, store: FrameStore, *, seed: int) -> Splits:
    """Batch the clips that a task is learned from, and those that it is validated on.

    Args:
        inputs: of the study.
        task: what is learned.
        store: frames of the source's clips; those that could not be decoded are left out.
        seed: of the training clips, of their order and of what is varied of them.
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

    Args:
        inputs: of the study.
        classification_weight: lambda; the rest is that of the captions.
        training: the clips that are learned from.
        seed: of dropout.
        passes: clips to see; None for as many as the training that is tested sees.
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


class StepProgress:
    """Turns the loop's count of steps into the work done since the last report."""

    def __init__(self, worker: Worker, step_seconds: float) -> None:
        self._worker = worker
        self._step_seconds = step_seconds
        self._step = 0

    def watch(self) -> Watch:
        """Return the callbacks for the loop."""
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
    variation: Variation | None,
) -> ClipBatches:
    """Batch the clips that could be decoded; in their order where nothing is varied."""
    usable = [record for record in records if record.clip_id in store]
    return ClipBatches(
        store,
        task.examples(usable),
        inputs.sampling,
        batch_size=inputs.study.train.batch_size,
        variation=variation,
    )


IGNORED_KEYS = ("dropout", "centred_deviation", "difference_deviation")
"""Keys in which two descriptions of an encoder may differ while the weights still fit: dropout has
no weights, and the deviations were measured on clips."""
MODEL, WEIGHTS, ENCODER = "model.json", "model.safetensors", "encoder."


def is_source_name(warm_start: str) -> bool:
    """Whether a warm start names a source of the study; a folder is written with a slash."""
    return "/" not in warm_start and "\\" not in warm_start


def begin_with(
    model: SourceModel,
    description: ModelDescription,
    checkpoint: Path,
    parts: Literal["encoder", "all"],
) -> tuple[dict[str, object], object]:
    """Load into a new model the weights of a checkpoint: those of its encoder, or all of them.

    What is taken fits wholly, or the model stays as it was.

    Args:
        model: with the weights of its seed, which head and decoder keep where the encoder's
            alone are taken.
        description: of the model.
        checkpoint: folder with model.json and model.safetensors.
        parts: "all" wants the same classes and the same words, in the same order.

    Returns:
        The entry of model.json (whose weights, their digest, and the names of those left out), and
        the encoder's description, with the input statistics of the checkpoint, not of this study.

    Raises:
        CheckpointError: naming the first thing that does not fit.
    """
    held, path = ModelDescription.read(checkpoint / MODEL), checkpoint / WEIGHTS
    refuse_other_encoder(held, description.to_json()["encoder"], checkpoint)
    left_out: Sequence[str] = ()
    if parts == "all":
        _refuse_other_labels(held, description, checkpoint)
        load_weights(model, path)
    else:
        left_out = load_part(model.encoder, path, ENCODER)
    origin = {
        "source": held.source,
        "seed": held.seed,
        "parts": parts,
        "weights_sha256": file_sha256(path),
        "left_out": list(left_out),
    }
    return origin, _with_inputs_of(held.to_json()["encoder"], description.to_json()["encoder"])


def _with_inputs_of(held: object, own: object) -> object:
    """Return the description of an encoder with the pixels of the one whose weights it took."""
    if not isinstance(held, dict) or not isinstance(own, dict) or "pixels" not in held:
        return own
    return {**own, "pixels": held["pixels"]}


def check_warm_start(study: Study, source: Source) -> None:
    """Refuse a warm start that could only fail when training begins.

    Raises:
        ConfigError: naming the source, and what it cannot begin with.
        CheckpointError: if the folder it begins with holds no checkpoint, or another encoder's.
    """
    if source.warm_start is None:
        return
    where = f"source {source.name!r}: warm_start = {source.warm_start!r}"
    if source.is_frozen:
        raise ConfigError(f"{where}, but nothing is learned; leave it out")
    if not is_source_name(source.warm_start):
        folder = Path(source.warm_start)
        held = ModelDescription.read(folder / MODEL)
        if not (folder / WEIGHTS).is_file():
            raise CheckpointError(f"{folder / WEIGHTS}: no such file")
        settings = study.encoder_of(source)
        if settings.network == "two-channel":
            refuse_other_encoder(held, shape_of(settings).to_json(), folder)
        return
    known = [other.name for other in study.sources]
    if source.warm_start not in known:
        raise ConfigError(
            f"{where} is no source of this study{nearest(source.warm_start, known)}; "
            "a folder is written with a slash, as ./NAME"
        )
    _check_earlier(study, source, study.sources[known.index(source.warm_start)], where)


def _check_earlier(study: Study, source: Source, earlier: Source, where: str) -> None:
    """Compare a source with the earlier source of the study whose weights it wants."""
    if earlier.is_frozen:
        raise ConfigError(f"{where} learns nothing, and has no checkpoint")
    if study.encoder_of(source) != study.encoder_of(earlier):
        raise ConfigError(f"{where} has another encoder; give both the same")
    if source.warm_start_parts == "all" and (source.classify, source.caption) != (
        earlier.classify,
        earlier.caption,
    ):
        raise ConfigError(
            f"{where} learns another task, so head and decoder do not fit; set warm_start_parts = "
            '"encoder"'
        )


def refuse_other_encoder(held: ModelDescription, wanted: object, folder: Path) -> None:
    """Compare encoders as model.json describes them, `IGNORED_KEYS` apart.

    Strides and pooling have no weights that would show a difference. A user's own
    encoder, described by None, is compared by its weights alone.

    Raises:
        CheckpointError: naming the first entry that differs.
    """
    found = held.to_json()["encoder"]
    if found is None or wanted is None:
        return
    difference = _difference(found, wanted, "encoder")
    if difference is not None:
        raise CheckpointError(f"{folder / MODEL}: is of another encoder: {difference}")


def _refuse_other_labels(
    held: ModelDescription, description: ModelDescription, folder: Path
) -> None:
    """Compare the classes of the heads and the words of the decoders.

    Raises:
        CheckpointError: naming the first class, word or other entry that differs.
    """
    found, wanted = _labels(held), _labels(description)
    difference = _difference(found, wanted, "")
    if difference is not None:
        raise CheckpointError(
            f"{folder / MODEL}: {difference}; begin with the encoder alone, or with a checkpoint "
            "of the same classes and words"
        )


def _labels(description: ModelDescription) -> dict[str, object]:
    """Return the classes and words that the outputs of head and decoder stand for."""
    level, vocabulary = description.level, description.vocabulary
    return {
        "level": level,
        "class": [] if level is None else list(description.taxonomy.names(level)),
        "caption": description.form,
        "words": None if vocabulary is None else vocabulary.rule,
        "word": [] if vocabulary is None else list(vocabulary.words),
    }


def _difference(found: object, wanted: object, where: str) -> str | None:
    """Phrase the first difference of two pieces of JSON; None where there is none."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        keys = [key for key in {**found, **wanted} if key not in IGNORED_KEYS]
        pairs = [(found.get(key), wanted.get(key), f"{where}.{key}".strip(".")) for key in keys]
    elif isinstance(found, list | tuple) and isinstance(wanted, list | tuple):
        joined = enumerate(zip(found, wanted, strict=False))
        pairs = [(one, other, f"{where} {index}") for index, (one, other) in joined]
        pairs.append((len(found), len(wanted), f"{where} (number of them)"))
    else:
        return None if found == wanted else f"{where} is {found!r}; expected {wanted!r}"
    found_ones = (_difference(*pair) for pair in pairs)
    return next((each for each in found_ones if each is not None), None)
