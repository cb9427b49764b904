"""How often a source's head is right, beside a linear probe and beside floors.

A source that learned groups alone cannot name categories: a linear probe of categories shows how
much its frozen features know of them.

Floors are answers that need no learned encoder: chance, the commonest training class, and a linear
probe of motion energy. A source's own score has to exceed them before its transfer means
anything (`taskgrain.learned`). Seeds have floors of their own where they learn from different
clips, or where a source's groups are drawn from the seed.

Shapes: B clips of a batch, N training and M scored clips, T' encoder steps, D width, K classes.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from taskgrain.config.settings import Study
from taskgrain.data.dataset import Batch
from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.data.store import FrameStore
from taskgrain.jobs.executor import Worker
from taskgrain.labels.caption import CaptionForm, is_free
from taskgrain.labels.ssv2 import CONTRASTIVE_GROUPS
from taskgrain.labels.taxonomy import ACTION_GROUP, CATEGORY
from taskgrain.metrics.accuracy import (
    HeadAnswers,
    IntArray,
    coarser_levels,
    commonest_of,
    confusions,
    contrastive_accuracy,
    group_errors,
    present_groups,
)
from taskgrain.results import ResultRow, write_rows
from taskgrain.statistics.tests import proportion_interval
from taskgrain.study.datasets import SOURCE
from taskgrain.study.inputs import Inputs, batches_in_order, drawn_once
from taskgrain.study.learning import task_of
from taskgrain.study.networks import EXTRACT_SECONDS
from taskgrain.study.seed_clips import differ_by_seed
from taskgrain.study.sources import Score, Scored, SourceTask, captions_in
from taskgrain.transfer.extract import motion_energy
from taskgrain.transfer.probes import LOGISTIC_C, Standardiser
from taskgrain.transfer.probes.probe import FIXED


class HeadScores:
    """Scores a head's answers; the training clips show how frequent each category is."""

    def __init__(
        self,
        task: SourceTask,
        answers: HeadAnswers,
        records: Sequence[ClipRecord],
        training: Sequence[ClipRecord],
    ) -> None:
        """Take the answers of clips in the order of their records."""
        assert task.level is not None, "a head has the classes of a level"
        self._task = task
        self._level = task.level
        self._answers = answers
        self._records = records
        taxonomy = task.taxonomy
        counts = Counter(record.category for record in training)
        self._counts: IntArray = np.array([counts[each] for each in taxonomy.categories], np.int64)
        self._category = np.array([taxonomy.category_index(r.category) for r in records], np.int64)

    def scores(self) -> list[Score]:
        """Score the head at every level that it can answer, the linear probe excepted."""
        accuracy = self._answers.accuracy
        first = proportion_interval(sum(accuracy.num_right), sum(accuracy.num_seen))
        scores = [
            replace(_score("top-1", first.value), interval=first),
            _score("top-5", accuracy.top_k),
            _score("mean-per-class", accuracy.mean_per_class),
            *self._coarser(),
        ]
        return scores + (self._of_categories() if self._level == CATEGORY else [self._floor()])

    def confusions_csv(self) -> str:
        """Count true and predicted classes, as CSV; "" is predicted of a clip that failed."""
        names = (*self._task.taxonomy.names(self._level), "")  # -1 is the last
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("true", "predicted", "count"))
        for (true, predicted), count in confusions(self._answers).items():
            writer.writerow((names[true], names[predicted], count))
        return text.getvalue()

    def _coarser(self) -> list[Score]:
        """Score every coarser level: the probabilities of a name's classes add up."""
        taxonomy, scores = self._task.taxonomy, []
        for level, index in coarser_levels(taxonomy, self._level).items():
            covered = index[self._answers.target.numpy()] >= 0  # (N,)
            clips = [record for record, kept in zip(self._records, covered, strict=True) if kept]
            at_level = self._answers.at(index, len(taxonomy.names(level)))
            name = "group-accuracy" if level == ACTION_GROUP else f"accuracy-at-{level}"
            scores.append(_score(name, at_level.accuracy.top_1, clips))
        return scores

    def _of_categories(self) -> list[Score]:
        """Compute the scores that only a head of categories has."""
        taxonomy, answers, scores = self._task.taxonomy, self._answers, []
        if ACTION_GROUP in taxonomy.levels:
            errors = group_errors(answers, taxonomy.index_of(ACTION_GROUP))
            scores += [
                _score("errors-within-groups", errors.within),
                _score("errors-between-groups", errors.between),
            ]
        names = [group.classes for group in CONTRASTIVE_GROUPS]
        groups = present_groups(names, taxonomy.categories)
        contrasted = {index for group in groups for merged in group for index in merged}
        of_group = zip(self._records, self._category, strict=True)
        clips = [record for record, index in of_group if int(index) in contrasted]
        guess = self._most_frequent()
        scores += [
            _score("contrastive", contrastive_accuracy(answers, groups), clips),
            _score("contrastive-floor", contrastive_accuracy(guess, groups), clips),
        ]
        return scores

    def _most_frequent(self) -> HeadAnswers:
        """Answer as if the most frequent training category were always the likeliest."""
        # The counts themselves serve as scores: restricted to a group, its commonest category wins.
        scores = torch.from_numpy(self._counts).double().expand(len(self._records), -1)
        everyone = torch.ones(len(self._records), dtype=torch.bool)
        return HeadAnswers(scores, self._answers.target, everyone)

    def _floor(self) -> Score:
        """Answer the most frequent training category of the predicted class (authors' code)."""
        classes = self._task.taxonomy.index_of(self._level)
        commonest = commonest_of(classes, self._counts, self._answers.num_classes)
        predicted = self._answers.predicted.numpy()
        # A clip that failed has -1, which indexes the last class: it is wrong, whatever that is.
        is_right = (commonest[predicted] == self._category) & (predicted >= 0)
        return _score("categories-floor", float(is_right.mean()))


