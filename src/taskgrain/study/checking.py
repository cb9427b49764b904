"""The cell between decoding and learning: what broke, and whether enough is left to go on."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator

from taskgrain.data.files import write_text
from taskgrain.data.manifest import Manifest, Split
from taskgrain.data.store import FrameStore
from taskgrain.errors import ManifestError
from taskgrain.jobs.executor import Worker
from taskgrain.study.datasets import Dataset
from taskgrain.study.inputs import Inputs
from taskgrain.study.leaks import refuse_leaks
from taskgrain.study.targets import check_target, clips_asked, task_seeds


def check_clips(worker: Worker, inputs: Inputs, datasets: Collection[str]) -> None:
    """Write ledger.jsonl; refuse, before anything is learned, clips that are too few or not new.

    Args:
        worker: that checks.
        inputs: of the study.
        datasets: names of those to check; their frames must have been written.

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
        if inputs.datasets[name].is_held_out:  # the source's own lines say it
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
