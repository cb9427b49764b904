from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgrain.prepare.check_texts import Texts


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(), max_size=6), max_size=6), st.integers(-8, 8))
def test_texts_are_those_that_were_given(texts: list[str], place: int) -> None:
    held = Texts(texts)
    assert list(held) == texts == held[:]
    assert held[place:] == texts[place:]
    if -len(texts) <= place < len(texts):
        assert held[place] == texts[place]
    else:
        with pytest.raises(IndexError):
            held[place]


def test_a_file_name_that_is_no_text_is_kept() -> None:
    assert list(Texts(["a", "\udcff.mp4"])) == ["a", "\udcff.mp4"]