def _score(name: str, value: float, clips: Sequence[ClipRecord] | None = None) -> Score:
    return Score(probe="head", metric=name, value=value, clips=clips)


MAX_TRAINING_CLIPS = 20_000  # of D = 1024: 82 MB in float32
MAX_STEPS = 200


def linear_probe_clips(records: Sequence[ClipRecord]) -> list[ClipRecord]:
    """Choose the training clips that the linear probe is fitted on: up to 20,000, drawn once."""
    return drawn_once(records, MAX_TRAINING_CLIPS, "linear-read-out")


@torch.inference_mode()
def mean_features(
    encoder: nn.Module, batches: Iterable[Batch], device: str
) -> Iterator[tuple[tuple[str, ...], NDArray[np.float32]]]:
    """Yield the clip ids of each batch with float32 (B, D), the mean over an encoder's steps."""
    for batch in batches:
        features = encoder(batch.video.to(device)).float()  # (B, T', D)
        yield batch.clip_ids, features.mean(dim=1).cpu().numpy()


@dataclass(frozen=True, slots=True)
class LinearAnswers:
    """The categories that the linear probe predicts, and how it was fitted."""

    predicted: tuple[str, ...]  # the category of each clip
    chosen: str  # its hyper-parameter
    chosen_on: str


def fit_linear_probe(
    training: NDArray[np.float32], categories: Sequence[str], scored: NDArray[np.float32]
) -> LinearAnswers:
    """Fit a logistic regression on all categories at once, and predict those of other clips.

    It minimises what the transfer layer's does, with the C fixed there, but in float32 and with at
    most 200 steps of L-BFGS: 174 categories on 20,000 clips are a minute's work so, and the exact
    minimum is hours away.

    Args:
        training: float32 (N, D), standardised by their own mean and deviation.
        categories: of the training clips, two or more among them.
        scored: float32 (M, D).
    """
    standardise = Standardiser.of(training)
    names, index = np.unique(np.array(categories), return_inverse=True)
    features = torch.from_numpy(standardise(training)).float()
    weight, bias = _fitted(features, torch.from_numpy(index.astype(np.int64)), len(names))
    logits = torch.from_numpy(standardise(scored)).float() @ weight.T + bias  # (M, K)
    predicted = names[logits.argmax(dim=1).numpy()]
    return LinearAnswers(tuple(predicted.tolist()), f"C={LOGISTIC_C:g}", FIXED)


