from __future__ import annotations

import json
from pathlib import Path

import pytest

from taskgrain.errors import ResultError
from taskgrain.report.run_folder import HeldOut, held_out_words, read_run_folder


def held_out_of(folder: Path, stored: object) -> tuple[HeldOut, ...]:
    (folder / "results.jsonl").write_text("")
    (folder / "held-out.json").write_text(json.dumps(stored))
    return read_run_folder(folder).held_out


def test_one_line_says_what_was_held_out_under_which_seed(tmp_path: Path) -> None:
    stored = [
        {"seed": 0, "siblings": ["Push up"], "groups": ["Hold", "Lift"], "others": []},
        {"seed": 1, "siblings": [], "groups": [], "others": []},
        {"seed": 2, "siblings": ["Drop\0"], "groups": [], "others": [], "novel": 3},
    ]
    found = held_out_words(held_out_of(tmp_path, stored))
    first = "seed 0 (siblings: Push up. whole groups: Hold, Lift)"
    assert found == f"{first}; seed 2 (siblings: Drop\N{REPLACEMENT CHARACTER})"


def test_a_list_that_holds_for_every_seed_is_stated_once(tmp_path: Path) -> None:
    stored = [{"seed": None, "siblings": [], "groups": [], "others": ["Wave", "Nod"]}]
    assert held_out_words(held_out_of(tmp_path, stored)) == "every seed (categories: Wave, Nod)"
    assert held_out_words(()) == ""


def test_a_list_that_does_not_fit_is_named_with_file_and_key(tmp_path: Path) -> None:
    stored = [{"seed": 0, "siblings": "Push", "groups": [], "others": []}]
    with pytest.raises(ResultError, match=r"held-out\.json: \[0\]\.siblings: found \"Push\""):
        held_out_of(tmp_path, stored)
