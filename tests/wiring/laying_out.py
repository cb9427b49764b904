"""What a study hands to the layers below: every plain argument, by a name of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path

from taskgrain.config.clips import Target
from taskgrain.config.load import study_to_toml
from taskgrain.config.settings import Study
from taskgrain.data.dataset import ClipBatches
from taskgrain.data.files import write_text
from taskgrain.data.store import FrameStore
from taskgrain.jobs.executor import Cell
from taskgrain.models.encoder import ChannelShape
from taskgrain.report.lookup import Lookup
from taskgrain.report.run_folder import RunFolder as StoredRun
from taskgrain.report.run_folder import read_study
from taskgrain.study.alignment_rows import computes_alignment, task_draw_of
from taskgrain.study.datasets import SOURCE, lay_out
from taskgrain.study.examples import example_counts
from taskgrain.study.extracting import seen_of_clips
from taskgrain.study.folder import RunFolder
from taskgrain.study.gather import endpoints, row_plan_of
from taskgrain.study.inputs import Inputs, batches_in_order
from taskgrain.study.learning import options_of, splits_of, task_of
from taskgrain.study.networks import (
    beams_of,
    new_encoder,
    new_model,
    shape_of,
    wanted_network,
    weights_seed,
)
from taskgrain.study.plan import plan_cells
from taskgrain.study.settled import settle
from taskgrain.study.sources import SourceTask
from taskgrain.study.subjects import SubjectKey, subjects
from taskgrain.study.targets import clips_asked, target_tasks
from taskgrain.study.testing import (
    asks_episodes,
    has_permuted_control,
    permuted_plan_of,
    probe_plan_of,
    probed_episodes,
)
from taskgrain.study.trained_controls import scratch_plan_of
from taskgrain.study.warm_start import warm_start_of

Arguments = dict[str, object]
ABSENT = "(absent)"


def plain_arguments(study: Study, run: Path, store: FrameStore) -> Arguments:
    """Lay a study out in a folder and return every plain argument that follows; trains nothing.

    Args:
        study: its settings.
        run: a folder that is not there yet.
        store: frames of the study's own source; drawn clips have none, and are not batched.
    """
    run.mkdir(parents=True)
    folder = RunFolder(run)
    # Without the refusals of a run: the targets of the small study are the source's own clips.
    datasets = lay_out(study, folder)
    precision = settle(study, folder, encoder=None, device="cpu")
    inputs = Inputs(study, folder, datasets, None, "cpu", precision)
    keys = subjects(inputs)
    found = {
        **_datasets(inputs),
        **_encoders(study),
        **_sources(inputs, store),
        **_transfer(study),
        **_features(inputs, keys[0], store),
        "subjects": [f"{key.name} of {key.control} read as {key.read_as}" for key in keys],
        "cells": [_cell(cell) for cell in plan_cells(inputs)],
        "examples": dict(example_counts(study)),
        **_flat("scores.beams", beams_of(study.decoder)),
        "alignment.scenes": study.alignment if computes_alignment(inputs) else None,
        **_flat("rows", row_plan_of(study, datasets[SOURCE].manifest().taxonomy)),
        "report.margin": _reported_margin(study, folder),
    }
    for index, target in enumerate(study.targets):
        found |= _target(inputs, keys, target, f"targets[{index}]")
    for index, endpoint in enumerate(endpoints(study)):
        found |= _flat(f"endpoints[{index}]", endpoint)
    return {
        key: str(value).replace(str(run), "RUN") if isinstance(value, Path) else value
        for key, value in found.items()
    }


def _reported_margin(study: Study, folder: RunFolder) -> float:
    """Read the margin as a report does: from the run's study file."""
    write_text(folder.study, study_to_toml(study))
    return Lookup(StoredRun(read_study(folder.study), rows=())).margin


def _cell(cell: Cell) -> str:
    """Name a cell and what it needs; the results need every other cell."""
    return cell.name if cell.name == "results" else f"{cell.name} after {', '.join(cell.needs)}"


def _begins_with(name: str, begun: tuple[Path, str] | None) -> Arguments:
    checkpoint, parts = begun or (None, None)
    return {f"{name}.checkpoint": checkpoint, f"{name}.parts": parts}


def _flat(name: str, value: object) -> Arguments:
    """Name the fields of a dataclass by their path; the layers of a channel count as one value."""
    if is_dataclass(value) and not isinstance(value, type | ChannelShape):
        return {
            path: inner
            for each in fields(value)
            for path, inner in _flat(f"{name}.{each.name}", getattr(value, each.name)).items()
        }
    return {name: value}


def _datasets(inputs: Inputs) -> Arguments:
    names = [target.name for target in inputs.study.targets]
    found = _flat("data", inputs.datasets[SOURCE])
    for index, name in enumerate(names):
        found |= _flat(f"targets[{index}].data", inputs.datasets[name])
    return found


def _encoders(study: Study) -> Arguments:
    named = {f"encoders.{name}": settings for name, settings in study.encoders.items()}
    found: Arguments = {}
    for name, settings in {"encoder": study.encoder, **named}.items():
        if settings.network == "two-channel":
            found |= _flat(name, shape_of(settings))
        else:  # not opened: its weights are not here
            found |= _flat(name, wanted_network(settings))
    return found


