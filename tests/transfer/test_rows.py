from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from taskgrain.errors import ResultError
from taskgrain.results import Shots, select
from taskgrain.statistics.crossed import crossed_interval
from taskgrain.statistics.intervals import ClipBootstrap, clip_weights
from taskgrain.statistics.tests import paired_interval
from taskgrain.transfer.answers import Answers, Evaluation, Subject
from taskgrain.transfer.difference_rows import difference_rows
from taskgrain.transfer.rows import clip_rows, floor_rows, permuted_rows, seed_rows
from taskgrain.transfer.task import TargetTask
from tests.making import find, measured_as

LABELS: NDArray[np.int64] = np.repeat(np.arange(3), [10, 20, 30])
BOOTSTRAP = ClipBootstrap(LABELS, seed=0)
CELLS: tuple[tuple[str, Shots, int], ...] = (("nearest-mean", 1, 4), ("nearest-mean", "all", 1))


def evaluation_of(source: str, *, seed: int, accuracy: float) -> Evaluation:
    generator = np.random.default_rng((seed, len(source)))

    def answers(probe: str, shots: Shots, draws: int) -> Answers:
        right = generator.random((draws, len(LABELS))) < accuracy
        predicted = np.where(right, LABELS, (LABELS + 1) % 3)
        predicted[:, 0] = -1  # failed
        return Answers(probe, shots, predicted.astype(np.int16), "C=0.1", "fixed in advance")

    return Evaluation(
        subject=Subject(source, seed, "lstm-mean", None),
        target="kitchenware",
        class_names=("fork", "knife", "spoon"),
        clip_ids=tuple(f"q{index}" for index in range(len(LABELS))),
        labels=LABELS,
        failed=1,
        truncated=2,
        answers=tuple(answers(*cell) for cell in CELLS),
    )


FINE = [evaluation_of("categories", seed=seed, accuracy=0.7) for seed in range(3)]
COARSE = [evaluation_of("groups", seed=seed, accuracy=0.5) for seed in range(3)]


def slow_metric(evaluation: Evaluation, answers: Answers, metric: str) -> float:
    of_draw = []
    for draw in answers.predicted.tolist():
        right = {each: [0, 0] for each in set(evaluation.labels.tolist())}
        for predicted, truth in zip(draw, evaluation.labels.tolist(), strict=True):
            right[truth][0] += predicted == truth
            right[truth][1] += 1
        if metric == "top-1":
            of_draw.append(sum(a for a, _ in right.values()) / sum(b for _, b in right.values()))
        else:
            of_draw.append(sum(a / b for a, b in right.values()) / len(right))
    return sum(of_draw) / len(of_draw)


def test_the_values_are_those_of_a_slow_obvious_count() -> None:
    rows = clip_rows(FINE, study="quick", bootstrap=BOOTSTRAP)
    assert len(rows) == 3 * 2 * 2
    for evaluation in FINE:
        for answers in evaluation.answers:
            for metric in ("top-1", "mean-per-class"):
                row = find(rows, seed=evaluation.subject.seed, shots=answers.shots, metric=metric)
                assert row.value == pytest.approx(slow_metric(evaluation, answers, metric))
                assert row.interval == "clips"
                assert (row.n, row.failed, row.truncated) == (60, 1, 2)
                assert row.draws == len(answers.predicted)
                assert (row.chosen, row.chosen_on) == ("C=0.1", "fixed in advance")


def test_differences_are_differences_of_the_rows_and_pair_the_seeds() -> None:
    single = clip_rows([*FINE, *COARSE], study="quick", bootstrap=BOOTSTRAP)
    shuffled = [*FINE, COARSE[2], COARSE[0], COARSE[1]]
    rows = difference_rows(shuffled, [("categories", "groups")], study="quick", bootstrap=BOOTSTRAP)
    assert len(rows) == 2 * 2 * (3 + 2)

    def values(source: str, metric: str) -> list[float]:
        found = select(single, source=source, shots=1, metric=metric)
        return [row.value for row in found if row.value is not None]

    for metric in ("top-1", "mean-per-class"):
        first, second = values("categories", metric), values("groups", metric)
        for seed in range(3):
            row = find(rows, shots=1, metric=metric, seed=seed, interval="clips")
            assert row.value == pytest.approx(first[seed] - second[seed])
            assert (row.source, row.versus, row.p) == ("categories", "groups", None)
        over_seeds = find(rows, shots=1, metric=metric, seed=None, interval="seeds")
        expected = paired_interval(first, second, kind="seeds")
        assert (over_seeds.value, over_seeds.low, over_seeds.high, over_seeds.p) == pytest.approx(
            (expected.value, expected.low, expected.high, expected.p)
        )
        conditional = find(rows, shots=1, metric=metric, seed=None, interval="clips")
        assert conditional.value == pytest.approx(expected.value)


