"""The cell that scores floors at every source's own task: answers that need no learned encoder.

Chance, the commonest training class, and a linear read-out of motion energy. A source's own score
has to exceed them before its transfer means anything (`taskgrain.learned`). Seeds matter only
where they learn from different clips, or where a source's groups are drawn from them: each then has
floors of its own.

Shapes: N training clips, M validation clips.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from taskgrain.config.settings import Study
from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.data.store import FrameStore
from taskgrain.jobs.executor import Worker
from taskgrain.labels.caption import CaptionForm, is_free
from taskgrain.labels.taxonomy import CATEGORY
from taskgrain.results import ResultRow, write_rows
from taskgrain.study.datasets import SOURCE
from taskgrain.study.head_scores import (
    MAX_TRAINING_CLIPS,
    ReadOut,
    read_out_categories,
    read_out_clips,
)
from taskgrain.study.inputs import Inputs, batches_in_order
from taskgrain.study.learning import task_of
from taskgrain.study.networks import EXTRACT_SECONDS
from taskgrain.study.seed_clips import differ_by_seed
from taskgrain.study.sources import Score, Scored, SourceTask, captions_in
from taskgrain.transfer.extract import motion_energy

FLOOR_SECONDS = 1.0  # a linear read-out of 3,000 clips in 40 classes
Features = Mapping[str, NDArray[np.float32]]  # clip id -> motion energy


def floor_seeds(study: Study) -> tuple[int | None, ...]:
    """List the seeds that have floors of their own; None alone where one is that of all."""
    return study.seeds if differ_by_seed(study.data) else (None,)


def floors_name(seed: int | None) -> str:
    """Name the rows of floors; see `RunFolder.rows`."""
    return "score-floors" if seed is None else f"score-floors-seed-{seed}"


def score_floors(worker: Worker, inputs: Inputs, seed: int | None) -> None:
    """Write the rows of chance, majority and motion energy for every source that learns.

    Args:
        worker: gets the work done.
        inputs: of the study.
        seed: whose clips are learned from and scored; None where all seeds have the same.
    """
    study, store = inputs.study, inputs.datasets[SOURCE].frames()
    manifest = inputs.clips(study.seeds[0] if seed is None else seed).learned
    states = {entry.clip_id: entry.state for entry in store.ledger}
    floors = _Floors(manifest, _motion(worker, inputs, manifest, store))
    rows: list[ResultRow] = []
    for source in study.sources:
        if source.is_frozen:
            continue
        # Groups that are drawn from the seed have floors of the seed, whosever the clips are.
        for own in study.seeds if source.regrouped and seed is None else (seed,):
            drawn_by = study.seeds[0] if own is None else own
            task = task_of(inputs, source.name, manifest, seed=drawn_by)
            records = task.covered(manifest.split(Split.VALIDATION))
            scored = Scored(study.name, source.name, own, records, states)
            rows += scored.rows(floors.of_task(task, records))
        worker.advance(FLOOR_SECONDS)
    write_rows(inputs.folder.rows(floors_name(seed)), rows)


def _motion(worker: Worker, inputs: Inputs, manifest: Manifest, store: FrameStore) -> Features:
    """Measure the motion energy of the validation clips and of enough training clips."""
    wanted = [*read_out_clips(manifest.split(Split.TRAIN)), *manifest.split(Split.VALIDATION)]
    clips = [record.clip_id for record in wanted if record.clip_id in store]
    found: dict[str, NDArray[np.float32]] = {}
    for batch in batches_in_order(inputs, clips, store).batches():
        worker.advance(len(batch.clip_ids) * EXTRACT_SECONDS)
        found.update(zip(batch.clip_ids, motion_energy(batch.video).numpy(), strict=True))
    return found


def floor_seconds(inputs: Inputs) -> float:
    """Estimate what the cell takes on one thread."""
    dataset = inputs.datasets[SOURCE]
    learned = inputs.study.data.draw or dataset.num_training
    training = min(learned, MAX_TRAINING_CLIPS)
    clips = training + dataset.num_clips - dataset.num_training
    return clips * EXTRACT_SECONDS + len(inputs.study.sources) * FLOOR_SECONDS


class _Floors:
    """Scores answers that need no learned encoder."""

    def __init__(self, manifest: Manifest, motion: Features) -> None:
        self._manifest = manifest
        self._motion = motion
        self._read_outs: dict[tuple[str, ...], ReadOut] = {}  # by classes learned and clips scored

    def of_task(self, task: SourceTask, records: Sequence[ClipRecord]) -> list[Score]:
        """Return the floors of each score that a source is judged by.

        A head is judged by top-1. A decoder by whether its caption has the true template, which is
        the category; where captions are free sentences, by exact match.
        """
        scores: list[Score] = []
        if task.level is not None:
            scores += self._of_classes("top-1", task, task.level, records)
        if task.form is not None:
            if all(is_free(record.template, record.caption) for record in records):
                scores += self._of_sentences(task.form, records)
            else:
                scores += self._of_classes("template-accuracy", task, CATEGORY, records)
        return scores

    def _of_classes(
        self, metric: str, task: SourceTask, level: str, records: Sequence[ClipRecord]
    ) -> list[Score]:
        training = task.covered(self._manifest.split(Split.TRAIN))
        class_of = {
            record.clip_id: task.taxonomy.name_of(record.category, level)
            for record in (*training, *records)
        }
        true = [class_of[record.clip_id] for record in records]
        commonest, _ = Counter(class_of[record.clip_id] for record in training).most_common(1)[0]
        num_classes = len({class_of[record.clip_id] for record in training})
        scores = [
            Score(metric=metric, value=1 / num_classes, control="chance"),
            Score(metric=metric, value=self._share(records, true, commonest), control="majority"),
        ]
        known = [record.clip_id for record in training if record.clip_id in self._motion]
        seen = [record.clip_id for record in records if record.clip_id in self._motion]
        if len({class_of[clip] for clip in known}) < 2 or not seen:
            return scores
        read = self._read_out([str(class_of[clip]) for clip in known], known, seen)
        right = sum(
            class_of[clip] == predicted
            for clip, predicted in zip(seen, read.predicted, strict=True)
        )
        return [
            *scores,
            Score(
                probe="linear",
                metric=metric,
                value=right / len(records),
                control="motion-energy",
                chosen=read.chosen,
                chosen_on=read.chosen_on,
            ),
        ]

    def _read_out(
        self, classes: Sequence[str], known: Sequence[str], seen: Sequence[str]
    ) -> ReadOut:
        """Predict the classes of the clips `seen`; sources of equal classes share the answer."""
        key = (*classes, *known, *seen)
        if key not in self._read_outs:
            self._read_outs[key] = read_out_categories(
                np.stack([self._motion[clip] for clip in known]),
                classes,
                np.stack([self._motion[clip] for clip in seen]),
            )
        return self._read_outs[key]

    def _of_sentences(self, form: CaptionForm, records: Sequence[ClipRecord]) -> list[Score]:
        training = self._manifest.split(Split.TRAIN)
        counts = Counter(caption for record in training for caption in captions_in(form, record))
        commonest, _ = counts.most_common(1)[0]
        true = [commonest if commonest in captions_in(form, each) else None for each in records]
        return [
            Score(metric="exact-match", value=1 / len(counts), control="chance"),
            Score(
                metric="exact-match",
                value=self._share(records, true, commonest),
                control="majority",
            ),
        ]

    def _share(
        self, records: Sequence[ClipRecord], true: Sequence[str | None], answer: str | None
    ) -> float:
        """Return the share of clips that one answer is right for; clips that failed are wrong."""
        right = sum(
            each == answer and record.clip_id in self._motion
            for record, each in zip(records, true, strict=True)
        )
        return right / len(records)
