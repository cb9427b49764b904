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

Directions = dict[int, tuple[object, ...]]
"""By axis, which of its two ends a caption says, in order."""


def directions_of(words: Sequence[str]) -> Directions:
    """Read the directions that lower-case words say; nothing where they say none.

    Left and right are sides where the words around them show it: "the man left" goes nowhere.
    """
    said: Directions = {}
    for word in words:
        if word in _POLE_OF:
            axis, pole = _POLE_OF[word]
            said[axis] = (*said.get(axis, ()), pole)
    if sides := clear_sides_of(words):
        said[_SIDES] = sides
    return said


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
