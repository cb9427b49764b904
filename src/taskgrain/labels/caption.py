"""The forms of a caption: its template alone, with simplified objects, or in full."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from taskgrain.labels.simplify import head_noun, last_word
from taskgrain.labels.template import fill, placeholder_count, strip_brackets, words_of

CaptionForm = Literal["template", "simplified", "simplified-head-noun", "full"]
CAPTION_FORMS: tuple[CaptionForm, ...] = ("template", "simplified", "simplified-head-noun", "full")
_RULES: dict[CaptionForm, Callable[[str], str]] = {
    "simplified": last_word,
    "simplified-head-noun": head_noun,
}


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
    return fill(template, objects_of(placeholders, form))


def objects_of(placeholders: Sequence[str], form: CaptionForm) -> tuple[str, ...]:
    """Write what fills each bracket in one of the forms; nothing for "template"."""
    if form == "template":
        return ()
    rule = _RULES.get(form)
    return tuple(placeholders) if rule is None else tuple(map(rule, placeholders))


def captions_as(
    form: CaptionForm, template: str, placeholders: Sequence[str], captions: Sequence[str]
) -> tuple[str, ...]:
    """Write all captions of a clip in a form; the annotators' own words where it is full.

    Raises:
        ValueError: as `caption_of`.
    """
    return tuple(captions) if form == "full" else (caption_of(template, placeholders, form),)


def is_free(template: str, caption: str) -> bool:
    """Whether a clip's caption is a sentence of its own: its template has no brackets to fill.

    Such a caption has the form "full" alone; its category is no part of its words.
    """
    return not placeholder_count(template) and words_of(caption) != words_of(template)
