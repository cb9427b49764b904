"""The forms of a caption: its template alone, with simplified objects, or in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from taskgrain.labels.template import fill, words_of

CaptionForm = Literal["template", "simplified", "full"]
CAPTION_FORMS: tuple[CaptionForm, ...] = ("template", "simplified", "full")


def last_word(placeholder: str) -> str:
    """Simplify a placeholder to its last word (the paper's rule): "a small red cup" -> "cup"."""
    words = words_of(placeholder)
    return words[-1] if words else placeholder


def caption_of(template: str, placeholders: Sequence[str], form: CaptionForm) -> str:
    """Write a clip's caption in one of the forms, lower case.

    Args:
        template: with brackets, "Pushing [something]".
        placeholders: what fills each bracket.
        form: "template" leaves the placeholders' own words out ("pushing something"),
            "simplified" keeps the last word of each, "full" all of them.
    """
    if form == "template":
        return template.replace("[", "").replace("]", "").lower()
    if form == "simplified":
        return fill(template, [last_word(placeholder) for placeholder in placeholders])
    return fill(template, placeholders)
