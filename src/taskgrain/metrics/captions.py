"""How many captions are right: as a whole, in their template, in each object, in their direction.

A direction is wrong where a caption says the opposite of what its references say.

Shapes: N clips, C counts a clip.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import numpy as np

from taskgrain.labels.directions import clear_sides_of
from taskgrain.labels.template import ParsedCaption, words_of
from taskgrain.labels.vocabulary import SPECIALS, UNK
from taskgrain.metrics.tally import Tally, share_of

Parse = Callable[[str], ParsedCaption | None]
Captions = str | Sequence[str]  # of one clip: one caption, or several alternatives
Words = tuple[str, ...]
SlotCounts = tuple[int, int, int, int, int, int, int]

UNKNOWN = SPECIALS[UNK]
ARTICLES = ("a", "an", "the")
_CAPTIONS_KEPT = 1 << 16  # many clips share captions, and each is looked at several times


class CaptionCounts(NamedTuple):
    """Counts of one clip; those of several add up, field by field (`caption_tallies`).

    Words are compared: upper case, punctuation and spaces make no difference. Where a clip has
    several references, a caption is right if it is right by any of them; its objects are counted
    by the reference that it fits best.

    An object is right where the prediction names the same words in the same slot, whatever its
    template, so that seeing the object and seeing the action count separately. A prediction that
    fits no template has neither template nor objects right; one that is a true caption word for
    word has both, even where other templates fit it too. Of an object the noun is its last word
    (the paper's rule of simplification), the modifiers are the words before it in their order,
    articles apart: "a small red cup" has the noun "cup" and the modifiers "small red".

    A direction is wrong where the caption says the opposite of every reference that says one:
    "left to right" for "right to left". A caption without a direction makes no such error.
    """

    num_clips: int = 0
    num_exact: int = 0
    num_parsed: int = 0  # clips of which a true template is known
    num_templates_right: int = 0  # of those
    num_objects: int = 0  # slots of their true captions
    num_objects_right: int = 0
    num_nouns_right: int = 0  # of those slots
    num_modified: int = 0  # slots of which the true caption has modifiers
    num_modifiers_right: int = 0  # of those, all of them and no other
    num_directed: int = 0  # clips of which a true caption says a direction
    num_directions_wrong: int = 0  # of those
    num_words: int = 0  # of the predictions
    num_true_words: int = 0  # of the reference closest in length
    num_unknown: int = 0  # of the predicted words, those that are "<unk>"


def count_clips(
    predicted: Sequence[str],
    true: Sequence[Captions],
    *,
    parse: Parse,
    meant: Sequence[ParsedCaption | None] | None = None,
) -> list[CaptionCounts]:
    """Count each clip by itself.

    Args:
        predicted: one caption a clip; an empty caption is wrong in everything.
        true: the reference captions in the same order, one a clip or several.
        parse: reads a caption's template and objects; None where no template fits.
        meant: what the first true caption of each clip means by its annotation, written as
            `parse` writes it; None for a clip, or for all, where only the words are known,
            which are parsed.

    Raises:
        ValueError: if there are not as many of one as of the other, or a clip has no true
            caption.
    """
    meant = [None] * len(true) if meant is None else meant
    if len(predicted) != len(true):
        raise ValueError(f"{len(predicted)} captions for {len(true)} clips")
    return [
        _count(
            caption, (references,) if isinstance(references, str) else references, parse, meaning
        )
        for caption, references, meaning in zip(predicted, true, meant, strict=True)
    ]


def caption_tallies(clips: Sequence[CaptionCounts]) -> dict[str, Tally]:
    """Tally the scores of clips that were counted one by one, by name.

    The names are exact-match, template-accuracy, object-accuracy, noun-accuracy,
    modifier-accuracy, direction-errors, length-ratio and unknown-rate.
    """
    numbers = np.fromiter(chain.from_iterable(clips), np.float64)
    counts = numbers.reshape(len(clips), len(CaptionCounts._fields))
    column = dict(zip(CaptionCounts._fields, counts.T, strict=True))
    return {
        "exact-match": share_of(column["num_exact"], column["num_clips"]),
        "template-accuracy": share_of(column["num_templates_right"], column["num_parsed"]),
        "object-accuracy": share_of(column["num_objects_right"], column["num_objects"]),
        "noun-accuracy": share_of(column["num_nouns_right"], column["num_objects"]),
        "modifier-accuracy": share_of(column["num_modifiers_right"], column["num_modified"]),
        "direction-errors": share_of(column["num_directions_wrong"], column["num_directed"]),
        "length-ratio": share_of(column["num_words"], column["num_true_words"]),
        "unknown-rate": share_of(column["num_unknown"], column["num_words"]),
    }


@lru_cache(maxsize=_CAPTIONS_KEPT)
def spoken_words(caption: str) -> Words:
    """Split a caption into words as `words_of` does; "<unk>" stays the unknown word."""
    if UNKNOWN not in caption:
        return words_of(caption)
    pieces = caption.split(UNKNOWN)
    words = [*words_of(pieces[0])]
    for piece in pieces[1:]:
        words += [UNKNOWN, *words_of(piece)]
    return tuple(words)


def _count(
    caption: str, references: Sequence[str], parse: Parse, meaning: ParsedCaption | None
) -> CaptionCounts:
    if not references:
        raise ValueError("a clip has no true caption; expected one or more")
    words = spoken_words(caption)
    meant = list(map(spoken_words, references))
    meanings = [meaning or parse(references[0]), *map(parse, references[1:])]
    reading = None
    # A caption may fit several templates: "putting a, b and c on the table" has two objects or
    # three. One that repeats a reference means what that one does.
    if words in meant:
        same = (truth for each, truth in zip(meant, meanings, strict=True) if each == words)
        reading = next(filter(None, same), None)
    reading = reading or parse(caption)
    directed, wrong = _count_directions(words, meant)
    return CaptionCounts(
        1,
        int(words in meant and UNKNOWN not in words),
        *_count_slots(reading, [truth for truth in meanings if truth is not None]),
        directed,
        wrong,
        len(words),
        _nearest_length(len(words), meant),
        words.count(UNKNOWN),
    )


def _nearest_length(length: int, references: Sequence[Words]) -> int:
    """Return the number of words of the reference closest in length, of equals the shorter."""
    if len(references) == 1:
        return len(references[0])
    return min((abs(len(each) - length), len(each)) for each in references)[1]


def _count_slots(reading: ParsedCaption | None, truths: Sequence[ParsedCaption]) -> SlotCounts:
    """Count templates and slots: the fields from `num_parsed` up to `num_directed`.

    Slots are those of the reference that fits best.
    """
    if not truths:
        return 0, 0, 0, 0, 0, 0, 0
    template = reading is not None and any(reading.template == each.template for each in truths)
    objects = () if reading is None else reading.objects
    # Slots beyond the shorter of the two are counted as wrong through the number of slots.
    paired = [list(zip(objects, truth.objects, strict=False)) for truth in truths]
    right = [sum(phrase == true for phrase, true in pairs) for pairs in paired]
    # Shares first, or a reference with many slots would win with few of them right.
    best = max(
        range(len(truths)),
        key=lambda index: (right[index] / max(len(truths[index].objects), 1), right[index]),
    )
    split = [tuple(map(_noun_and_modifiers, pair)) for pair in paired[best]]
    return (
        1,
        int(template),
        len(truths[best].objects),
        right[best],
        sum(phrase[0] == true[0] for phrase, true in split),
        sum(bool(_noun_and_modifiers(true)[1]) for true in truths[best].objects),
        sum(bool(true[1]) and phrase[1] == true[1] for phrase, true in split),
    )


@lru_cache(maxsize=1 << 12)
def _noun_and_modifiers(phrase: str) -> tuple[str, Words]:
    """Split an object's words: "a small red cup" into "cup" and ("small", "red")."""
    words = [word for word in phrase.split() if word not in ARTICLES]
    return (words[-1], tuple(words[:-1])) if words else (phrase, ())


def _count_directions(words: Words, references: Sequence[Words]) -> tuple[int, int]:
    """Count: whether a reference says a direction, and whether all that do are contradicted."""
    directed = list(filter(None, map(_directions, references)))
    if not directed:
        return 0, 0
    if words in references:  # no caption contradicts itself
        return 1, 0
    spoken = _directions(words)
    return 1, int(all(contradict(spoken, directions) for directions in directed))


# Directions are counted apart because n-grams hardly see them: with left and right exchanged in one
# of three captions BLEU-1 is still 1.
#
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
"""Of each word of direction its idioms, each after another of its words: most captions lack that
one, and need not be searched for the whole."""
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

Directions = dict[int, tuple[object, ...]]
"""By axis, which of its two ends a caption says, in order."""


def directions_of(words: Sequence[str]) -> Directions:
    """Read the directions that lower-case words say; nothing where they say none.

    Left and right are sides where the words around them show it: "the man left" goes nowhere.
    Nor does what is torn "into two pieces" or turned "upside down".
    """
    spoken: Directions = {}
    words = tuple(words)
    for position, word in enumerate(words):
        if word in _POLE_OF and not _says_no_way(words, position):
            axis, pole = _POLE_OF[word]
            spoken[axis] = (*spoken.get(axis, ()), pole)
    if sides := clear_sides_of(words):
        spoken[_SIDES] = sides
    return spoken


_directions = lru_cache(maxsize=_CAPTIONS_KEPT)(directions_of)


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


def contradict(spoken: Directions, meant: Directions) -> bool:
    """Whether two captions disagree on an axis that both speak of.

    "From left to right" and "from right to left" do. What only one of them says is no
    contradiction: "the left shoe" pushed "from left to right" agrees with "from left to right".
    """
    return any(
        not _is_within(spoken[axis], meant[axis]) and not _is_within(meant[axis], spoken[axis])
        for axis in spoken.keys() & meant.keys()
    )


def _is_within(part: Sequence[object], whole: Sequence[object]) -> bool:
    """Whether the whole holds the part in its order, perhaps with more between."""
    rest = iter(whole)  # each is looked for after the one before: `in` uses the iterator up
    return all(each in rest for each in part)
