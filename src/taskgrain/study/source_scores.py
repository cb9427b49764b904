"""The cells that score a source at its own task: the answers of its head and of its decoder.

The metrics by what is read: of the head top-1, top-5, mean-per-class, group-accuracy,
accuracy-at-LEVEL, errors-within-groups, errors-between-groups, contrastive, contrastive-floor,
categories-floor; by a linear probe categories-linear; of the decoder exact-match,
template-accuracy, object-accuracy, noun-accuracy, modifier-accuracy, direction-errors,
length-ratio, bleu-4, rouge-l, cider-d, exact-match-at-FORM, template-ranking,
template-ranking-top-5, template-ranking-with-objects, unknown-rate; gain-last-epoch of both; and
entropy-bits.

Shapes: B clips of a batch, N clips, K classes, T' encoder steps, D width.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taskgrain.checkpoint import load_model
from taskgrain.data.files import write_text
from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.data.store import FrameStore
from taskgrain.familiarity import Familiarity
from taskgrain.jobs.executor import Worker
from taskgrain.labels.taxonomy import CATEGORY
from taskgrain.metrics.accuracy import HeadAnswers
from taskgrain.models.model import SourceModel, encoder_width
from taskgrain.results import write_rows
from taskgrain.study.caption_scores import CaptionScores
from taskgrain.study.datasets import SOURCE
from taskgrain.study.head_scores import (
    HeadScores,
    fit_linear_probe,
    linear_probe_clips,
    mean_features,
)
from taskgrain.study.inputs import Inputs, drawn_once
from taskgrain.study.learning import evaluation_batches, task_of
from taskgrain.study.networks import beams_of, own_encoder
from taskgrain.study.sources import Score, Scored, SourceTask, captions_in
from taskgrain.study.template_ranking import TemplateRanking, ranked_clips, ranking_of
from taskgrain.train.log import EpochRecord, read_records
from taskgrain.train.step import decode_captions

FAMILIAR_CLIPS = 1000  # training clips that show where an encoder's features lie


def scores_name(source: str, seed: int, passes: int | None = None) -> str:
    """Name the rows of a source's own scores; see `RunFolder.rows`."""
    fewer = "" if passes is None else f"-passes-{passes}"
    return f"score-{source}-seed-{seed}{fewer}"


def score_source(
    worker: Worker, inputs: Inputs, name: str, seed: int, passes: int | None = None
) -> None:
    """Score a trained source on its own validation clips.

    Writes the rows; of the training that is tested (passes is None) also
    `captions/NAME-seed-N.json` where it has a decoder (what `taskgrain score` reads) and
    `confusions/NAME-seed-N.csv` where it has a head, and beside its weights how far out the
    features of its own clips lie.
    """
    folder, store = inputs.folder, inputs.datasets[SOURCE].frames()
    manifest = inputs.clips(seed).learned
    task = task_of(inputs, name, manifest, seed=seed)
    checkpoint = inputs.checkpoint(name, seed, passes)
    model, _ = load_model(checkpoint, encoder=own_encoder(inputs, seed))
    own = _OwnClips(worker, inputs, task, manifest, store)
    answers = own.answer(model.to(inputs.device))
    scores: list[Score] = []
    if model.head is not None:
        head = HeadScores(task, answers.of_head(), own.records, own.training)
        scores += head.scores()
        if task.level != CATEGORY:
            scores += own.linear_scores(model, answers)
        if passes is None:
            write_text(folder.confusions(name, seed), head.confusions_csv())
    if model.decoder is not None:
        scores += own.caption_scores(answers)
        if passes is None:
            write_text(folder.captions(name, seed), _captions_json(own.records, answers.captions))
    if passes is None:
        familiarity = own.familiarity(model, answers)
        if familiarity is not None:
            familiarity.write(checkpoint)
    scores += _gains(read_records(checkpoint.parent / "epochs.jsonl"))
    bits = task.entropy_bits(manifest.split(Split.TRAIN))
    scores.append(Score(metric="entropy-bits", value=bits))
    states = {entry.clip_id: entry.state for entry in store.ledger}
    scored = Scored(inputs.study.name, name, seed, own.records, states, passes)
    write_rows(folder.rows(scores_name(name, seed, passes)), scored.rows(scores))


@dataclass(slots=True)
class _Answers:
    """A model's answers to N clips; nothing for those that could not be decoded."""

    target: Tensor  # long (N,), -1 where it does not classify
    log_probs: Tensor  # float (N, K), 0 where there is no answer; K = 0 without a head
    features: NDArray[np.float32]  # (N, D), means over the steps
    captions: list[str]  # "" where there is none
    is_decoded: NDArray[np.bool_]  # (N,)
    ranking: TemplateRanking | None  # None without a decoder or templates

    def of_head(self) -> HeadAnswers:
        return HeadAnswers(self.log_probs, self.target, torch.from_numpy(self.is_decoded))