def test_one_seed_gives_differences_over_clips_alone() -> None:
    rows = difference_rows(
        [FINE[0], COARSE[0]], [("categories", "groups")], study="quick", bootstrap=BOOTSTRAP
    )
    assert {(row.seed, row.interval) for row in rows} == {(0, "clips")}
    assert seed_rows([FINE[0], COARSE[0]], study="quick") == []


def test_a_source_does_not_differ_from_itself_and_signs_turn_with_the_pair() -> None:
    twin = measured_as(FINE[0], source="twin")
    (row, *_) = difference_rows(
        [FINE[0], twin], [("categories", "twin")], study="quick", bootstrap=BOOTSTRAP
    )
    assert (row.value, row.low, row.high) == (0.0, 0.0, 0.0)
    pairs = [("categories", "groups"), ("groups", "categories")]
    rows = difference_rows([FINE[0], COARSE[0]], pairs, study="quick", bootstrap=BOOTSTRAP)
    there, back = select(rows, shots=1, metric="top-1")
    assert there.value == pytest.approx(-(back.value or 0.0))
    assert there.low == pytest.approx(-(back.high or 0.0), abs=0.01)


def test_pairs_that_cannot_be_compared_are_refused() -> None:
    def compare(evaluations: Sequence[Evaluation], versus: str) -> None:
        difference_rows(evaluations, [("categories", versus)], study="quick", bootstrap=BOOTSTRAP)

    with pytest.raises(ResultError, match=r"categories has seeds \[0, 1, 2\], groups has \[0, 1\]"):
        compare([*FINE, *COARSE[:2]], "groups")
    with pytest.raises(ResultError, match="source 'categories' has not been evaluated"):
        compare(COARSE, "groups")
    with pytest.raises(ValueError, match="groups was scored on other clips"):
        compare([FINE[0], replace(COARSE[0], clip_ids=FINE[0].clip_ids[::-1])], "groups")
    with pytest.raises(ValueError, match="the bootstrap is not over the scored clips"):
        clip_rows(FINE, study="quick", bootstrap=ClipBootstrap(LABELS[::-1].copy(), seed=0))


def test_seeds_are_summarised_by_their_mean_and_t_interval() -> None:
    rows = seed_rows([*FINE, COARSE[0]], study="quick")
    assert len(rows) == 2 * 2
    row = find(rows, source="categories", shots=1, metric="top-1")
    values = [slow_metric(each, each.answers[0], "top-1") for each in FINE]
    assert row.value == pytest.approx(np.mean(values))
    assert (row.seed, row.interval, row.n) == (None, "seeds", 60)


def test_permuted_rows_are_judged_against_the_chance_of_clips_that_could_be_decoded() -> None:
    # Every decoded clip is right in a third of the draws: exactly chance, spread over draws.
    predicted = np.stack([np.full(60, each % 3) for each in range(30)]).astype(np.int16)
    predicted[:, 0] = -1
    answers = Answers("nearest-mean", 1, predicted, None, None)
    permuted = replace(measured_as(FINE[0], control="permuted-labels"), answers=(answers,))
    (row,) = permuted_rows([permuted], study="quick")
    lost = clip_weights(permuted.labels, metric="mean-per-class")[0]
    assert row.value == pytest.approx((1 - lost) / 3)
    assert row.p == pytest.approx(0.5)
    assert (row.interval, row.control, row.draws) == ("draws", "permuted-labels", 30)


def test_a_probe_that_answers_one_class_raises_no_alarm() -> None:
    predicted = np.zeros((50, 60), np.int16)
    answers = Answers("nearest-mean", 1, predicted, None, None)
    permuted = replace(measured_as(FINE[0], control="permuted-labels"), answers=(answers,))
    (row,) = permuted_rows([permuted], study="quick")
    assert row.value == pytest.approx(1 / 3)
    assert row.p is None


