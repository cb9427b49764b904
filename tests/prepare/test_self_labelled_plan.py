from __future__ import annotations

from pathlib import Path

import pytest

from taskgrain.data.manifest import Split
from taskgrain.errors import ClipError
from taskgrain.prepare.self_labelled_footage import Footage, Look
from taskgrain.prepare.self_labelled_plan import Choice, FilePlan, plan_files

CHOICE = Choice(most=4, seed=0, window_frames=24)


def file(name: str) -> Footage:
    return Footage(Path("videos") / name, name, 1000)


def look(sha: str, *starts: int, frames: int = 240, still: int = 0, repeating: int = 0) -> Look:
    return Look(sha, frames, starts, still, repeating, truncated=False, problem=None)


def planned(
    looks: dict[str, Look | str],
    choice: Choice = CHOICE,
    groups: dict[str, str] | None = None,
) -> dict[str, FilePlan]:
    plans = plan_files([file(name) for name in looks], list(looks.values()), choice, groups or {})
    assert [plan.footage.name for plan in plans] == list(looks)
    return {plan.footage.name: plan for plan in plans}


def many(count: int, windows: int = 6) -> dict[str, Look | str]:
    return {f"{n}.mp4": look(str(n), *range(0, 24 * windows, 24)) for n in range(count)}


def test_files_are_split_into_halves_with_as_many_windows() -> None:
    plans = planned(many(10))
    splits = [plan.split for plan in plans.values()]
    assert splits.count(Split.TRAIN) == splits.count(Split.VALIDATION) == 5
    lengths = {f"{n}.mp4": look(str(n), *range(0, 24 * 2**n, 24)) for n in range(5)}
    plans = planned(dict(lengths), Choice(most=100, seed=0, window_frames=24))
    held = dict.fromkeys((Split.TRAIN, Split.VALIDATION), 0)
    for plan in plans.values():
        assert plan.split is not None
        held[plan.split] += len(plan.starts)
    assert sorted(held.values()) == [15, 16]


def test_windows_are_drawn_by_the_seed_up_to_the_most_of_a_file() -> None:
    plans = planned(many(10, windows=20))
    for plan in plans.values():
        assert len(plan.starts) == 4
        assert plan.starts == tuple(sorted(plan.starts))
        assert set(plan.starts) <= set(range(0, 480, 24))
        assert plan.num_usable == 20
    assert len({plan.starts for plan in plans.values()}) > 5
    assert planned(many(10, windows=20)) == plans
    others = planned(many(10, windows=20), Choice(most=4, seed=1, window_frames=24))
    assert {name: plan.starts for name, plan in others.items()} != {
        name: plan.starts for name, plan in plans.items()
    }
    assert {name: plan.split for name, plan in others.items()} != {
        name: plan.split for name, plan in plans.items()
    }


def test_windows_of_a_file_do_not_depend_on_the_other_files() -> None:
    few, more = planned(many(3, windows=20)), planned(many(9, windows=20))
    assert all(few[name].starts == more[name].starts for name in few)


def test_files_of_one_recording_lie_on_one_side() -> None:
    groups = {f"{n}.mp4": f"camera {n % 3}" for n in range(9)}
    plans = planned(many(12), groups=groups)
    for camera in range(3):
        assert len({plans[f"{n}.mp4"].split for n in range(camera, 9, 3)}) == 1
    assert {plan.split for plan in plans.values()} == {Split.TRAIN, Split.VALIDATION}


def test_the_same_bytes_are_used_once() -> None:
    looks: dict[str, Look | str] = {
        "a.mp4": look("x", 0, 24),
        "b.mp4": look("y", 0),
        "copy of a.mp4": look("x", 0, 24),
    }
    plans = planned(looks)
    assert plans["copy of a.mp4"].starts == ()
    assert plans["copy of a.mp4"].split is None
    assert plans["copy of a.mp4"].problem == "the same bytes as a.mp4"
    del looks["b.mp4"]
    with pytest.raises(ClipError, match="from 1 recording;"):
        planned(looks)


def test_footage_that_cannot_be_used_says_why() -> None:
    looks: dict[str, Look | str] = {
        "broken.mp4": "no frame could be decoded",
        "short.mp4": look("sha 1", frames=18),
        "still.mp4": look("sha 2", still=10),
        "slow.mp4": look("sha 3", still=2, repeating=8),
    }
    with pytest.raises(ClipError) as refused:
        planned(looks)
    assert str(refused.value).splitlines() == [
        "clips can be cut from no recording; expected two or more, as the clips to fit on and "
        "those to score come from different ones: add footage, or ask for shorter clips",
        "broken.mp4: no frame could be decoded",
        "short.mp4: 1.50 s; a window takes 2.00 s of footage",
        "still.mp4: nothing moves in it",
        "slow.mp4: fewer than 12 new frames a second; double speed would show by their repetition",
    ]
    plans = planned(looks | many(2))
    assert plans["broken.mp4"].state == "failed"
    assert plans["broken.mp4"].to_json() == {
        "file": "broken.mp4",
        "state": "failed",
        "split": None,
        "windows": 0,
        "usable": 0,
        "still": 0,
        "repeating": 0,
        "seconds": 0.0,
        "bytes": 1000,
        "problem": "no frame could be decoded",
    }


def test_two_files_of_one_recording_are_too_few() -> None:
    groups = {"0.mp4": "camera", "1.mp4": "camera"}
    with pytest.raises(ClipError, match="from 1 recording; expected two or more"):
        planned(many(2), groups=groups)
    assert planned(many(3), groups=groups)["2.mp4"].split is Split.VALIDATION
