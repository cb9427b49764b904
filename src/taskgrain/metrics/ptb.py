"""Words as coco-caption sees them: the tokens of the Penn Treebank, lower case, no punctuation.

Written from what Stanford's PTBTokenizer 3.4.1 does with captions, so that no Java is needed. Where
it leaves a mark that coco-caption does not drop ("-lrb-" for a bracket, "?!"), so does this. What
stays different is listed in docs/commands.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from taskgrain.metrics.ptb_patterns import DROPPED_CHARACTERS, TOKEN

# What coco-caption drops, and every kind of quote and dash that becomes one of it.
_DROPPED = frozenset("'`.?!,:-;\"") | frozenset(("''", "``", "--", "..."))
_DROPPED |= frozenset("\u201c\u201d\u2018\u2019\u201b\u00ab\u00bb\u2039\u203a")
_DROPPED |= frozenset("\u2010\u2011\u2012\u2013\u2014\u2015\u2026")
_WRITTEN = {
    **{"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"},
    **{"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": "''", "&apos;": "'", "&nbsp;": "''"},
    **{"£": "#", "€": "$", "\u00a4": "$", "\u20a0": "$", "¢": "cents"},
    **{"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"},
}
_PARTS = {
    "cannot": ("can", "not"),
    "gonna": ("gon", "na"),
    "gotta": ("got", "ta"),
    "wanna": ("wan", "na"),
    "lemme": ("lem", "me"),
    "gimme": ("gim", "me"),
}
# Letters, and numbers that are no part of a longer one with spaces in it ("1 000 000").
_PLAIN = re.compile(r"(?:[a-zA-Z ]++|[0-9]++(?! [0-9]))*+")
_SOFT_HYPHEN = "\u00ad"
_SPACE_INSIDE = "\u00a0"  # how PTB writes a space within a word
# A caption whose last words depend on what follows it: "plan A." and "no." do.
_LEANING = re.compile(r"(?:^|[^a-zA-Z])[a-zA-Z]{1,4}\.\s*$")
_FIRST_WORD = re.compile(r"\s*\S+(?:\s|$)")


def ptb_words(caption: str, *, following: str = "") -> tuple[str, ...]:
    """Split a caption into words as coco-caption does before it scores.

    Contractions are parted ("doesn't" -> "does", "n't"), words with hyphens stay whole, quotes and
    punctuation are dropped, brackets become "-lrb-" and "-rrb-", a tag such as "<unk>" stays one.
    A mixed fraction or a telephone number is one word, with no-break spaces (U+00A0) inside.

    Args:
        caption: of any length; line feeds are spaces.
        following: the caption on the next line of coco-caption's file, which shows whether a last
            "A." ends a sentence.
    """
    if _PLAIN.fullmatch(caption):
        words = caption.lower().split()
        if _PARTS.keys().isdisjoint(words):
            return tuple(words)
    text = _prepared(caption)
    end = len(text)
    if following:
        text = f"{text}\n{_prepared(following)}"
    tokens = (match[0] for match in TOKEN.finditer(text) if match.start() < end)
    return tuple(part for token in tokens for part in _parts(token) if part not in _DROPPED)


def ptb_words_of_all(captions: Iterable[str]) -> list[tuple[str, ...]]:
    """Split captions that coco-caption would write into one file, in this order.

    Only a caption that ends as "plan A." does is split otherwise than by itself: where the next one
    begins with a word such as "The", its full stop ends a sentence and is dropped.
    """
    captions = list(captions)
    return [
        _cached_words(caption, _first_word(following) if _LEANING.search(caption) else "")
        for caption, following in zip(captions, [*captions[1:], ""], strict=False)
    ]


@lru_cache(maxsize=1 << 17)
def _cached_words(caption: str, following: str) -> tuple[str, ...]:
    return ptb_words(caption, following=following)


def _first_word(caption: str) -> str:
    """Return a caption's first word, with a space behind it where there is one."""
    match = _FIRST_WORD.match(caption)
    return match[0] if match else ""


def _prepared(caption: str) -> str:
    """Leave out what the tokenizer does not know; it parts words, but for a soft hyphen."""
    caption = caption.replace("\n", " ")
    if caption.isascii():
        return caption
    return DROPPED_CHARACTERS.sub(" ", caption.replace(_SOFT_HYPHEN, ""))


def _parts(token: str) -> tuple[str, ...]:
    """Write one token as PTB does; some words are two."""
    token = token.lower()
    if token in _PARTS:
        return _PARTS[token]
    if token.startswith("..."):
        return ("...",)
    if token.strip("-") == "":
        return ("--",)
    if token[0] in "'\u2019\u2018nN" and len(token) > 1:  # a suffix: "n't", "'s"
        token = token.replace("\u2019", "'").replace("\u2018", "`")
    if token in _WRITTEN:
        return (_WRITTEN[token],)
    if " " in token or (len(token) > 1 and not token[0].isalnum()):
        token = token.replace(" ", _SPACE_INSIDE).replace("(", "-lrb-").replace(")", "-rrb-")
    return (token,)
