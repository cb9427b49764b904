"""What is refused before anything is learned.

- `lay_out_study`: settings and annotations that could only fail in a later cell.
- `check_clips`: the cell between decoding and learning, which lists what broke.
- `check_bf16`: a CPU that computes a convolution of the study wrong in bf16. `train.precision`
  describes what goes wrong. The comparison runs in its own process, which may crash.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Collection, Iterator
from functools import partial
from multiprocessing.connection import Connection
from typing import Literal

import torch
from torch import nn

from taskgrain.config.learning import Source
from taskgrain.config.settings import Study
from taskgrain.data.files import write_text
from taskgrain.data.manifest import Manifest, Split
from taskgrain.data.store import FrameStore
from taskgrain.errors import ConfigError, ManifestError, RunError, TaxonomyError, nearest
from taskgrain.jobs.executor import Worker
from taskgrain.jobs.starting import explain_death, starting_workers
from taskgrain.labels.symmetry import check_mirror_table
from taskgrain.study.datasets import SOURCE, Dataset, lay_out
from taskgrain.study.folder import RunFolder
from taskgrain.study.inputs import Inputs, mirror_images
from taskgrain.study.leaks import refuse_leaks
from taskgrain.study.learning import check_training
from taskgrain.study.networks import check_networks, new_encoder
from taskgrain.study.seed_clips import differ_by_seed, seed_clips
from taskgrain.study.sources import source_task
from taskgrain.study.targets import check_target, clips_asked, refuse_seen, task_seeds
from taskgrain.train.memory import kept_memory
from taskgrain.train.precision import LARGEST_ERROR, convolution_calls, gradient_errors
from taskgrain.transfer.extract import FLAT_CONTROLS
from taskgrain.transfer.probes import PROBES


def lay_out_study(study: Study, folder: RunFolder) -> dict[str, Dataset]:
    """Find the datasets, and refuse before the first cell what could only fail in a later one.

    Raises:
        TaskgrainError: if annotations, levels, factors or numbers of clips do not fit the study.
    """
    check_networks(study)
    check_training(study)
    datasets = lay_out(study, folder)
    refuse_leaks(study, datasets)
    refuse_seen(study, datasets)
    manifest = datasets[SOURCE].manifest()
    _check_mirror_table(study, manifest)
    # Every seed: one may hold out the categories, or fail to draw the clips, that another has.
    for seed in study.seeds if differ_by_seed(study.data) else study.seeds[:1]:
        learned = seed_clips(study.data, manifest, seed).learned
        for source in study.sources:
            _check_source(source, learned, study)
        _check_mirroring(study, learned)
    _check_probes(study)
    for target in study.targets:
        for seed_asked in task_seeds(study, target):
            clips, strata = clips_asked(study, datasets[target.name], target, seed_asked)
            check_target(target, clips, None, study.transfer, strata)
    return datasets


def _check_source(source: Source, manifest: Manifest, study: Study) -> None:
    """Refuse a source that this dataset cannot teach, by a ConfigError that says what it lacks."""
    try:
        task = source_task(
            source,
            manifest,
            min_word_count=study.train.min_word_count,
            words=study.train.words,
        )
    except TaxonomyError as error:
        raise ConfigError(
            f"source {source.name!r} cannot be learned from {manifest.root}: {error}; leave it "
            "out of sources"
        ) from None
    for split in (Split.TRAIN, Split.VALIDATION):
        if not task.covered(manifest.split(split)):
            raise ConfigError(
                f"source {source.name!r} cannot be learned from {manifest.root}: no {split} clip "
                f"has a name at level {source.classify!r}; leave it out of sources"
            )
    if task.vocabulary is not None and not task.vocabulary.words:
        raise ConfigError(
            f"source {source.name!r}: no word of the training captions comes "
            f"{study.train.min_word_count} times; lower train.min_word_count"
        )


def _check_probes(study: Study) -> None:
    """Reject controls that none of the probes could read."""
    flat = [name for name in FLAT_CONTROLS if name in study.transfer.controls]
    if flat and all(PROBES[name]().reads_steps for name in study.transfer.probes):
        raise ConfigError(
            f"transfer.probes: {', '.join(study.transfer.probes)} read the steps of a clip, which "
            f"the control {flat[0]!r} has not; add a probe as nearest-mean, or leave it out of "
            "transfer.controls"
        )


def _check_mirror_table(study: Study, manifest: Manifest) -> None:
    """Reject an invalid mirror table, and one with names that are no category of the dataset."""
    known = manifest.taxonomy.categories
    check_mirror_table(study.data.mirror, where="data.mirror")
    for name in study.data.mirror:
        if name not in known:
            raise ConfigError(
                f"data.mirror: {name!r} is no category of {manifest.root}{nearest(name, known)}"
            )


def _check_mirroring(study: Study, manifest: Manifest) -> None:
    """Refuse mirroring that could never happen."""
    images = mirror_images(study)
    if images is None:
        return
    training = manifest.split(Split.TRAIN)
    tasks = (source_task(source, manifest, mirror=images) for source in study.trained)
    if not any(example.mirrored for task in tasks for example in task.examples(training)):
        raise ConfigError(
            f"augment.mirror is {study.augment.mirror:g}, but no training clip of {manifest.root} "
            "has a mirror image that is known (its category in data.mirror, as "
            '"Wave left" = "Wave right", "Nod" = "Nod"; its captions with words of direction '
            "that can be exchanged); set augment.mirror = 0, or name the images"
        )


def check_clips(worker: Worker, inputs: Inputs, datasets: Collection[str]) -> None:
    """Write ledger.jsonl; refuse, before anything is learned, clips that are too few or not new.

    The frames of the named datasets must have been written.

    Raises:
        ManifestError: if no clip of a split could be decoded.
        ConfigError: if a target's class has fewer usable clips than a number of shots, or a target
            of the user's own has a clip that is drawn for the encoders to learn from, or reversed.
    """
    if len({dataset.world is None for dataset in inputs.datasets.values()}) > 1:
        refuse_leaks(inputs.study, inputs.datasets)  # again: drawn clips had no files before
    lines: list[str] = []
    opened = {
        name: (dataset.manifest(), dataset.frames())
        for name, dataset in inputs.datasets.items()
        if name in datasets
    }
    for name, (manifest, store) in opened.items():
        if inputs.datasets[name].is_held_out:  # the source's own lines list its clips
            continue
        lines += ledger_lines(name, manifest, store)
        _refuse_empty_splits(inputs.datasets[name], manifest, store)
    study = inputs.study
    for target in study.targets:
        if target.name not in opened:
            continue
        dataset, (_, store) = inputs.datasets[target.name], opened[target.name]
        for seed in task_seeds(study, target):
            manifest, strata = clips_asked(study, dataset, target, seed)
            check_target(target, manifest, store, study.transfer, strata)
    write_text(inputs.folder.ledger, "".join(f"{line}\n" for line in lines))


def ledger_lines(name: str, manifest: Manifest, store: FrameStore) -> Iterator[str]:
    """Report of each clip of a dataset what was wrong with its file, as lines of JSON."""
    split_of = {record.clip_id: str(record.split) for record in manifest.records}
    for entry in store.ledger:
        if entry.clip_id not in split_of:  # packed with the clips that a few-shot list left out
            continue
        line = {
            "clip": entry.clip_id,
            "dataset": name,
            "split": split_of[entry.clip_id],
            "state": entry.state,
            "problem": entry.problem,
        }
        yield json.dumps(line, ensure_ascii=False)


def _refuse_empty_splits(dataset: Dataset, manifest: Manifest, store: FrameStore) -> None:
    for split in (Split.TRAIN, Split.VALIDATION):
        records = manifest.split(split)
        if not any(record.clip_id in store for record in records):
            problem = f": {store.ledger[0].problem}" if store.ledger else ""
            raise ManifestError(
                f"{dataset.root}: none of the {len(records)} {split} clips could be decoded"
                f"{problem}; expected video files in {dataset.root / 'videos'}"
            )


News = tuple[Literal["tries", "is wrong"], str] | None  # None: every layer was sound


def check_bf16(inputs: Inputs) -> None:
    """Compare each convolution's weight gradient in bf16 with float32's, at its real shape.

    Does nothing unless the study trains in bf16 on a CPU.

    Raises:
        ConfigError: naming the source, the layer, its error and what to set instead.
    """
    if inputs.precision != "bf16" or torch.device(inputs.device).type != "cpu":
        return
    for name in _trained_encoders(inputs):
        fault = layer_fault(partial(_make_encoder, inputs, name), _video_shape(inputs))
        if fault is not None:
            raise ConfigError(
                f'train.precision is "bf16", but this processor cannot train the encoder of '
                f"{'the study' if name is None else f'source {name!r}'} in it: {fault}; "
                'set train.precision = "fp32"'
            )


def layer_fault(make_encoder: Callable[[], nn.Module], video_shape: tuple[int, ...]) -> str | None:
    """Find the first layer that bf16 trains wrong here, in a process of its own.

    Args:
        make_encoder: of an importable module.
        video_shape: (B, T, H, W, 3) of a training batch.

    Returns:
        The layer and what is wrong with it; None if every layer is sound.

    Raises:
        RunError: if the process died before it tried a layer.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_try_layers, args=(theirs, make_encoder, video_shape))
    tried: str | None = None
    with starting_workers():
        process.start()
        # While our copy of their end is open, `recv` would wait for ever after a crash. A layer is
        # named before it is tried, so that a crash is that of the last name.
        theirs.close()
        try:
            while True:
                news: News = ours.recv()
                if news is None:
                    return None
                kind, tried = news
                if kind == "is wrong":
                    return tried
        except EOFError:
            process.join()
            if tried is None:
                raise RunError(explain_death([process.exitcode], None)) from None
            return f"the process ended with {process.exitcode} while it tried {tried}"
        finally:
            process.join()


