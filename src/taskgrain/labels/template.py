"""Templates and the captions made of them.

A template is a category's sentence with placeholders in brackets, as Something-Something ships it:
"Pushing [something] from left to right". Without brackets it is the category's name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

Words = Literal["taskgrain", "paper"]
"""How a caption becomes words: by `words_of`, or as the authors' code made them."""

# A dataset has far more rows than templates; the bound holds what a hostile one can fill.
_TEMPLATES_KEPT = 4096

_PLACEHOLDER = re.compile(r"\[([^\[\]]*)\]")
_BRACKETED = re.compile(r"(\[[^\[\]]*\])")
_NO_LATIN_LETTER = re.compile(r"[^A-Z]")
_COUNTED = "number of"  # what Something-Something writes in the brackets of a number
_UNITS = "one|two|three|four|five|six|seven|eight|nine"
# What a number is; the longer of two comes first, so that "twenty five cups" are not "five cups".
_NUMBER = (
    rf"(\d+|(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?: (?:{_UNITS}))?|"
    rf"(?:(?:a|{_UNITS}) )?hundred|(?:{_UNITS})|ten|eleven|twelve|thirteen|fourteen|fifteen|"
    r"sixteen|seventeen|eighteen|nineteen|half a dozen|"
    r"(?:a )?(?:couple of|pair of|lot of|number of|bunch of|handful of|few|dozen)|lots of|couple|"
    r"several|many|multiple|both)"
)


@lru_cache(maxsize=_TEMPLATES_KEPT)
def strip_brackets(template: str) -> str:
    """Name the category of a template: "Pushing [something]" -> "Pushing something"."""
    return template.replace("[", "").replace("]", "")


def plain_name(name: str) -> str:
    """Write a category so that names that differ in brackets, capitals or underscores are equal."""
    return " ".join(strip_brackets(name).replace("_", " ").casefold().split())


@lru_cache(maxsize=_TEMPLATES_KEPT)
def placeholder_count(template: str) -> int:
    """Count the bracketed placeholders of a template."""
    return len(placeholder_names(template))


@lru_cache(maxsize=_TEMPLATES_KEPT)
def placeholder_names(template: str) -> tuple[str, ...]:
    """Return what stands in the brackets of a template, in order: "something", "number of"."""
    return tuple(_PLACEHOLDER.findall(template))


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
    """Split a caption into lower-case words; punctuation is dropped, "doesn't" stays one word.

    Accents and vowel signs belong to their word, however they are encoded: words are in Unicode's
    composed form (NFC).
    """
    text = normal(caption)
    if text.isascii():
        return tuple(_words_in(text).findall(text))
    return tuple(word.replace("\u2019", "'") for word in _words_in(text).findall(text))


def words_as(rule: Words, caption: str) -> tuple[str, ...]:
    """Split a caption into words by a rule.

    "paper" is that of the authors' code: upper case, and of each word the letters A to Z alone, so
    that "doesn't" is DOESNT and "2 cups" is CUPS.
    """
    if rule == "taskgrain":
        return words_of(caption)
    words = (_NO_LATIN_LETTER.sub("", word) for word in caption.upper().split())
    return tuple(word for word in words if word)


def template_as(rule: Words, template: str) -> str:
    """Write a template so that `words_of` finds the words of a rule in it, in lower case.

    So `CaptionParser` reads captions made by any rule. What stands in its brackets stays.
    """
    if rule == "taskgrain":
        return template
    pieces = _BRACKETED.split(template)  # those in brackets have an odd index
    written = (
        piece if index % 2 else " ".join(words_as(rule, piece))
        for index, piece in enumerate(pieces)
    )
    return " ".join(piece for piece in written if piece)


def word_spans(text: str) -> list[tuple[int, int]]:
    """Return where each word stands, as (start, end); the text stays as it is."""
    return [match.span() for match in _words_in(text).finditer(text)]


