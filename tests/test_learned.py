from __future__ import annotations

import pytest

from taskgrain.learned import floor_of, own_scores, unlearned
from taskgrain.names import Control
from taskgrain.results import ResultRow

FLOORS: dict[Control, float] = {"chance": 0.1, "majority": 0.2, "motion-energy": 0.3}


def score(
    low: float | None,
    *,
    source: str = "groups",
    seed: int | None = 0,
    metric: str = "top-1",
    control: Control | None = None,
    value: float = 0.5,
) -> ResultRow:
    return ResultRow(
        study="study",
        source=source,
        seed=seed,
        target="source-validation",
        metric=metric,
        value=value,
        interval=None if low is None else "clips",
        low=low,
        high=None if low is None else 1.0,
        n=100,
        failed=0,
        truncated=0,
        control=control,
    )


def floors(source: str = "groups", metric: str = "top-1") -> list[ResultRow]:
    return [
        score(None, source=source, seed=None, metric=metric, control=control, value=value)
        for control, value in FLOORS.items()
    ]


@pytest.mark.parametrize(("low", "is_learned"), [(0.31, True), (0.3, False), (None, False)])
def test_the_lower_bound_has_to_lie_above_the_highest_floor(
    low: float | None, is_learned: bool
) -> None:
    (found,) = own_scores([*floors(), score(low)])
    assert found.floor.control == "motion-energy"
    assert found.is_learned is is_learned
    assert list(unlearned([*floors(), score(low)])) == ([] if is_learned else ["groups"])


def test_one_seed_or_one_task_that_was_not_learned_is_enough() -> None:
    both = [*floors(), *floors(metric="template-accuracy")]
    head = [score(0.4, seed=seed) for seed in (0, 1)]
    captions = [score(0.4, seed=seed, metric="template-accuracy") for seed in (0, 1)]
    assert not unlearned([*both, *head, *captions])
    captions[1] = score(0.25, seed=1, metric="template-accuracy")
    (found,) = unlearned([*both, *head, *captions]).values()
    assert found.own == captions[1]


def test_other_scores_sources_and_targets_do_not_matter() -> None:
    other = score(0.05, metric="top-5")
    without_floors = score(0.05, source="older")
    assert not unlearned([*floors(), score(0.4), other, without_floors])
    assert len(own_scores([*floors(), score(0.4), other, without_floors])) == 1


def test_floors_of_another_source_are_not_taken() -> None:
    easy = [score(None, source="easy", seed=None, control="chance", value=0.05)]
    rows = [*floors(), *easy, score(0.1, source="easy"), score(0.1)]
    assert list(unlearned(rows)) == ["groups"]


def test_where_seeds_have_floors_of_their_own_each_is_held_against_its_own() -> None:
    own = [score(0.35, seed=0), score(0.35, seed=1)]
    low = score(None, seed=0, control="majority", value=0.2)
    high = score(None, seed=1, control="majority", value=0.4)
    first, second = own_scores([low, high, *own])
    assert (first.floor, second.floor) == (low, high)
    assert (first.is_learned, second.is_learned) == (True, False)
    assert unlearned([low, high, *own])["groups"].own.seed == 1
    assert floor_of([low, high], second, "majority") == high
    assert floor_of([low, high], second, "chance") is None
    assert own_scores([low, score(0.35, seed=1)]) == ()
