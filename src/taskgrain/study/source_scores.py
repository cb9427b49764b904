"""The cells that score a source at its own task: what its head and its decoder get right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch

from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.data.store import FrameStore
from taskgrain.jobs.executor import Worker
from taskgrain.labels.caption import CaptionForm, is_free, objects_of
from taskgrain.labels.taxonomy import ACTION_GROUP, CATEGORY
from taskgrain.labels.template import CaptionParser, ParsedCaption, strip_brackets, words_of
from taskgrain.labels.vocabulary import MAX_TOKENS
from taskgrain.metrics.accuracy import Accuracy
from taskgrain.metrics.captions import CaptionCounts
from taskgrain.models.model import SourceModel
from taskgrain.predict import load_model
from taskgrain.results import ResultRow, write_rows
from taskgrain.study.datasets import SOURCE
from taskgrain.study.inputs import Inputs
from taskgrain.study.learning import evaluation_batches, task_of
from taskgrain.study.networks import own_encoder
from taskgrain.study.sources import SourceTask, captions_in
from taskgrain.train.run_log import EpochRecord, read_records
from taskgrain.train.validate import say

SOURCE_VALIDATION = "source-validation"


def score_source(worker: Worker, inputs: Inputs, name: str, seed: int) -> None:
    """Score a trained source on its own validation clips; write the rows."""
    dataset = inputs.datasets[SOURCE]
    manifest, store = dataset.manifest(), dataset.frames()
    task = task_of(inputs, name, manifest)
    model, _ = load_model(inputs.checkpoint(name, seed), encoder=own_encoder(inputs, seed))
    records = task.covered(manifest.split(Split.VALIDATION))
    scores = _scores(inputs, task, model.to(inputs.device), manifest, store)
    scores += _vocabulary_scores(task, records)
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
    records = task.covered(manifest.split(Split.VALIDATION))
    record_of = {record.clip_id: record for record in records}
    truth = None if task.form is None else SpokenTruth(task.form, manifest)
    counts = CaptionCounts()
    accuracy: Accuracy | None = None
    in_groups: Accuracy | None = None
    num_decoded = 0
    for batch in evaluation_batches(inputs, task, store, records).batches():
        features = model.encoder(batch.video.to(inputs.device)).float()
        num_decoded += len(batch.clip_ids)
        if model.head is not None:
            log_probs = model.head(features).cpu()
            seen = Accuracy.of(log_probs, batch.target)
            accuracy = seen if accuracy is None else accuracy + seen
            grouped = _group_accuracy(task, log_probs, batch.target)
            if grouped is not None:
                in_groups = grouped if in_groups is None else in_groups + grouped
        if model.decoder is not None and task.vocabulary is not None and truth is not None:
            said = [task.vocabulary.decode(t) for t in say(model.decoder, features).tolist()]
            counts += truth.count(said, [record_of[clip] for clip in batch.clip_ids])
    share = num_decoded / len(records)
    return [*_head_scores(accuracy, in_groups, share), *_decoder_scores(counts, share)]


def _vocabulary_scores(task: SourceTask, records: Sequence[ClipRecord]) -> list[Score]:
    """Say which share of the words to be said the decoder has never read."""
    if task.vocabulary is None or task.form is None:
        return []
    captions = [captions_in(task.form, record)[0] for record in records]
    return [("decoder", "unknown-rate", task.vocabulary.coverage(captions).unknown_rate)]


class SpokenTruth:
    """What a decoder should have said of clips, cut where it must stop (`Vocabulary.encode`).

    The true template and objects are those of the annotation; only what was said is parsed.
    """

    def __init__(self, form: CaptionForm, manifest: Manifest) -> None:
        """Learn the templates of a dataset, whose captions are said in a form."""
        self._form: CaptionForm = form
        training = Counter(self._template(record) for record in manifest.split(Split.TRAIN))
        self._parser = CaptionParser(
            [self._template(record) for record in manifest.records],
            counts=training,
            max_words=MAX_TOKENS - 1,
            one_word_each=self._form != "full",
        )

    def count(self, said: Sequence[str], records: Sequence[ClipRecord]) -> CaptionCounts:
        """Count what was said of some clips, one caption each."""
        true = [
            " ".join(words_of(captions_in(self._form, r)[0])[: MAX_TOKENS - 1]) for r in records
        ]
        meant = [self._meaning(record) for record in records]
        return CaptionCounts.of(said, true, parse=self._parser.parse, meant=meant)

    def _template(self, record: ClipRecord) -> str:
        """Give a clip's template; in captions without objects its brackets are words."""
        return strip_brackets(record.template) if self._form == "template" else record.template

    def _meaning(self, record: ClipRecord) -> ParsedCaption | None:
        """Say what a clip's caption means; None for a free sentence, which is parsed."""
        if is_free(record.template, record.caption):
            return None
        objects = objects_of(record.placeholders, self._form)
        return self._parser.meaning(self._template(record), objects)


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