def normal(text: str) -> str:
    """Write in lower case and in Unicode's composed form (NFC), so that equal words are equal."""
    if text.isascii():
        return text.lower()
    # Twice: lower case brings combining marks of its own ("\u0130").
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())


def _words_in(text: str) -> re.Pattern[str]:
    """Return the pattern of a word; `re` knows letters, not the marks that combine with them."""
    if text.isascii():
        return _word_pattern("")
    return _word_pattern("".join(sorted({c for c in text if unicodedata.category(c)[0] == "M"})))


@lru_cache(maxsize=256)
def _word_pattern(marks: str) -> re.Pattern[str]:
    if not marks:
        return re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
    part = rf"[^\W_](?:[^\W_]|[{re.escape(marks)}])*"
    return re.compile(rf"{part}(?:['\u2019]{part})*")


@dataclass(frozen=True, slots=True)
class ParsedCaption:
    """A caption, read: its template, and the words in each placeholder."""

    template: str
    objects: tuple[str, ...]


class CaptionParser:
    """Read a caption back into its template and objects; for scoring the captions of a decoder.

    Where several templates fit, the one with the most words of its own wins, so that "moving cup
    closer to box" is never read as "moving something" with a long object. Of those with equally
    many, one that lists its placeholders goes first where the caption has the comma of the list
    ("[something], [something] and [something]"), one whose number is a number ("[number of]")
    next, then the one with fewer placeholders, the commoner, and the first by name. Templates with
    the same words of their own cannot be distinguished: all of them are read as the first of those.
    """

    def __init__(
        self,
        templates: Sequence[str],
        *,
        counts: Mapping[str, int] | None = None,
        max_words: int | None = None,
        one_word_each: bool = False,
    ) -> None:
        """Prepare to recognise these templates (with brackets).

        Args:
            templates: in any order.
            counts: template -> training clips, to prefer the commoner.
            max_words: what says as many may have been cut there, and is compared with templates
                that are cut too; further words are left out. None where nothing is cut.
            one_word_each: whether placeholders are simplified; what has one word in each fits
                better than what has more.
        """
        counts = counts or {}
        ordered = sorted(
            set(templates), key=lambda name: (placeholder_count(name), -counts.get(name, 0), name)
        )
        self._first: dict[tuple[str, ...], str] = {}
        for template in ordered:
            self._first.setdefault(_own_parts(template), template)
        self._max_words = max_words
        self._one_word_each = one_word_each

    def parse(self, caption: str) -> ParsedCaption | None:
        """Parse a caption, or None where no template fits."""
        words = words_of(caption)[: self._max_words]
        is_cut = self._max_words is not None and len(words) == self._max_words
        text = " ".join(words)
        for rule in self._rules_when_cut if is_cut else self._rules:
            if rule.is_listed and (is_cut or "," not in caption):
                continue
            match = rule.pattern.fullmatch(_with_commas(caption) if rule.is_listed else text)
            if match:
                return ParsedCaption(rule.template, match.groups())
        return None

    def meaning(self, template: str, objects: Sequence[str]) -> ParsedCaption:
        """Write a known template and its objects as `parse` would.

        Objects become words; words behind the cut are left out. Templates
        that cannot be distinguished have one name.
        """
        parts = _own_parts(template)
        room = self._max_words
        spoken: list[str] = []
        for part, each in zip(parts, objects, strict=False):
            words = words_of(each)
            if room is not None:
                room -= len(part.split())
                if room <= 0:
                    break
                words = words[:room]
                room -= len(words)
            spoken.append(" ".join(words))
        return ParsedCaption(self._first.get(parts, template), tuple(spoken))

    @cached_property
    def _rules(self) -> list[_Rule]:
        return _in_order(
            rule
            for parts, template in self._first.items()
            for rule in (
                *_listed_rules(template, parts),
                *self._rules_of(template, list(_tokens(template, parts)), is_cut=False),
            )
        )

    @cached_property
    def _rules_when_cut(self) -> list[_Rule]:
        """The whole templates, and each cut after every word or placeholder."""
        # A decoder's captions end after `max_words`: of a long template only the beginning is then
        # there, and the whole template would not be recognised.
        cut = (
            rule
            for parts, template in self._first.items()
            for tokens in [list(_tokens(template, parts))]
            for end in range(1, len(tokens))
            for rule in self._rules_of(template, tokens[:end], is_cut=True)
        )
        first: dict[str, _Rule] = {}
        for rule in _in_order([*self._rules, *cut]):
            first.setdefault(rule.pattern.pattern, rule)
        return list(first.values())

    def _rules_of(self, template: str, tokens: Sequence[str], *, is_cut: bool) -> Iterator[_Rule]:
        """Return the strict rule of a template, where there is one, and the loose one."""
        own = sum(token not in _SLOTS for token in tokens)
        loose = [_ANY if token in _SLOTS else re.escape(token) for token in tokens]
        strict = [_SLOTS.get(token, re.escape(token)) for token in tokens]
        if self._one_word_each:
            strict = [r"(\S+)" if token in _SLOTS else re.escape(token) for token in tokens]
        if strict != loose:
            yield _Rule(template, re.compile(" ".join(strict)), own, is_cut, False)
        yield _Rule(template, re.compile(" ".join(loose)), own, is_cut, True)


