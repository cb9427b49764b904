from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from taskgrain.transfer import fitting
from taskgrain.transfer.fitting import Problems, answer_by_each, answer_many
from taskgrain.transfer.probes import CLASSIFIERS, ProbeName, Standardiser, neighbours

PLAIN: tuple[ProbeName, ...] = (
    *("nearest-mean", "k-nn", "ridge", "rbf-ridge"),
    *("logistic-regression", "logistic-regression-cv"),
)
GENERATOR = np.random.default_rng(0)
POOL = GENERATOR.normal(2, 3, size=(40, 12)).astype(np.float32)
POOL[:, 4] = 0.3  # never varies
SCORED = GENERATOR.normal(2, 3, size=(30, 12)).astype(np.float32)
LABELS = np.tile(np.repeat(np.arange(3), 5), (4, 1))
SUPPORT = np.stack([GENERATOR.permutation(40)[:15] for _ in range(4)])
QUERY = np.stack([GENERATOR.permutation(30)[:9] for _ in range(4)])


@pytest.mark.parametrize("probe", PLAIN)
@pytest.mark.parametrize("has_rows", [True, False])
def test_the_answers_are_those_of_one_fit_after_another(probe: ProbeName, has_rows: bool) -> None:
    problems = Problems(SUPPORT, LABELS, QUERY if has_rows else None, 3)
    source = Standardiser.of(3 * POOL)
    for standardiser in (None, source):
        many = answer_many(probe, POOL, SCORED, problems=problems, standardiser=standardiser)
        chosen = []
        for index in range(4):
            support = POOL[SUPPORT[index]]
            scale = standardiser or Standardiser.of(support)
            fitted = CLASSIFIERS[probe]().fit(scale(support), LABELS[index])
            query = SCORED[QUERY[index]] if has_rows else SCORED
            assert np.array_equal(fitted.predict(scale(query)), many.predicted[index])
            chosen.append(fitted.chosen_)
        counted = Counter(chosen).most_common()
        expected = counted[0][0] if len(counted) == 1 else None
        if expected is not None or counted[0][0] is None:
            assert many.chosen == expected
        else:
            assert many.chosen == ", ".join(f"{text} ({count})" for text, count in counted)
        assert many.chosen_on == fitted.chosen_on_


@pytest.mark.parametrize("probe", PLAIN)
def test_how_many_are_taken_at_a_time_does_not_matter(
    probe: ProbeName, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = Problems(SUPPORT, LABELS, QUERY, 3)
    at_once = answer_many(probe, POOL, SCORED, problems=problems, standardiser=None)
    monkeypatch.setattr(fitting, "BLOCK_BYTES", 1)
    singly = answer_many(probe, POOL, SCORED, problems=problems, standardiser=None)
    assert at_once.predicted.tobytes() == singly.predicted.tobytes()
    assert (at_once.chosen, at_once.chosen_on) == (singly.chosen, singly.chosen_on)


@pytest.mark.parametrize("has_rows", [True, False])
def test_probes_and_labels_that_share_their_clips_answer_as_they_do_alone(has_rows: bool) -> None:
    query = QUERY if has_rows else None
    true = Problems(SUPPORT, LABELS, query, 3)
    other = Problems(SUPPORT, GENERATOR.permuted(LABELS, axis=1), query, 3)
    for standardiser in (None, Standardiser.of(3 * POOL)):
        together = answer_by_each(
            PLAIN, POOL, SCORED, problems=[true, other], standardiser=standardiser
        )
        for problems, found in zip((true, other), together, strict=True):
            for probe, answered in zip(PLAIN, found, strict=True):
                alone = answer_many(
                    probe, POOL, SCORED, problems=problems, standardiser=standardiser
                )
                assert answered.predicted.tobytes() == alone.predicted.tobytes()
                assert (answered.chosen, answered.chosen_on) == (alone.chosen, alone.chosen_on)


def test_a_probe_that_fails_leaves_the_others_their_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neighbours, "MAX_KERNEL_CLIPS", 3)
    problems = Problems(SUPPORT, LABELS, None, 3)
    ((kernel, mean),) = answer_by_each(
        ("rbf-ridge", "nearest-mean"), POOL, SCORED, problems=[problems], standardiser=None
    )
    alone = answer_many("nearest-mean", POOL, SCORED, problems=problems, standardiser=None)
    assert "at most 3" in str(kernel.failure)
    assert (kernel.predicted == fitting.NO_ANSWER).all()
    assert mean.failure is None
    assert mean.predicted.tobytes() == alone.predicted.tobytes()
