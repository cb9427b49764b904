from __future__ import annotations

from taskgrain.report.held_out import HeldOut, held_out_of, held_out_words


def test_one_line_says_what_was_held_out_under_which_seed() -> None:
    stored = [
        {"seed": 0, "siblings": ["Push up"], "groups": ["Hold", "Lift"], "others": []},
        {"seed": 1, "siblings": [], "groups": [], "others": []},
        {"seed": 2, "siblings": ["Drop"], "groups": [], "others": []},
    ]
    said = held_out_words(held_out_of(stored))
    first = "seed 0 (siblings: Push up. whole groups: Hold, Lift)"
    assert said == f"{first}; seed 2 (siblings: Drop)"


def test_a_list_that_holds_for_every_seed_is_said_once() -> None:
    stored = [{"seed": None, "siblings": [], "groups": [], "others": ["Wave", "Nod"]}]
    assert held_out_words(held_out_of(stored)) == "every seed (categories: Wave, Nod)"


def test_runs_that_held_nothing_out_say_nothing() -> None:
    stored: list[object] = [None, {}, [3], [{"siblings": "Push"}]]
    assert [held_out_words(held_out_of(each)) for each in stored] == [""] * 4
    assert held_out_of([{"seed": 4}]) == (HeldOut(4, (), (), ()),)
