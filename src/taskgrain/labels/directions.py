"""Left and right in a text: which words say them, and whether they mean a side at all."""

from __future__ import annotations

from collections.abc import Sequence

from taskgrain.labels.caption import latin, word_set
from taskgrain.labels.template import normal, word_spans, words_of

_ENDINGS = ("", "most", "ward", "wards", "hand", "handed", "side", "sided")
_MIRRORED = {
    word + ending: image + ending
    for word, image in (("left", "right"), ("right", "left"))
    for ending in _ENDINGS
}
_BARE = ("left", "right")  # also a verb, a remainder, an angle: only the words around them tell


# "Left" and "right" are sides, but "left" is also a verb ("the man left") and a remainder ("what is
# left of it"), "right" a manner ("right away") and an angle. Mirroring needs every one of them to
# be surely a side (`is_understood`), for a wrong label costs accuracy; the score of directions
# takes those that the words around them show (`clear_sides_of`), and passes over the others.
# Things that come as a left and a right one, and parts of a thing or a place.
_SIDED = word_set(
    "hand hands arm arms foot feet leg legs shoe shoes sock socks slipper slippers glove gloves "
    "sandal sandals boot boots sneaker sneakers mitten mittens ear ears eye eyes earbud earphone "
    "earring headphone airpod speaker knee thumb finger fingers fingertip palm fist wrist elbow "
    "shoulder pocket index pinky lens side sides corner corners edge edges end ends half "
    "upper lower top bottom most handed sided ward wards"
)
_NO_SIDES = word_set("up down out in")  # "right side up"
_POINTING = word_set("to from toward towards on at by")
_OWNING = word_set("the my your his her its their our far top bottom upper lower")
# Before "left shoe" these show that no verb stands there. "This left half of it" may have one.
_ARTICLES = _OWNING | word_set("a an small big")
_PREPOSITIONS = _POINTING | word_set("in with using into onto of for against behind near between")
_BEING = word_set("is are was were am be been being")
# What may follow a side that a preposition points to: "to the right of", "on the left while".
_GOING_ON = word_set("and or while then with until so but")
_FOLLOWING = _GOING_ON | word_set("to of from across along using in on onto by")
_MANNER = word_set(
    "slowly quickly gently carefully slightly rapidly smoothly suddenly steadily repeatedly "
    "swiftly gradually briefly finally immediately continuously completely very fast again once "
    "twice too quite"
)
# Behind these "moves left" may be moves that are left, or a part of a relative clause.
_COUNTING = _OWNING | word_set(
    "a an no some any many more few several all one two three four five six seven eight nine ten "
    "has have had having there with of only"
)
_RELATIVE = word_set("who that which what whoever whatever whom")
_SUBJECTS = word_set("he she they we i who")
_PRONOUNS = _SUBJECTS | word_set("it you")
_CONTRACTED = _PRONOUNS | _RELATIVE | word_set("there here")
_LINKING = word_set("and then while as when but so or if before after because until where")


def _forms(verb: str) -> set[str]:
    """Conjugate a regular verb."""
    stem = verb[:-1] if verb.endswith("e") else verb
    third = verb + ("es" if verb.endswith(("o", "s", "sh", "ch")) else "s")
    return {verb, third, f"{stem}ing", f"{stem}ed"}


# "comes right", "looks right" and "turns out right" say no side, so they are none of these.
_MOTIONS = word_set(
    "went swung slid panning panned dragging dragged spinning spun running ran drove stepping "
    "stepped swept bent"
).union(
    *map(
        _forms,
        word_set(
            "go move swipe slide turn push pull swing tilt lean walk roll drift shift scroll "
            "rotate steer veer head point face glance step jump float travel wave kick bend "
            "flick sweep crawl swerve nudge sway bounce dash skate pan drag spin run drive"
        ),
    ),
)
# Verbs of a clause whose subject ends with a side: "the man on the left throws".
_PREDICATES = _MOTIONS | word_set(
    "is are was were has does can will throws catches picks puts takes holds lifts drops raises "
    "gives shows touches opens closes stands sits walks hits plays waves claps starts stops"
)


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
    """Return the sides that lower-case words say, in order: "left" or "right" each."""
    return tuple(_side(word) for position, word in enumerate(words) if _says_side(words, position))


