"""Which way captions say that something moves, and whether two of them contradict each other."""

from __future__ import annotations

from collections.abc import Sequence

from taskgrain.labels.directions import clear_sides_of

# Each pair of words with opposite meanings, and what else says the same.
_OPPOSITES = (
    ("up upward upwards upwardly", "down downward downwards downwardly"),
    ("into inside", "out outside"),
    ("above", "below under underneath beneath"),
    ("front", "behind"),
    ("closer nearer toward towards approaching together", "away apart"),
    ("forward forwards", "backward backwards"),
    ("clockwise", "counterclockwise anticlockwise"),
)
_POLE_OF = {
    word: (axis, pole)
    for axis, pair in enumerate(_OPPOSITES)
    for pole, words in enumerate(pair)
    for word in words.split()
}
_SIDES = len(_OPPOSITES)


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Phrases whose words of direction say none; "in front" is a place, "front door" a thing.
_IDIOMS = tuple(
    tuple(phrase.split())
    for phrase in (
        *("upside down", "right side up", "face up", "face down", "inside out", "close up"),
        *("apart from", "right away", "straight away", "out loud", "made up of", "up to date"),
        *(f"out of {what}" for what in ("focus", "order", "breath", "control", "tune", "date")),
    )
)
_IDIOMS_WITH = {
    word: tuple(
        (next(other for other in phrase if other != word), phrase)
        for phrase in _IDIOMS
        if word in phrase
    )
    for word in _POLE_OF
}
"""By word that says a direction, the idioms that hold it, each after another word of it."""
_AFTER_FRONT = _set("of and or then while to with")
# What "into" ends in where something becomes, and goes nowhere: "into two pieces".
_RESULTS = _set(
    "piece pieces part parts half halves third thirds quarter quarters bits slices strips cubes "
    "chunks sections fragments shreds crumbs shape shapes segments rings wedges "
    "laughter tears flames song applause"
)
_BEFORE_RESULT = 3  # words between them, at most: "into several very small pieces"
_NEW_PHRASE = _set("of with on in and or from to onto")  # "into a box of parts"
# How verbs begin whose particle is a part of them: "wiping it down", "cutting up", "slows down".
_VERBS_WITH = {
    "up": "clean cut chop mix warm heat wak wok speed dress fill finish eat dry wash tear giv gave "
    "break",
    "down": "wip writ wrote slow calm break broke shut",
    "out": "find found figur work check try tried hang hung point",
    "apart": "tak took",
}
_BEGINNINGS = {particle: tuple(verbs.split()) for particle, verbs in _VERBS_WITH.items()}
_OBJECTS = _set("it them him her")

Words = tuple[str, ...]
Directions = dict[int, tuple[object, ...]]
"""By axis, which of its two ends a caption says, in order."""


def directions_of(words: Sequence[str]) -> Directions:
    """Read the directions that lower-case words say; nothing where they say none.

    Left and right are sides where the words around them show it: "the man left" goes nowhere.
    Nor does what is torn "into two pieces" or turned "upside down".
    """
    said: Directions = {}
    words = tuple(words)
    for position, word in enumerate(words):
        if word in _POLE_OF and not _says_no_way(words, position):
            axis, pole = _POLE_OF[word]
            said[axis] = (*said.get(axis, ()), pole)
    if sides := clear_sides_of(words):
        said[_SIDES] = sides
    return said


def _says_no_way(words: Words, position: int) -> bool:
    """Whether a word that can say a direction says none by the words around it."""
    word = words[position]
    before, after = words[:position], words[position + 1 :]
    if word == "into":
        near = after[: _BEFORE_RESULT + 1]
        result = next((word for word in near if word in _RESULTS or word in _NEW_PHRASE), "")
        return result in _RESULTS
    if word == "front":
        return before[-1:] != ("in",) and bool(after) and after[0] not in _AFTER_FRONT
    idioms = [phrase for other, phrase in _IDIOMS_WITH[word] if other in words]
    if any(_is_within_phrase(phrase, words, position) for phrase in idioms):
        return True
    verbs = [each for each in before[-2:] if each not in _OBJECTS]
    return bool(verbs) and verbs[-1].startswith(_BEGINNINGS.get(word, ()))


def _is_within_phrase(phrase: Words, words: Words, position: int) -> bool:
    """Whether a phrase stands among the words so that it holds the one at a position."""
    return any(
        words[start : start + len(phrase)] == phrase
        for start in range(max(0, position - len(phrase) + 1), position + 1)
    )


def contradict(said: Directions, meant: Directions) -> bool:
    """Whether two captions disagree on an axis that both speak of.

    "From left to right" and "from right to left" do. What only one of them says is no
    contradiction: "the left shoe" pushed "from left to right" agrees with "from left to right".
    """
    return any(
        not _is_within(said[axis], meant[axis]) and not _is_within(meant[axis], said[axis])
        for axis in said.keys() & meant.keys()
    )


def _is_within(part: Sequence[object], whole: Sequence[object]) -> bool:
    """Whether the whole holds the part in its order, perhaps with more between."""
    rest = iter(whole)
    return all(each in rest for each in part)
