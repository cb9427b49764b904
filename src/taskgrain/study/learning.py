"""The cells that learn: one encoder a source and seed, and how good it is at its own task."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from taskgrain.data.dataset import ClipBatches
from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.data.store import FrameStore
from taskgrain.errors import StoppedError
from taskgrain.jobs.executor import Worker
from taskgrain.labels.taxonomy import ACTION_GROUP, CATEGORY
from taskgrain.labels.template import CaptionParser, words_of
from taskgrain.labels.vocabulary import MAX_TOKENS
from taskgrain.losses import LossWeights
from taskgrain.metrics.accuracy import Accuracy
from taskgrain.metrics.captions import CaptionCounts
from taskgrain.models.build import EncoderShape, add_readouts, build_encoder, compact_shape
from taskgrain.models.model import SourceModel
from taskgrain.predict import ModelDescription, load_model
from taskgrain.results import ResultRow, write_rows
from taskgrain.study.datasets import SOURCE
from taskgrain.study.inputs import Inputs
from taskgrain.study.sources import SourceTask, caption_in, source_task
from taskgrain.train.loop import Splits, TrainingOptions, Watch, train
from taskgrain.train.run_log import EpochRecord, read_records
from taskgrain.train.validate import say

SOURCE_VALIDATION = "source-validation"
PASS_SECONDS = 1 / 190  # a clip forward, backward and in the optimizer; one thread, float32


def new_encoder(inputs: Inputs, seed: int) -> tuple[nn.Module, EncoderShape | None]:
    """Make the untrained encoder of a seed, and the shape that rebuilds it where we can."""
    if inputs.encoder_factory is not None:
        return inputs.encoder_factory(seed), None
    settings = inputs.study.encoder
    shape = compact_shape(
        spatial_widths=settings.spatial_widths,
        temporal_widths=settings.temporal_widths,
        lstm_width=settings.lstm_width,
    )
    return build_encoder(shape, seed), shape


def train_source(worker: Worker, inputs: Inputs, name: str, seed: int) -> None:
    """Train one source with one seed; goes on where an earlier call was stopped or killed."""
    dataset, settings = inputs.datasets[SOURCE], inputs.study.train
    manifest, store = dataset.manifest(), dataset.frames()
    task = source_task(inputs.source(name), manifest)
    encoder, shape = new_encoder(inputs, seed)
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
    )


def score_source(worker: Worker, inputs: Inputs, name: str, seed: int) -> None:
    """Score a trained source on its own validation clips; write the rows."""
    dataset = inputs.datasets[SOURCE]
    manifest, store = dataset.manifest(), dataset.frames()
    task = source_task(inputs.source(name), manifest)
    encoder = None if inputs.encoder_factory is None else new_encoder(inputs, seed)[0]
    model, _ = load_model(inputs.checkpoint(name, seed), encoder=encoder)
    records = manifest.split(Split.VALIDATION)
    scores = _scores(inputs, task, model.to(inputs.device), manifest, store)
    scores += _gains(read_records(inputs.folder.checkpoint(name, seed) / "epochs.jsonl"))
    scores.append((None, "entropy-bits", task.entropy_bits(manifest.split(Split.TRAIN))))
    states = {entry.clip_id: entry.state for entry in store.ledger}
    found = [states.get(record.clip_id, "whole") for record in records]
    write_rows(
        inputs.folder.rows(f"score-{name}-seed-{seed}"),
        [
            ResultRow(
                study=inputs.study.name,
                source=name,
                seed=seed,
                target=SOURCE_VALIDATION,
                probe=probe,
                metric=metric,
                value=value,
                n=len(records),
                failed=found.count("failed"),
                truncated=found.count("truncated"),
            )
            for probe, metric, value in scores
        ],
    )


Score = tuple[str | None, str, float]  # probe, metric, value


@torch.inference_mode()
def _scores(
    inputs: Inputs, task: SourceTask, model: SourceModel, manifest: Manifest, store: FrameStore
) -> list[Score]:
    """Score head and decoder; a clip that could not be decoded is wrong for both."""
    records = manifest.split(Split.VALIDATION)
    record_of = {record.clip_id: record for record in records}
    parser = CaptionParser(sorted({record.template for record in manifest.records}))
    counts = CaptionCounts()
    accuracy: Accuracy | None = None
    in_groups: Accuracy | None = None
    num_decoded = 0
    for batch in _batches(inputs, task, store, records, None).batches():
        features = model.encoder(batch.video.to(inputs.device)).float()
        num_decoded += len(batch.clip_ids)
        if model.head is not None:
            log_probs = model.head(features).cpu()
            seen = Accuracy.of(log_probs, batch.target)
            accuracy = seen if accuracy is None else accuracy + seen
            grouped = _group_accuracy(task, log_probs, batch.target)
            if grouped is not None:
                in_groups = grouped if in_groups is None else in_groups + grouped
        if model.decoder is not None and task.vocabulary is not None and task.form is not None:
            said = [task.vocabulary.decode(t) for t in say(model.decoder, features).tolist()]
            true = [_words(caption_in(task.form, record_of[clip])) for clip in batch.clip_ids]
            counts += CaptionCounts.of(said, true, parse=parser.parse)
    share = num_decoded / len(records)
    return [*_head_scores(accuracy, in_groups, share), *_decoder_scores(counts, share)]


def _words(caption: str) -> str:
    """Cut a caption as `Vocabulary.encode` does: what follows nobody could say."""
    return " ".join(words_of(caption)[: MAX_TOKENS - 1])


def _group_accuracy(
    task: SourceTask, log_probs: torch.Tensor, target: torch.Tensor
) -> Accuracy | None:
    """Score float (B, K) on action groups: the probabilities of a group's categories add up."""
    if task.level != CATEGORY or ACTION_GROUP not in task.taxonomy.levels:
        return None
    index = torch.from_numpy(task.taxonomy.index_of(ACTION_GROUP))  # (K,)
    probs = log_probs.softmax(dim=1)
    num_groups = len(task.taxonomy.names(ACTION_GROUP))
    of_group = torch.zeros(len(probs), num_groups).index_add_(1, index, probs)
    return Accuracy.of(of_group, index[target])


def _head_scores(
    accuracy: Accuracy | None, in_groups: Accuracy | None, share: float
) -> list[Score]:
    scores: list[Score] = []
    if accuracy is not None:
        scores += [
            ("head", "top-1", accuracy.top_1 * share),
            ("head", "top-5", accuracy.top_k * share),
        ]
    if in_groups is not None:
        scores.append(("head", "group-accuracy", in_groups.top_1 * share))
    return scores


def _decoder_scores(counts: CaptionCounts, share: float) -> list[Score]:
    scores: list[Score] = []
    if counts.num_clips:
        scores.append(("decoder", "exact-match", counts.exact_match * share))
    if counts.num_parsed:
        scores.append(("decoder", "template-accuracy", counts.template_accuracy * share))
    if counts.num_objects:
        scores.append(("decoder", "object-accuracy", counts.object_accuracy * share))
    return scores


def _gains(records: Sequence[EpochRecord]) -> list[Score]:
    """Say by how much each of the source's own scores rose in the last epoch."""
    if len(records) < 2:
        return []
    before, last = records[-2].validation, records[-1].validation
    gains: list[Score] = []
    for probe, metric in (("head", "top-1"), ("decoder", "exact-match")):
        now, then = last.get(metric), before.get(metric)
        if now is not None and then is not None:
            gains.append((probe, "gain-last-epoch", now - then))
    return gains