def clear_sides_of(words: Sequence[str]) -> tuple[str, ...]:
    """Return only the sides of `sides_of` that the words around them show to be sides.

    "To the left", "left of", "the left cup", "pushing a cup left"; but not "the man left", "what is
    left of it", "right away", where a verb, a remainder or a manner is meant.
    """
    if _MIRRORED.keys().isdisjoint(words):
        return ()
    return tuple(
        _side(word)
        for position, word in enumerate(words)
        if _says_side(words, position)
        if word not in _BARE or _is_side(words, position) or _is_placed(words, position)
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


def _side(word: str) -> str:
    return "left" if word.startswith("left") else "right"


def _says_side(words: Sequence[str], position: int) -> bool:
    """Whether a word says left or right, and not only "right out" or "right away"."""
    if words[position] not in _BARE:
        return words[position] in _MIRRORED
    before, after = words[:position], words[position + 1 :]
    is_figure = bool(after) and after[0] in ("out", "away")
    return not is_figure or (bool(before) and before[-1] in (*_OWNING, *_POINTING))


def _is_side(words: Sequence[str], position: int) -> bool:
    """Whether the "left" or "right" at a position is a side by the words around it."""
    before, after = list(words[:position]), list(words[position + 1 :])
    if after and after[0] in _SIDED:
        is_posture = after[0] == "side" and len(after) > 1 and after[1] in _NO_SIDES
        return not is_posture and _is_of_a_thing(words, position)
    if len(after) > 1 and after[0] == "to" and after[1] in _BARE:  # "left to right"
        return not before or before[-1] not in _SUBJECTS
    if len(before) > 1 and before[-1] in ("and", "or", "then") and before[-2] in _BARE:
        return _may_end(after) and _is_side(words, position - 2)
    if len(after) > 2 and after[0] in ("and", "or") and after[1] in _BARE and after[2] in _SIDED:
        return _is_of_a_thing(words, position)  # "right and left hand"
    return _is_pointed_to(before, after) or (_is_moved_to(before) and _may_end(after, _GOING_ON))


def _is_placed(words: Sequence[str], position: int) -> bool:
    """Whether "left" or "right" is surely a place or a way, though perhaps not whose."""
    before, after = list(words[:position]), list(words[position + 1 :])
    if before and before[-1] in _OWNING:  # "the left cup", and not "a cup right on the table"
        return True
    if _RELATIVE.intersection(before) or (before and before[-1] in (_BEING | _SUBJECTS)):
        return False
    if after and after[0] == "of":  # "a cup left of a box"
        return True
    return bool(_MOTIONS.intersection(before)) and _may_end(after, _GOING_ON)


def _is_of_a_thing(words: Sequence[str], position: int) -> bool:
    """Whether the side before "shoe" says which one, where "a man left shoes behind" does not."""
    before, thing = words[:position], words[position + 1]
    if not before or before[-1] in _ARTICLES:
        return True
    if before[-1] in _PREPOSITIONS:
        return not _RELATIVE.intersection(before)  # "the man who came in left half of it"
    if before[-1].endswith("'s"):  # "the man's left hand", but "the man's left shoes there"
        return before[-1][:-2] not in _CONTRACTED and not thing.endswith(("s", "half"))
    if before[-1].endswith("ing"):  # "raising left hand", "is raising left hand"
        return len(before) == 1 or before[-2] in _BEING
    if before[-1] in ("and", "or"):  # "right and left hand", "right hand and left hand"
        other = next(
            (n for n in (position - 2, position - 3) if n >= 0 and words[n] in _BARE), None
        )
        return other is not None and _is_of_a_thing(words, other)
    return False


def _is_pointed_to(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether a preposition points to the side: "to the left", "at far right", "with the left"."""
    bare = list(before)
    while bare and bare[-1] in _OWNING:
        bare.pop()
    is_owned = len(bare) < len(before)
    if not bare:
        return is_owned and not after  # "my left"
    if bare[-1] == "with":
        return is_owned and _may_end(after, _GOING_ON)
    if bare[-1] not in _POINTING or (bare[-1] == "by" and not is_owned):
        return False
    is_subject = bare[-1] in ("on", "at") and len(bare) > 1 and bool(after)
    return _may_end(after) or (is_subject and after[0] in _PREDICATES)


def _is_moved_to(before: Sequence[str]) -> bool:
    """Whether a verb of motion, its adverb or its pronoun stands right before the side."""
    bare = list(before)
    while bare and bare[-1] in _MANNER:
        bare.pop()
    if bare and bare[-1] in ("it", "him", "them"):
        bare.pop()
    if not bare or bare[-1] not in _MOTIONS or _RELATIVE.intersection(bare):
        return False
    rest = bare[:-1]
    if rest and rest[-1] in _PRONOUNS:  # "the shoes he moved left with her"
        return len(rest) == 1 or rest[-2] in _LINKING
    if rest and rest[-1] in _BEING:  # "is moving left", but "there are turns left"
        return bare[-1].endswith(("ing", "ed"))
    return not rest or rest[-1] not in _COUNTING


def _may_end(after: Sequence[str], following: frozenset[str] = _FOLLOWING) -> bool:
    """Whether a phrase may end before these words; what else follows may be what it is about."""
    return not after or after[0] in following or after[0] in _MANNER


def _says_no_side(text: str) -> bool:
    """Whether a glance shows that no word has a side; most texts are no slower than this."""
    lower = text.lower()
    return text.isascii() and not any(part in lower for part in (*_BARE, "clockwise"))


def _words(text: str) -> list[str]:
    """Return the words where `word_spans` finds them, in lower case."""
    return [normal(text[start:end]).replace("\u2019", "'") for start, end in word_spans(text)]


def _cased(word: str, like: str) -> str:
    if like.isupper():
        return word.upper()
    return word.capitalize() if like[:1].isupper() else word
