"""The cell that shows clips: redrawn large where they were drawn, with each model's answers.

The clips are spread evenly over the categories in their order, whatever the models answer:
none is picked for its success or failure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from taskgrain.config.settings import Study
from taskgrain.data.decode import decode_clip, write_webm
from taskgrain.data.files import make_folder, write_text
from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.data.store import FrameStore
from taskgrain.describing import Describer
from taskgrain.jobs.executor import Worker
from taskgrain.study.datasets import SOURCE, Dataset
from taskgrain.study.inputs import Inputs
from taskgrain.study.networks import own_encoder
from taskgrain.study.sources import captions_in
from taskgrain.tabletop.dataset import redraw
from taskgrain.tabletop.scene import Factor

HEIGHT, WIDTH = 240, 320  # pixels
TOP = 3  # classes named of each clip
SOURCE_SHARE = 0.6  # of the examples, the rest are the targets'


def show_examples(worker: Worker, inputs: Inputs) -> None:
    """Write examples/examples.json and a video for each example."""
    folder = inputs.folder.examples
    make_folder(folder)
    describers = _describers(inputs)
    entries = []
    for name, count in example_counts(inputs.study):
        dataset = inputs.datasets[name]
        manifest, store = _shown_clips(inputs, dataset), dataset.frames()
        truth = _factors(dataset)
        for record in _spread(manifest, store, count):
            file = f"{name}-{record.clip_id}.webm"
            frames = store.frames(record.clip_id)
            write_webm(folder / file, _large(record, truth, frames))
            entries.append(
                {
                    "clip": record.clip_id,
                    "dataset": name,
                    "file": file,
                    "category": record.category,
                    "caption": record.caption,
                    "predictions": [
                        _prediction(describer, frames, record if name == SOURCE else None)
                        for describer in describers
                    ],
                }
            )
            worker.advance(0.5)
    write_text(folder / "examples.json", json.dumps(entries, indent=1, ensure_ascii=False) + "\n")


def _shown_clips(inputs: Inputs, dataset: Dataset) -> Manifest:
    """Choose the clips that the models of the first seed may be shown on: they know its classes."""
    first = inputs.clips(inputs.study.seeds[0])
    if dataset.is_held_out:
        return first.novel
    return first.learned if dataset.name == SOURCE else dataset.manifest()


def _describers(inputs: Inputs) -> list[Describer]:
    seed = inputs.study.seeds[0]
    return [
        Describer.from_checkpoint(
            inputs.checkpoint(source.name, seed),
            encoder=own_encoder(inputs, seed),
            device=inputs.device,
            beam_width=inputs.study.decoder.beam_width,
            length_penalty=inputs.study.decoder.length_penalty,
        )
        for source in inputs.study.trained
    ]


def example_counts(study: Study) -> Iterator[tuple[str, int]]:
    """Yield each dataset and its number of examples: most for the source, even for the targets."""
    total = study.examples
    targets = [target.name for target in study.targets]
    each = round(total * (1 - SOURCE_SHARE) / len(targets))
    yield SOURCE, total - each * len(targets)
    for name in targets:
        yield name, each


def _spread(manifest: Manifest, store: FrameStore, count: int) -> list[ClipRecord]:
    """Take the first decoded validation clip of evenly spaced categories."""
    first: dict[str, ClipRecord] = {}
    for record in manifest.split(Split.VALIDATION):
        if record.clip_id in store:
            first.setdefault(record.category, record)
    ordered = [first[category] for category in sorted(first)]
    if not ordered or count < 1:
        return []
    picked = np.unique(np.linspace(0, len(ordered) - 1, count).round().astype(int))
    return [ordered[index] for index in picked]


def _factors(dataset: Dataset) -> Mapping[str, dict[str, Factor]]:
    """Read the whole truth of a drawn dataset, from which its clips can be drawn again."""
    if dataset.world is None:
        return {}
    lines = (dataset.root / "factors.jsonl").read_text(encoding="utf-8").splitlines()
    return {str(row["id"]): row for row in map(json.loads, lines)}


def _large(
    record: ClipRecord, truth: Mapping[str, dict[str, Factor]], stored: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    if record.clip_id in truth:
        return redraw(truth[record.clip_id], width=WIDTH, height=HEIGHT)
    if record.path.exists():
        return decode_clip(record.path, height=HEIGHT, width=WIDTH).frames
    # A packed store came without its videos; the encoder takes even sizes alone.
    return stored[:, : stored.shape[1] // 2 * 2, : stored.shape[2] // 2 * 2]


def _prediction(
    describer: Describer, frames: NDArray[np.uint8], record: ClipRecord | None
) -> dict[str, object]:
    """Describe a clip by one model, beside the truth at the model's own grain for source clips."""
    described = describer.describe([frames], [""], top=TOP)[0]
    classes = described.categories or described.groups or ()
    description = describer.description
    # Only clips of the source have a truth at a model's own grain: targets have other categories.
    truth = true_class = None
    if record is not None and description.form is not None:
        truth = captions_in(description.form, record)[0]
    if record is not None and description.level is not None:
        true_class = description.taxonomy.name_of(record.category, description.level)
    return {
        "source": description.source,
        "seed": description.seed,
        "level": description.level,
        "classes": [{"name": each.name, "probability": each.probability} for each in classes],
        "true_class": true_class,
        "caption": described.caption,
        "truth": truth,
    }
