from __future__ import annotations

import pytest

from taskgrain.labels.caption import CAPTION_FORMS, CaptionForm, caption_of
from tests.making import PUSH


def test_each_form_says_more_than_the_one_before() -> None:
    objects = ["a cup of coffee"]
    assert [caption_of(PUSH, objects, form) for form in CAPTION_FORMS] == [
        "pushing something from left to right",
        "pushing coffee from left to right",
        "pushing cup from left to right",
        "pushing a cup of coffee from left to right",
    ]


@pytest.mark.parametrize("form", CAPTION_FORMS[1:])
def test_a_form_that_fills_the_template_needs_its_placeholders(form: CaptionForm) -> None:
    with pytest.raises(ValueError, match="has 1 placeholders, got 0"):
        caption_of(PUSH, [], form)
