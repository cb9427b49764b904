"""The control that learns nothing of its clips: categories, permuted over the training clips.

An encoder that was trained in this way has seen the same clips as often, and its classes are as
large; what it transfers beyond an untrained one came from the pixels, not from the labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from taskgrain.config.learning import Source
from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.errors import ConfigError, TaxonomyError
from taskgrain.jobs.executor import Facts, Worker
from taskgrain.labels.taxonomy import CATEGORY
from taskgrain.models.seeds import derive_seed
from taskgrain.study.inputs import Inputs
from taskgrain.study.learning import learn
from taskgrain.study.sources import SourceTask, source_task

RANDOM_LABELS = "random-labels"


def train_on_random_labels(worker: Worker, inputs: Inputs, seed: int) -> Facts:
    """Train the study's own encoder on permuted categories; resumes as `train_source` does."""
    task = random_task(inputs.clips(seed).learned, seed)
    return learn(worker, inputs, task, seed=seed, encoder_of=None)


def random_task(manifest: Manifest, seed: int) -> SourceTask:
    """Teach each training clip the category of another; validation clips keep their own.

    So every category keeps its number of clips, and a head that generalises would score chance
    there. No clip is mirrored: the image of a random label is unknown.

    Args:
        manifest: the clips that the seed learns from.
        seed: of the encoder; each seed has its own permutation.

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