@pytest.mark.parametrize("num_clips", [6, 20, 49, 98, 305, 1107])
def test_perfect_answers_score_one_whatever_the_number_of_clips(num_clips: int) -> None:
    labels = np.arange(num_clips) % 2
    answers = Answers("nearest-mean", 1, np.tile(labels.astype(np.int16), (3, 1)), None, None)
    perfect = [
        replace(
            measured_as(FINE[0], seed=seed),
            labels=labels,
            answers=(answers,),
            clip_ids=tuple(map(str, range(num_clips))),
        )
        for seed in (0, 1)
    ]
    bootstrap = ClipBootstrap(labels, seed=0)
    rows = clip_rows(perfect, study="quick", bootstrap=bootstrap) + seed_rows(perfect, study="q")
    assert rows
    assert all(row.value == pytest.approx(1.0) for row in rows)
    shown = {row.interval for row in rows if row.seed is not None}
    assert shown == ({"clips"} if num_clips >= 10 else {None})


def test_the_floors_are_chance_and_the_commonest_class_of_the_pool() -> None:
    task = TargetTask(
        name="kitchenware",
        class_names=("fork", "knife", "spoon"),
        support_ids=("s0", "s1", "s2", "s3", "s4", "s5"),
        support_labels=np.array([0, 0, 0, 1, 1, 2]),
        query_ids=tuple(f"q{index}" for index in range(60)),
        query_labels=LABELS,
        failed=frozenset({"s0", "s1", "q10"}),  # the pool is left with a fork and two knives
        truncated=frozenset({"q3", "s2"}),
    )
    rows = floor_rows(task, study="quick")
    chance = find(rows, control="chance", target="kitchenware")
    assert (chance.metric, chance.value, chance.n) == ("top-1", 1 / 3, 60)
    assert (chance.failed, chance.truncated) == (1, 1)
    assert find(rows, control="majority", metric="top-1").value == pytest.approx(19 / 60)
    per_class = find(rows, control="majority", metric="mean-per-class")
    assert per_class.value == pytest.approx(19 / 20 / 3)


def test_the_crossed_interval_is_given_where_it_holds_its_coverage() -> None:
    labels = np.repeat(np.arange(6), 10)
    pair = []
    for source, accuracy in (("categories", 0.7), ("groups", 0.5)):
        group = []
        for seed in range(4):
            generator = np.random.default_rng((seed, len(source)))
            right = generator.random((5, len(labels))) < accuracy
            predicted = np.where(right, labels, (labels + 1) % 6).astype(np.int16)
            answers = (Answers("nearest-mean", 1, predicted, None, None),)
            base = evaluation_of(source, seed=seed, accuracy=accuracy)
            ids = tuple(f"q{index}" for index in range(len(labels)))
            group.append(replace(base, labels=labels, clip_ids=ids, answers=answers))
        pair.append(group)
    fine, coarse = pair
    bootstrap = ClipBootstrap(labels, seed=0)
    rows = difference_rows(
        [*fine, *coarse], [("categories", "groups")], study="q", bootstrap=bootstrap
    )
    row = find(rows, interval="crossed", metric="top-1")
    expected = crossed_interval(
        np.stack([
            fine[seed].correct(fine[seed].answers[0]).astype(int)
            - coarse[seed].correct(coarse[seed].answers[0])
            for seed in range(4)
        ]),
        labels,
        metric="top-1",
    )  # fmt: skip
    assert (row.value, row.low, row.high, row.p, row.seed) == (
        *(expected.value, expected.low, expected.high, expected.p),
        None,
    )
    two = difference_rows(
        [*fine[:2], *coarse[:2]], [("categories", "groups")], study="q", bootstrap=bootstrap
    )
    assert not select(two, interval="crossed")


def test_equal_read_outs_are_paired_and_one_that_a_source_lacks_gives_no_row() -> None:
    pair = [FINE[0], COARSE[0]]
    before = [measured_as(each, readout="channels-mean") for each in pair]
    alone = measured_as(FINE[0], readout="spatial-mean")
    rows = difference_rows(
        [*pair, *before, alone], [("categories", "groups")], study="q", bootstrap=BOOTSTRAP
    )
    assert {row.readout for row in rows} == {"lstm-mean", "channels-mean"}
    none = difference_rows(
        [alone, COARSE[0]], [("categories", "groups")], study="q", bootstrap=BOOTSTRAP
    )
    assert none == []


def test_one_encoder_asked_under_several_seeds_is_no_sample_of_encoders() -> None:
    theirs = evaluation_of("kinetics", seed=0, accuracy=0.6)
    frozen = [measured_as(theirs, seed=seed) for seed in range(3)]
    other = [measured_as(COARSE[0], seed=seed) for seed in range(3)]
    means = seed_rows([*frozen, *FINE], study="quick")
    assert {row.interval for row in means if row.source == "kinetics"} == {None}
    assert {row.interval for row in means if row.source == "categories"} == {"seeds"}

    against_frozen = difference_rows(
        [*frozen, *other], [("kinetics", "groups")], study="quick", bootstrap=BOOTSTRAP
    )
    assert {row.interval for row in against_frozen} == {"clips"}
    assert {row.p for row in against_frozen} == {None}
    against_trained = difference_rows(
        [*frozen, *FINE], [("kinetics", "categories")], study="quick", bootstrap=BOOTSTRAP
    )
    assert "seeds" in {row.interval for row in against_trained}


