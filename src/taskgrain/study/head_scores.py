"""What a source's head gets right, at its own level and the others, and a linear read-out beside.

A source that learned groups alone cannot name categories: a linear read-out of them on its frozen
features says what its features tell.

Shapes: B clips of a batch, N and M clips, T' encoder steps, D width, K classes.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from taskgrain.data.dataset import Batch
from taskgrain.data.manifest import ClipRecord
from taskgrain.data.sampling import generator_for
from taskgrain.labels.ssv2 import CONTRASTIVE_GROUPS
from taskgrain.labels.taxonomy import ACTION_GROUP, CATEGORY
from taskgrain.metrics.across_grains import (
    HeadAnswers,
    IntArray,
    coarser_levels,
    commonest_of,
    confusions,
    contrastive_accuracy,
    group_errors,
    present_groups,
)
from taskgrain.statistics.tests import proportion_interval
from taskgrain.study.score_rows import Score
from taskgrain.study.sources import SourceTask
from taskgrain.transfer.probes import LOGISTIC_C, Standardiser
from taskgrain.transfer.probes.probe import FIXED


class HeadScores:
    """Scores what a head said of clips; the training clips tell how frequent categories are."""

    def __init__(
        self,
        task: SourceTask,
        answers: HeadAnswers,
        records: Sequence[ClipRecord],
        training: Sequence[ClipRecord],
    ) -> None:
        """Take the answers of clips in the order of their records."""
        assert task.level is not None, "a head tells the classes of a level apart"
        self._task = task
        self._level = task.level
        self._answers = answers
        self._records = records
        taxonomy = task.taxonomy
        counts = Counter(record.category for record in training)
        self._counts: IntArray = np.array([counts[each] for each in taxonomy.categories], np.int64)
        self._category = np.array([taxonomy.category_index(r.category) for r in records], np.int64)

    def scores(self) -> list[Score]:
        """Score every grain that the head can be asked for, but the linear read-out."""
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
        """Write how often each class was taken for which; "" for a clip that was not decoded."""
        names = (*self._task.taxonomy.names(self._level), "")  # -1 is the last
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("true", "predicted", "count"))
        for (true, said), count in confusions(self._answers).items():
            writer.writerow((names[true], names[said], count))
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
        """Score what only a head of categories says."""
        taxonomy, answers, scores = self._task.taxonomy, self._answers, []
        if ACTION_GROUP in taxonomy.levels:
            errors = group_errors(answers, taxonomy.index_of(ACTION_GROUP))
            scores += [
                _score("errors-within-groups", errors.within),
                _score("errors-between-groups", errors.between),
            ]
        names = [group.classes for group in CONTRASTIVE_GROUPS]
        groups = present_groups(names, taxonomy.categories)
        asked = {index for group in groups for merged in group for index in merged}
        of_group = zip(self._records, self._category, strict=True)
        clips = [record for record, index in of_group if int(index) in asked]
        guess = self._most_frequent()
        scores += [
            _score("contrastive", contrastive_accuracy(answers, groups), clips),
            _score("contrastive-floor", contrastive_accuracy(guess, groups), clips),
        ]
        return scores

    def _most_frequent(self) -> HeadAnswers:
        """Answer as if the most frequent training category were always the likeliest."""
        scores = torch.from_numpy(self._counts).double().expand(len(self._records), -1)
        everyone = torch.ones(len(self._records), dtype=torch.bool)
        return HeadAnswers(scores, self._answers.target, everyone)

    def _floor(self) -> Score:
        """Answer the most frequent training category of the class said (authors' code)."""
        classes = self._task.taxonomy.index_of(self._level)
        commonest = commonest_of(classes, self._counts, self._answers.num_classes)
        said = self._answers.predicted.numpy()
        is_right = (commonest[said] == self._category) & (said >= 0)
        return _score("categories-floor", float(is_right.mean()))


def _score(name: str, value: float, clips: Sequence[ClipRecord] | None = None) -> Score:
    return Score(probe="head", metric=name, value=value, clips=clips)


MAX_TRAINING_CLIPS = 20_000  # of D = 1024: 82 MB in float32
MAX_STEPS = 200


def read_out_clips(records: Sequence[ClipRecord]) -> list[ClipRecord]:
    """Choose the training clips that the read-out is fitted on: up to 20,000, drawn once."""
    drawn = generator_for(0, 0, "linear-read-out").permutation(len(records))[:MAX_TRAINING_CLIPS]
    return [records[index] for index in sorted(drawn)]


@torch.inference_mode()
def mean_features(
    encoder: nn.Module, batches: Iterable[Batch], device: str
) -> Iterator[tuple[tuple[str, ...], NDArray[np.float32]]]:
    """Yield the clip ids of each batch with float32 (B, D), the mean over an encoder's steps."""
    for batch in batches:
        features = encoder(batch.video.to(device)).float()  # (B, T', D)
        yield batch.clip_ids, features.mean(dim=1).cpu().numpy()


@dataclass(frozen=True, slots=True)
class ReadOut:
    """What the read-out says of clips, and how it was fitted."""

    said: tuple[str, ...]  # the category of each clip
    chosen: str  # its hyper-parameter
    chosen_on: str


def read_out_categories(
    training: NDArray[np.float32], categories: Sequence[str], scored: NDArray[np.float32]
) -> ReadOut:
    """Fit a logistic regression on all categories at once, and let it name those of clips.

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
    said = names[logits.argmax(dim=1).numpy()]
    return ReadOut(tuple(said.tolist()), f"C={LOGISTIC_C:g}", FIXED)


def _fitted(features: Tensor, target: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Minimise |w|^2 / 2 + C * (sum of the cross-entropies, nats), divided by C * N.

    Gives weights float (K, D) and intercepts float (K,), which are not penalised.
    """
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
