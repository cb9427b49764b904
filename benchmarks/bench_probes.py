"""Few-shot episodes: ours, solved together, against a loop over scikit-learn's own, in one run.

600 5-way 5-shot episodes of logistic regression (C = 0.1) on one thread. Both standardise by each
episode's support; the loop is `make_pipeline(StandardScaler(), LogisticRegression(C=0.1))`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from benchmarks.table import Row, main_of
from benchmarks.timing import best_seconds
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from taskgrain.transfer.answers import Subject
from taskgrain.transfer.evaluate import SubjectFeatures, evaluate_episodes
from taskgrain.transfer.features import FeatureSet
from taskgrain.transfer.probes import Standardiser
from taskgrain.transfer.task import EpisodePlan, TargetTask, sample_episodes

CLASSES, SUPPORT, SCORED, GAP = 20, 30, 30, 0.2  # clips of each class; apart against noise of 1
WIDTHS = (128, 256, 512)
PLAN = EpisodePlan(num_ways=5, num_shots=5, num_queries=15, num_episodes=600, seed=0)
ROUNDS, WANTED = 3, 16.0


def make(width: int) -> tuple[SubjectFeatures, TargetTask]:
    generator = np.random.default_rng(width)
    support, query = (np.repeat(np.arange(CLASSES), each) for each in (SUPPORT, SCORED))
    labels = np.concatenate([support, query])
    means = GAP * generator.normal(size=(CLASSES, width))
    features = (means[labels] + generator.normal(size=(len(labels), width))).astype(np.float32)
    task = TargetTask(
        name="synthetic",
        class_names=tuple(f"class {index}" for index in range(CLASSES)),
        support_ids=tuple(f"s{index}" for index in range(len(support))),
        support_labels=support,
        query_ids=tuple(f"q{index}" for index in range(len(query))),
        query_labels=query,
    )
    clips = FeatureSet(task.support_ids + task.query_ids, features, {})
    subject = Subject("source", 0, "lstm-mean", None)
    return SubjectFeatures(subject, clips, Standardiser.of(features)), task


def answer(tested: SubjectFeatures, task: TargetTask, plan: EpisodePlan) -> NDArray[np.float64]:
    found = evaluate_episodes(tested, task, plan=plan, probe="logistic-regression")
    return found.accuracies(found.answers[0])


def loop(tested: SubjectFeatures, task: TargetTask, plan: EpisodePlan) -> NDArray[np.float64]:
    episodes = sample_episodes(task, plan=plan)
    pool = tested.features.of(task.support_ids)
    scored = tested.features.of(task.query_ids)
    ways = np.repeat(np.arange(plan.num_ways), plan.num_shots)
    truth = np.repeat(np.arange(plan.num_ways), plan.num_queries)
    accuracies: list[float] = []
    for support, query in zip(episodes.support, episodes.query, strict=True):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
        model.fit(pool[support].astype(np.float64), ways)
        predicted = model.predict(scored[query].astype(np.float64))
        accuracies.append((predicted == truth).mean())
    return np.array(accuracies)


def measure(small: bool) -> list[Row]:
    rows = []
    episodes = replace(PLAN, num_episodes=20) if small else PLAN
    with threadpool_limits(limits=1):
        for width in WIDTHS[:1] if small else WIDTHS:
            subject, task = make(width)
            mine, peer = answer(subject, task, episodes), loop(subject, task, episodes)
            apart = abs(mine.mean() - peer.mean())
            best = best_seconds(
                {
                    "ours": partial(answer, subject, task, episodes),
                    "peer": partial(loop, subject, task, episodes),
                },
                rounds=1 if small else ROUNDS,
            )
            rows.append(
                Row(
                    f"{episodes.num_episodes} 5-way 5-shot episodes, width {width}",
                    best["ours"],
                    "a scikit-learn loop",
                    best["peer"],
                    wanted=WANTED,
                    note=f"accuracies {apart:.2%} apart",
                )
            )
    return rows


if __name__ == "__main__":
    main_of(measure, __doc__)
