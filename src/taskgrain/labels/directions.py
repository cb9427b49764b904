"""Left and right in a text: which words say them, and whether they mean a side at all."""

from __future__ import annotations

from collections.abc import Sequence

from taskgrain.labels.simplify import latin
from taskgrain.labels.template import word_spans, words_of

_ENDINGS = ("", "most", "ward", "wards", "hand", "handed", "side", "sided")
_MIRRORED = {
    word + ending: image + ending
    for word, image in (("left", "right"), ("right", "left"))
    for ending in _ENDINGS
}
_BARE = ("left", "right")  # also a verb, a remainder, an angle: only the words around them tell


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Things that come as a left and a right one, and parts of a thing or a place.
_SIDED = _set(
    "hand hands arm arms foot feet leg legs shoe shoes sock socks slipper slippers glove gloves "
    "sandal sandals boot boots sneaker sneakers mitten mittens ear ears eye eyes earbud earphone "
    "earring headphone airpod speaker knee thumb finger fingers fingertip palm fist wrist elbow "
    "shoulder pocket index pinky lens side sides corner corners edge edges end ends half "
    "upper lower top bottom most handed sided ward wards"
)
_NO_SIDES = _set("up down out in")  # "right side up"
_POINTING = _set("to from toward towards on at")
_OWNING = _set("the my your his her its their our far top bottom upper lower")
# What may follow a side that a preposition points to: "to the right of", "on the left while".
_FOLLOWING = _set("to of and or while then with until so but from across along using in on onto by")


def swap_sides(text: str) -> str:
    """Write every left as right and every right as left; the case of each word stays."""
    if _says_no_side(text):
        return text
    words = _words(text)
    swapped = [
        _MIRRORED[word] if _says_side(words, position) else word
        for position, word in enumerate(words)
    ]
    return replace_words(text, swapped)


def replace_words(text: str, words: Sequence[str]) -> str:
    """Put other words in the places of a text's own, with their case and all punctuation.

    Args:
        text: with as many words as there are in `words`.
        words: lower case; one that is the same leaves its place as it is.
    """
    pieces: list[str] = []
    done = 0
    for (start, end), old, new in zip(word_spans(text), _words(text), words, strict=True):
        pieces += [
            text[done:start],
            text[start:end] if old == new else _cased(new, text[start:end]),
        ]
        done = end
    return "".join([*pieces, text[done:]])


def sides_of(words: Sequence[str]) -> tuple[str, ...]:
    """Give the sides that lower-case words say, in order: "left" or "right" each."""
    return tuple(
        "left" if word.startswith("left") else "right"
        for position, word in enumerate(words)
        if _says_side(words, position)
    )


def other_side(side: str) -> str:
    """Turn "left" into "right" and back."""
    return _MIRRORED[side]


def has_unknown_word(words: Sequence[str]) -> bool:
    """Whether a word turns or takes sides in a way whose mirror image is unknown: "clockwise"."""
    return any(
        word not in _MIRRORED
        and (word.endswith("clockwise") or latin(word).startswith(_BARE))  # "leftovers"
        for word in words
    )


def is_understood(text: str) -> bool:
    """Whether every left and right in a text surely means a side, so that it can be mirrored."""
    if _says_no_side(text):
        return True
    words = words_of(text)
    if has_unknown_word(words) or words != tuple(_words(text)):
        return False
    return all(_is_side(words, position) for position, word in enumerate(words) if word in _BARE)


def _says_side(words: Sequence[str], position: int) -> bool:
    """Whether a word says left or right, and not only "right out" or "right away"."""
    if words[position] not in _BARE:
        return words[position] in _MIRRORED
    before, after = words[:position], words[position + 1 :]
    is_figure = bool(after) and after[0] in ("out", "away")
    return not is_figure or (bool(before) and before[-1] in (*_OWNING, *_POINTING))


def _is_side(words: Sequence[str], position: int) -> bool:
    """Whether the "left" or "right" at a position is a side by the words around it."""
    before, after = words[:position], words[position + 1 :]
    if after and after[0] in _SIDED:
        return not (after[0] == "side" and len(after) > 1 and after[1] in _NO_SIDES)
    if len(after) > 1 and after[0] == "to" and after[1] in _BARE:  # "left to right"
        return True
    if after and after[0] not in _FOLLOWING:
        return False
    if len(before) > 1 and before[-1] in ("and", "or") and before[-2] in _BARE:
        return _is_side(words, position - 2)
    owned = bool(before) and before[-1] in _OWNING
    while before and before[-1] in _OWNING:
        before = before[:-1]
    is_pointed_to = bool(before) and before[-1] in _POINTING
    return is_pointed_to or (owned and not after and not before)


def _says_no_side(text: str) -> bool:
    """Whether a glance shows that no word has a side; most texts are no slower than this."""
    lower = text.lower()
    return text.isascii() and not any(part in lower for part in (*_BARE, "clockwise"))


def _words(text: str) -> list[str]:
    """Give the words where `word_spans` finds them, in lower case."""
    return [text[start:end].lower().replace("\u2019", "'") for start, end in word_spans(text)]


def _cased(word: str, like: str) -> str:
    if like.isupper():
        return word.upper()
    return word.capitalize() if like[:1].isupper() else word
