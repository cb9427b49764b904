"""Few-shot episodes: ours, solved together, against a loop over scikit-learn's own, in one run.

600 5-way 5-shot episodes of logistic regression (C = 0.1) on one thread. Both standardise by each
episode's support; the loop is `make_pipeline(StandardScaler(), LogisticRegression(C=0.1))`.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from taskgrain.transfer.episodes import EpisodePlan, evaluate_episodes, sample_episodes
from taskgrain.transfer.evaluate import Subject
from taskgrain.transfer.features import FeatureSet
from taskgrain.transfer.probes import Standardiser
from taskgrain.transfer.task import TargetTask

CLASSES, SUPPORT, SCORED, GAP = 20, 30, 30, 0.2  # clips of each class; apart against noise of 1
WIDTHS = (128, 256, 512)
PLAN = EpisodePlan(num_ways=5, num_shots=5, num_queries=15, num_episodes=600, seed=0)
ROUNDS = 3


def make(width: int) -> tuple[Subject, TargetTask]:
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
    return Subject("source", 0, "lstm-mean", None, clips, Standardiser.of(features)), task


def loop(subject: Subject, task: TargetTask, num_episodes: int) -> NDArray[np.float64]:
    episodes = sample_episodes(task, plan=PLAN)
    pool = subject.features.of(task.support_ids)
    scored = subject.features.of(task.query_ids)
    ways = np.repeat(np.arange(PLAN.num_ways), PLAN.num_shots)
    truth = np.repeat(np.arange(PLAN.num_ways), PLAN.num_queries)
    accuracies: list[float] = []
    for support, query in zip(episodes.support, episodes.query, strict=True):
        if len(accuracies) == num_episodes:
            break
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
        model.fit(pool[support].astype(np.float64), ways)
        predicted = model.predict(scored[query].astype(np.float64))
        accuracies.append((predicted == truth).mean())
    return np.array(accuracies)


def main() -> None:
    with threadpool_limits(limits=1):
        for width in WIDTHS:
            subject, task = make(width)
            loop(subject, task, 5)  # both have been run once before they are timed
            mine = evaluate_episodes(subject, task, plan=PLAN, probe="logistic-regression")
            ours, theirs = [], []
            for _ in range(ROUNDS):
                started = time.process_time()
                mine = evaluate_episodes(subject, task, plan=PLAN, probe="logistic-regression")
                ours.append(time.process_time() - started)
                started = time.process_time()
                peer = loop(subject, task, PLAN.num_episodes)
                theirs.append(time.process_time() - started)
            print(
                f"600 5-way 5-shot episodes, width {width}: {min(ours):.2f} s against "
                f"{min(theirs):.2f}: {min(theirs) / min(ours):.0f} times a scikit-learn loop; "
                f"accuracy {mine.accuracies.mean():.2%} against {peer.mean():.2%}"
            )


if __name__ == "__main__":
    main()