@dataclass
class _OwnClips:
    """The validation clips that a source covers, and how they are scored."""

    worker: Worker
    inputs: Inputs
    task: SourceTask
    manifest: Manifest
    store: FrameStore

    def __post_init__(self) -> None:
        self.records = self.task.covered(self.manifest.split(Split.VALIDATION))
        self.training = self.task.covered(self.manifest.split(Split.TRAIN))
        covered = {record.clip_id for record in self.records}
        self.ranked = [each for each in ranked_clips(self.manifest) if each.clip_id in covered]

    @torch.inference_mode()
    def answer(self, model: SourceModel) -> _Answers:
        """Look at every clip once: head, captions, templates."""
        task, row_of = self.task, {r.clip_id: row for row, r in enumerate(self.records)}
        beams = beams_of(self.inputs.study.decoder)
        ranked = {record.clip_id for record in self.ranked}
        answers = self._nothing(model)
        for batch in evaluation_batches(self.inputs, task, self.store, self.records).batches():
            self.worker.advance(0.0)  # a point where a run can be stopped; the cost is the cell's
            rows = [row_of[clip] for clip in batch.clip_ids]
            features = model.encoder(batch.video.to(self.inputs.device)).float()  # (B, T', D)
            answers.is_decoded[rows] = True
            if model.head is not None:
                answers.log_probs[rows] = model.head(features).cpu()
            answers.features[rows] = features.mean(dim=1).cpu().numpy()
            if model.decoder is None or task.vocabulary is None:
                continue
            for row, tokens in zip(
                rows, decode_captions(model.decoder, features, beams).tolist(), strict=True
            ):
                answers.captions[row] = task.vocabulary.decode(tokens)
            if answers.ranking is not None:
                chosen = [n for n, clip in enumerate(batch.clip_ids) if clip in ranked]
                some = [self.records[rows[n]] for n in chosen]
                answers.ranking.rank(model.decoder, features[chosen], some)
        return answers

    def _nothing(self, model: SourceModel) -> _Answers:
        """Return the answers before the first clip."""
        # Every record has a wrong answer at first; those that were decoded get the model's own. So
        # a failed clip counts as wrong in every score.
        task, num_clips = self.task, len(self.records)
        examples = task.examples(self.records)
        ranking = None
        if task.form is not None and task.vocabulary is not None and self.ranked:
            ranking = ranking_of(task.form, task.vocabulary, self.manifest)
        return _Answers(
            torch.tensor([example.label.target for example in examples]),
            torch.zeros(num_clips, task.num_classes or 0),
            np.zeros((num_clips, encoder_width(model.encoder)), np.float32),
            [""] * num_clips,
            np.zeros(num_clips, np.bool_),
            ranking,
        )

    def linear_scores(self, model: SourceModel, answers: _Answers) -> list[Score]:
        """Score a linear probe of categories on features that learned groups alone."""
        usable = [r for r in linear_probe_clips(self.training) if r.clip_id in self.store]
        category_of = {record.clip_id: record.category for record in usable}
        if len(set(category_of.values())) < 2:
            return []
        clips, features = self._features_of(model, usable)
        learned = [category_of[clip] for clip in clips]
        linear = fit_linear_probe(features, learned, answers.features)
        is_right = np.array([record.category for record in self.records]) == np.array(
            linear.predicted
        )
        return [
            Score(
                probe="linear",
                metric="categories-linear",
                value=float((is_right & answers.is_decoded).mean()),
                chosen=linear.chosen,
                chosen_on=linear.chosen_on,
            )
        ]

    def familiarity(self, model: SourceModel, answers: _Answers) -> Familiarity | None:
        """Measure how far out the features of own clips lie; None with too few of them."""
        drawn = drawn_once(self.training, FAMILIAR_CLIPS, "familiarity")
        usable = [record for record in drawn if record.clip_id in self.store]
        if not usable:
            return None
        _, learned = self._features_of(model, usable)
        return Familiarity.of(learned, answers.features[answers.is_decoded])

    def _features_of(
        self, model: SourceModel, records: Sequence[ClipRecord]
    ) -> tuple[list[str], NDArray[np.float32]]:
        """Return ids and mean features, (n, D), of clips that were decoded, at least one."""
        clips: list[str] = []
        parts: list[NDArray[np.float32]] = []
        batches = evaluation_batches(self.inputs, self.task, self.store, records).batches()
        for clip_ids, features in mean_features(model.encoder, batches, self.inputs.device):
            self.worker.advance(0.0)
            clips += clip_ids
            parts.append(features)
        return clips, np.concatenate(parts)

    def caption_scores(self, answers: _Answers) -> list[Score]:
        """Score the captions, the ranks of the templates, and the words that are unknown."""
        task = self.task
        assert task.form is not None, "a decoder has a form"
        assert task.vocabulary is not None, "a decoder has a vocabulary"
        of_captions = CaptionScores(task.form, self.manifest, self.records, task.words)
        forms = [each.caption for each in self.inputs.study.sources if each.caption is not None]
        scores = of_captions.of_source(answers.captions, answers.is_decoded.tolist(), forms)
        if answers.ranking is not None:
            scores += answers.ranking.scores(self.ranked)
        first = [captions_in(task.form, record)[0] for record in self.records]
        unknown = task.vocabulary.coverage(first).unknown_rate
        return [*scores, Score(probe="decoder", metric="unknown-rate", value=unknown)]


def _captions_json(records: Sequence[ClipRecord], captions: Sequence[str]) -> str:
    """Write captions as `taskgrain score` reads them, one clip a line."""
    rows = (
        json.dumps({"id": record.clip_id, "caption": caption}, ensure_ascii=False)
        for record, caption in zip(records, captions, strict=True)
    )
    return "[\n" + ",\n".join(rows) + "\n]\n"


def _gains(records: Sequence[EpochRecord]) -> list[Score]:
    """Compute by how much each of the source's own scores rose in the last epoch."""
    if len(records) < 2:
        return []
    before, last = records[-2].validation, records[-1].validation
    gains: list[Score] = []
    for probe, metric in (("head", "top-1"), ("decoder", "exact-match")):
        now, then = last.get(metric), before.get(metric)
        if now is not None and then is not None:
            gains.append(Score(probe=probe, metric="gain-last-epoch", value=now - then))
    return gains
