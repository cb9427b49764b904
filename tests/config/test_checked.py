from __future__ import annotations

from dataclasses import dataclass

import pytest
from pydantic import ConfigDict

from taskgrain.config.checked import read_as


@dataclass(frozen=True)
class Point:
    x: int


@dataclass(frozen=True)
class Closed:
    __pydantic_config__ = ConfigDict(extra="forbid")

    x: int


@pytest.mark.parametrize(("stored", "shown"), [(None, "null"), ([1], r"\[1\]"), (3, "3")])
def test_what_is_no_record_at_all_is_refused(stored: object, shown: str) -> None:
    with pytest.raises(ValueError, match=f"^found {shown}; expected a table$"):
        read_as(Point, stored)


def test_an_unknown_entry_is_refused_where_a_record_says_so() -> None:
    assert read_as(Point, {"x": 1, "y": 2}) == Point(1)
    with pytest.raises(ValueError, match=r"^y: no such entry$"):
        read_as(Closed, {"x": 1, "y": 2})