def failing(evaluation: Evaluation, shots: Shots, problem: str = "did not converge") -> Evaluation:
    """Take the answers at a number of shots away."""
    answers = tuple(
        replace(
            each,
            held=np.full_like(each.predicted, -1),
            chosen=None,
            chosen_on=None,
            problem=problem,
        )
        if each.shots == shots
        else each
        for each in evaluation.answers
    )
    return replace(evaluation, answers=answers)


BROKEN = [FINE[0], failing(FINE[1], 1), FINE[2]]


def test_a_failed_probe_has_a_row_with_its_problem_and_the_others_keep_theirs() -> None:
    rows = clip_rows(BROKEN, study="quick", bootstrap=BOOTSTRAP)
    expected = clip_rows(FINE, study="quick", bootstrap=BOOTSTRAP)
    assert len(rows) == len(expected)
    for row, before in zip(rows, expected, strict=True):
        if (row.seed, row.shots) != (1, 1):
            assert replace(row, low=0.0, high=1.0) == replace(before, low=0.0, high=1.0)
            assert (row.low, row.high) == pytest.approx((before.low, before.high), abs=1e-12)
            continue
        assert row.problem == "did not converge"
        assert (row.value, row.interval, row.low, row.high) == (None,) * 4
        assert (row.metric, row.n, row.failed, row.draws) == (before.metric, 60, 1, 4)


def test_a_source_all_of_whose_probes_failed_has_rows_too() -> None:
    nothing = failing(failing(FINE[0], 1), "all")
    rows = clip_rows([nothing], study="quick", bootstrap=BOOTSTRAP)
    rows += difference_rows(
        [nothing, COARSE[0]], [("categories", "groups")], study="quick", bootstrap=BOOTSTRAP
    )
    assert len(rows) == 2 * 2 * 2
    assert all(row.value is None and row.problem for row in rows)


def test_seeds_are_not_averaged_where_one_failed() -> None:
    rows = seed_rows(BROKEN, study="quick")
    expected = seed_rows(FINE, study="quick")
    assert len(rows) == len(expected)
    for row, before in zip(rows, expected, strict=True):
        if row.shots == "all":
            assert row == before
        else:
            assert row.problem == "categories, seed 1: did not converge"
            assert (row.seed, row.value, row.interval) == (None, None, None)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_difference_of_a_failed_probe_says_whose_it_was(is_first: bool) -> None:
    whole = COARSE if is_first else FINE
    broken = BROKEN if is_first else [COARSE[0], failing(COARSE[1], 1), COARSE[2]]
    pair = [("categories", "groups")]
    found = difference_rows([*broken, *whole], pair, study="quick", bootstrap=BOOTSTRAP)
    expected = difference_rows([*FINE, *COARSE], pair, study="quick", bootstrap=BOOTSTRAP)
    assert select(found, shots="all") == select(expected, shots="all")
    for seed in (0, 2):
        assert select(found, shots=1, seed=seed) == select(expected, shots=1, seed=seed)
    name = "categories" if is_first else "groups"
    lost: tuple[int | None, ...] = (1, None)
    for each in lost:
        of_metric = select(found, shots=1, seed=each)
        assert [row.metric for row in of_metric] == ["top-1", "mean-per-class"]
        for row in of_metric:
            assert row.problem == f"{name}, seed 1: did not converge"
            assert (row.value, row.interval, row.p, row.versus) == (None, None, None, "groups")
            assert (row.chosen, row.chosen_on) == (None, None)


def test_permuted_labels_of_a_failed_probe_are_no_test() -> None:
    broken = failing(FINE[0], 1)
    permuted = [replace(measured_as(broken, control="permuted-labels"), answers=broken.answers[:1])]
    (row,) = permuted_rows(permuted, study="quick")
    assert (row.problem, row.value, row.p) == ("did not converge", None, None)


def test_an_accuracy_of_a_failed_probe_is_never_computed() -> None:
    broken = failing(FINE[0], 1)
    with pytest.raises(AssertionError, match="has no score"):
        broken.scores(broken.answers[0])