def _fitted(features: Tensor, target: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Minimise |w|^2 / 2 + C * (sum of the cross-entropies, nats), divided by C * N.

    Returns weights float (K, D) and intercepts float (K,), which are not penalised.
    """
    # From zero, and all clips in every step: nothing is drawn, equal features have equal answers.
    weight = torch.zeros(num_classes, features.shape[1], requires_grad=True)
    bias = torch.zeros(num_classes, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=MAX_STEPS, history_size=20, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        penalty = weight.square().sum() / (2 * LOGISTIC_C * len(features))
        loss = F.cross_entropy(features @ weight.T + bias, target) + penalty
        loss.backward()
        return loss

    optimizer.step(objective)
    return weight.detach(), bias.detach()


FLOOR_SECONDS = 1.0  # a linear probe of 3,000 clips in 40 classes
Features = Mapping[str, NDArray[np.float32]]  # clip id -> motion energy


def floor_seeds(study: Study) -> tuple[int | None, ...]:
    """List the seeds that have floors of their own; None alone where all seeds share them."""
    return study.seeds if differ_by_seed(study.data) else (None,)


def floors_name(seed: int | None) -> str:
    """Name the rows of floors; see `RunFolder.rows`."""
    return "score-floors" if seed is None else f"score-floors-seed-{seed}"


def score_floors(worker: Worker, inputs: Inputs, seed: int | None) -> None:
    """Write the rows of chance, majority and motion energy for every source that learns.

    The clips are those of the seed; None where all seeds learn from the same.
    """
    study, store = inputs.study, inputs.datasets[SOURCE].frames()
    manifest = inputs.clips(study.seeds[0] if seed is None else seed).learned
    states = {entry.clip_id: entry.state for entry in store.ledger}
    floors = _Floors(manifest, _motion(worker, inputs, manifest, store))
    rows: list[ResultRow] = []
    for source in study.trained:
        # Groups that are drawn from the seed have floors of the seed, whichever the clips are.
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
    wanted = [*linear_probe_clips(manifest.split(Split.TRAIN)), *manifest.split(Split.VALIDATION)]
    clips = [record.clip_id for record in wanted if record.clip_id in store]
    motion: dict[str, NDArray[np.float32]] = {}
    for batch in batches_in_order(inputs, clips, store).batches():
        worker.advance(len(batch.clip_ids) * EXTRACT_SECONDS)
        motion.update(zip(batch.clip_ids, motion_energy(batch.video).numpy(), strict=True))
    return motion


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
        self._answered: dict[
            tuple[str, ...], LinearAnswers
        ] = {}  # by classes learned and clips scored

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
        linear = self._motion_answers([str(class_of[clip]) for clip in known], known, seen)
        right = sum(
            class_of[clip] == predicted
            for clip, predicted in zip(seen, linear.predicted, strict=True)
        )
        return [
            *scores,
            Score(
                probe="linear",
                metric=metric,
                value=right / len(records),
                control="motion-energy",
                chosen=linear.chosen,
                chosen_on=linear.chosen_on,
            ),
        ]

    def _motion_answers(
        self, classes: Sequence[str], known: Sequence[str], seen: Sequence[str]
    ) -> LinearAnswers:
        """Predict the classes of the clips `seen`; sources of equal classes share the answer."""
        # Categories and templates are the same classes under two names: one fit serves both.
        key = (*classes, *known, *seen)
        if key not in self._answered:
            self._answered[key] = fit_linear_probe(
                np.stack([self._motion[clip] for clip in known]),
                classes,
                np.stack([self._motion[clip] for clip in seen]),
            )
        return self._answered[key]

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