def _sources(inputs: Inputs, store: FrameStore) -> Arguments:
    study, dataset = inputs.study, inputs.datasets[SOURCE]
    seed = study.seeds[0]
    found: Arguments = {}
    if study.encoder.network == "two-channel":
        found |= _flat("random-encoder", new_encoder(inputs, None, seed)[1])
    for index, source in enumerate(study.sources):
        name = f"sources[{index}]"
        task = task_of(inputs, source.name, inputs.clips(seed).learned, seed=seed)
        _, description = new_model(inputs, task, encoder_of=source.name, seed=seed)
        found |= {
            **_flat(f"{name}.encoder", description.shape),
            **_flat(f"{name}.decoder", description.decoder_shape),
            **_flat(f"{name}.sampling", description.sampling),
            **_task(f"{name}.task", task),
            f"{name}.model.source": description.source,
            f"{name}.model.seed": description.seed,
            f"{name}.weights_seed": weights_seed(inputs, source.name, seed),
            **_begins_with(f"{name}.begins_with", warm_start_of(inputs, source.name, seed)),
            f"{name}.checkpoint": inputs.checkpoint(source.name, seed),
        }
        if dataset.world is None:
            splits = splits_of(inputs, task, store, seed=seed)
            assert isinstance(splits.training, ClipBatches)
            options = options_of(inputs, task.classification_weight, splits.training, seed=seed)
            found |= _flat(f"{name}.options", options)
            found |= _batches(f"{name}.training", splits.training)
            found |= _batches(f"{name}.validation", splits.validation)
    return found


def _task(name: str, task: SourceTask) -> Arguments:
    vocabulary = task.vocabulary
    return {
        f"{name}.name": task.name,
        f"{name}.level": task.level,
        f"{name}.form": task.form,
        f"{name}.lambda": task.classification_weight,
        f"{name}.num_classes": task.num_classes,
        f"{name}.levels": {**task.taxonomy.levels},
        f"{name}.mirror": {**task.mirror},
        f"{name}.rule": None if vocabulary is None else vocabulary.rule,
        f"{name}.words": None if vocabulary is None else vocabulary.words,
    }


def _batches(name: str, batches: object) -> Arguments:
    assert isinstance(batches, ClipBatches)
    return {
        f"{name}.clips": [example.clip_id for example in batches.examples],
        f"{name}.batch_size": batches.batch_size,
        **_flat(f"{name}.sampling", batches.sampling),
        **_flat(f"{name}.variation", batches.variation),
    }


def _features(inputs: Inputs, key: SubjectKey, store: FrameStore) -> Arguments:
    first = next(iter(inputs.datasets[SOURCE].manifest().records)).clip_id
    seen = seen_of_clips(inputs.study, key.features)
    found: Arguments = {f"features.header.{name}": value for name, value in seen.items()}
    if first in store:
        found |= _batches("features", batches_in_order(inputs, [first], store))
    return found


def _transfer(study: Study) -> Arguments:
    return {
        **_flat("probes", probe_plan_of(study.transfer, has_steps=True)),
        **_flat("permuted", permuted_plan_of(study)),
        **_flat("from_scratch", scratch_plan_of(study.transfer)),
    }


def _target(inputs: Inputs, keys: list[SubjectKey], target: Target, name: str) -> Arguments:
    study = inputs.study
    clips = clips_asked(study, inputs.datasets[target.name], target, study.seeds[0])
    tasks = target_tasks(target, clips[0], None, clips[1])
    asked = probed_episodes(target, inputs.study.transfer)
    return {
        f"{name}.tasks": [task.name for task in tasks],
        **(_flat(f"{name}.task_draw", task_draw_of(target)) if target.tasks else {}),
        f"{name}.support": len(tasks[0].support_ids),
        f"{name}.scored": len(tasks[0].query_ids),
        f"{name}.episodes.probes": _each(probe for _, probe in asked),
        f"{name}.episodes.ways": _each(plan.num_ways for plan, _ in asked),
        f"{name}.episodes.shots": _each(plan.num_shots for plan, _ in asked),
        f"{name}.episodes.queries": _each(plan.num_queries for plan, _ in asked),
        f"{name}.episodes.number": _each(plan.num_episodes for plan, _ in asked),
        f"{name}.episodes.seed": _each(plan.seed for plan, _ in asked),
        f"{name}.episodes.pooled": _each(plan.pooled for plan, _ in asked),
        f"{name}.asked": [key.name for key in keys if asks_episodes(inputs, key, target)],
        f"{name}.permuted": [
            f"{key.name} on {task.name}"
            for task in tasks
            for key in keys
            if has_permuted_control(inputs, key, target, task.name)
        ],
    }


def _each(values: Iterator[object]) -> list[object]:
    return list(dict.fromkeys(values))


def differing(before: Mapping[str, object], after: Mapping[str, object]) -> Arguments:
    """Return the arguments that differ, with their value afterwards."""
    return {
        key: after.get(key, ABSENT)
        for key in {**before, **after}
        if before.get(key, ABSENT) != after.get(key, ABSENT)
    }