def _try_layers(
    news: Connection, make_encoder: Callable[[], nn.Module], video_shape: tuple[int, ...]
) -> None:
    """Send the name of each layer before it is tried, and the first that is wrong."""
    torch.set_num_threads(1)  # as in a worker
    with news, kept_memory():
        video = torch.randint(0, 256, video_shape, dtype=torch.uint8)
        for call in convolution_calls(make_encoder().train(), video):
            news.send(("tries", str(call)))
            worst = max(gradient_errors(call))
            if not worst <= LARGEST_ERROR:
                fault = f"{call}: the weight gradient is {worst:.2g} times float32's away from it"
                news.send(("is wrong", f"{fault} (at most {LARGEST_ERROR:g} is sound)"))
                return
        news.send(None)


def _trained_encoders(inputs: Inputs) -> list[str | None]:
    """Name a source for each distinct encoder that is trained; None for the study's own."""
    study = inputs.study
    of_settings: dict[str, str | None] = {}
    for source in study.trained:
        of_settings.setdefault(study.encoder_of(source).model_dump_json(), source.name)
    if {"random-labels", "from-scratch"} & {*study.transfer.controls}:
        of_settings.setdefault(study.encoder.model_dump_json(), None)
    return list(of_settings.values())


def _make_encoder(inputs: Inputs, name: str | None) -> nn.Module:
    return new_encoder(inputs, name, inputs.study.seeds[0])[0]


def _video_shape(inputs: Inputs) -> tuple[int, ...]:
    study = inputs.study
    video = study.video
    return study.train.batch_size, video.num_frames, video.height, video.width, 3