class _Rule(NamedTuple):
    template: str
    pattern: re.Pattern[str]
    own_words: int
    is_cut: bool
    is_loose: bool
    is_listed: bool = False  # whether the pattern is of a caption's words with its commas


_ANY = "(.+?)"
_SLOTS = {"[]": _ANY, "[#]": _NUMBER}
"""What stands for a placeholder among a template's words, and what it is to hold."""


def _in_order(rules: Iterable[_Rule]) -> list[_Rule]:
    """Sort by what fits better; otherwise the order stays."""
    return sorted(
        rules, key=lambda rule: (-rule.own_words, rule.is_cut, not rule.is_listed, rule.is_loose)
    )


# Without the comma "Putting [something], [something] and [something] on the table" was read as the
# template of two things, with one long object.
def _listed_rules(template: str, parts: Sequence[str]) -> Iterator[_Rule]:
    """Yield the rule of a template that divides placeholders by commas alone; else nothing."""
    raw = fixed_parts(template)
    is_comma = ["," in part and not words for part, words in zip(raw, parts, strict=True)]
    if not any(is_comma[1:-1]):
        return
    pattern = ""
    for index, words in enumerate(map(str.split, parts)):
        tokens = [*(["([^,]+?)"] if index else []), *map(re.escape, words)]
        if pattern and tokens:
            pattern += " , " if is_comma[index - 1] else "(?: ,)? "
        pattern += "(?: ,)? ".join(tokens)
    own = sum(len(words.split()) for words in parts)
    yield _Rule(template, re.compile(pattern), own, False, False, is_listed=True)


def _with_commas(caption: str) -> str:
    """Write a caption's words with a space between, and its commas as words."""
    phrases = (" ".join(words_of(phrase)) for phrase in caption.split(","))
    return " , ".join(phrase for phrase in phrases if phrase)


@lru_cache(maxsize=_TEMPLATES_KEPT)
def _own_parts(template: str) -> tuple[str, ...]:
    """Return a template's own words, in the parts between its placeholders."""
    return tuple(" ".join(words_of(part)) for part in fixed_parts(template))


def _tokens(template: str, parts: Sequence[str]) -> Iterator[str]:
    """Return a template's words in order, with a mark for each placeholder."""
    yield from parts[0].split()
    for inside, part in zip(placeholder_names(template), parts[1:], strict=True):
        yield "[#]" if inside.lower() == _COUNTED else "[]"
        yield from part.split()
