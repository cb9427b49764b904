"""Templates and the captions made of them.

A template is a category's sentence with placeholders in brackets, as Something-Something ships it:
"Pushing [something] from left to right". Without brackets it is the category's name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

# A dataset has far more rows than templates; the bound holds what a hostile one can fill.
_TEMPLATES_KEPT = 4096

_PLACEHOLDER = re.compile(r"\[([^\[\]]*)\]")
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*", re.UNICODE)


@lru_cache(maxsize=_TEMPLATES_KEPT)
def strip_brackets(template: str) -> str:
    """Name the category of a template: "Pushing [something]" -> "Pushing something"."""
    return template.replace("[", "").replace("]", "")


@lru_cache(maxsize=_TEMPLATES_KEPT)
def placeholder_count(template: str) -> int:
    """Count the bracketed placeholders of a template."""
    return len(_PLACEHOLDER.findall(template))


@lru_cache(maxsize=_TEMPLATES_KEPT)
def fixed_parts(template: str) -> tuple[str, ...]:
    """Split a template at its placeholders: one part more than it has placeholders."""
    return tuple(_PLACEHOLDER.split(template)[::2])


def fill(template: str, placeholders: Sequence[str]) -> str:
    """Put the placeholders into the brackets, in order; lower case, as captions are.

    Raises:
        ValueError: if the template has another number of brackets.
    """
    wanted = placeholder_count(template)
    if wanted != len(placeholders):
        raise ValueError(
            f"template {template!r} has {wanted} placeholders, got {len(placeholders)}: "
            f"{list(placeholders)!r}"
        )
    first, *parts = fixed_parts(template)
    filled = "".join(piece for pair in zip(placeholders, parts, strict=True) for piece in pair)
    return (first + filled).lower()


def words_of(caption: str) -> tuple[str, ...]:
    """Split a caption into lower-case words; punctuation is dropped, "doesn't" stays one word."""
    return tuple(word.replace("\u2019", "'") for word in _WORD.findall(caption.lower()))


def word_spans(text: str) -> list[tuple[int, int]]:
    """Say where each word stands, as (start, end); upper and lower case as they are."""
    return [match.span() for match in _WORD.finditer(text)]


@dataclass(frozen=True, slots=True)
class ParsedCaption:
    """What a caption says: its template, and the words in each placeholder."""

    template: str
    objects: tuple[str, ...]


class CaptionParser:
    """Read a caption back into its template and objects; for scoring what a decoder said.

    Where several templates fit, the one with the most words of its own wins, so that "moving cup
    closer to box" is never read as "moving something" with a long object.
    """

    def __init__(self, templates: Sequence[str]) -> None:
        """Prepare to recognise these templates (with brackets)."""
        rules = [
            (sum(len(words_of(part)) for part in fixed_parts(template)), template)
            for template in templates
        ]
        # Ties by name, so that the order of the templates cannot matter.
        ordered = sorted(rules, key=lambda rule: (-rule[0], rule[1]))
        self._rules = [(template, _pattern(template)) for _, template in ordered]

    def parse(self, caption: str) -> ParsedCaption | None:
        """Parse a caption, or None where no template fits."""
        text = " ".join(words_of(caption))
        for template, pattern in self._rules:
            match = pattern.fullmatch(text)
            if match:
                return ParsedCaption(template, match.groups())
        return None


def _pattern(template: str) -> re.Pattern[str]:
    parts = [" ".join(words_of(part)) for part in fixed_parts(template)]
    pieces = [re.escape(parts[0])]
    for part in parts[1:]:
        pieces += ["(.+?)", re.escape(part)]
    return re.compile(" ".join(piece for piece in pieces if piece))
