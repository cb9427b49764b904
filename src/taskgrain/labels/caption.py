"""The forms of a caption: its template alone, with simplified objects, or in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from taskgrain.labels.simplify import head_noun, last_word
from taskgrain.labels.template import fill, strip_brackets

CaptionForm = Literal["template", "simplified", "simplified-head-noun", "full"]
CAPTION_FORMS: tuple[CaptionForm, ...] = ("template", "simplified", "simplified-head-noun", "full")


def caption_of(template: str, placeholders: Sequence[str], form: CaptionForm) -> str:
    """Write a clip's caption in one of the forms, lower case.

    Args:
        template: with brackets, "Pushing [something]".
        placeholders: what fills each bracket.
        form: "template" leaves the placeholders' own words out ("pushing something"),
            "simplified" keeps the last word of each (the paper's rule), "simplified-head-noun" the
            noun that each is about, "full" all of them.

    Raises:
        ValueError: if the template has another number of brackets ("template" asks for none).
    """
    if form == "template":
        return strip_brackets(template).lower()
    if form == "simplified":
        return fill(template, [last_word(placeholder) for placeholder in placeholders])
    if form == "simplified-head-noun":
        return fill(template, [head_noun(placeholder) for placeholder in placeholders])
    return fill(template, placeholders)
