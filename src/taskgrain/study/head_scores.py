"""What a source's head gets right, at its own level and at the others.

Shapes: N clips, K classes of the head.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from taskgrain.data.manifest import ClipRecord
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
from taskgrain.statistics.proportion import proportion_interval
from taskgrain.study.score_rows import Score
from taskgrain.study.sources import SourceTask


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
        """Give what one says who always holds the most frequent training category likeliest."""
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
