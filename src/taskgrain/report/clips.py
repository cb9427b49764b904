"""The example clips: the truth, the predictions of each model, and where they differ."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from taskgrain.report.run_folder import Example, Prediction
from taskgrain.report.words import percent_number

MAX_VIDEO_BYTES = 12_000_000  # of all clips in one page, before base64 adds a third
CLASSES_SHOWN = 3
SOURCE = "source"  # the name of the data set that sources are trained on
CLIPS_OPEN = 6  # the rest of a data set folds away


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a predicted caption; `differs` if the true caption lacks it at that place."""

    text: str
    differs: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """One of a model's most probable classes."""

    name: str
    probability: float
    shown: str
    verdict: str  # "right", "wrong", or "" where the truth at this level is not known


@dataclass(frozen=True, slots=True)
class Opinion:
    """The predictions of one source's model for a clip."""

    source: str
    level: str
    bars: tuple[Bar, ...]
    words: tuple[Word, ...]
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Card:
    """An example clip as the page shows it; `uri` is empty where there is no video to show."""

    clip: str
    category: str
    caption: str
    uri: str
    opinions: tuple[Opinion, ...]


@dataclass(frozen=True, slots=True)
class Shelf:
    """The clips of one data set: the first ones open, the rest to unfold."""

    title: str
    open: tuple[Card, ...]
    folded: tuple[Card, ...]


def shelves(examples: tuple[Example, ...], sources: tuple[str, ...]) -> tuple[Shelf, ...]:
    """Return the examples by data set, the source's first, in the order in which they came."""
    # False sorts before True: the source's clips come first.
    names = sorted(dict.fromkeys(example.dataset for example in examples), key=SOURCE.__ne__)
    room = MAX_VIDEO_BYTES
    found = []
    for name in names:
        cards = []
        for example in (item for item in examples if item.dataset == name):
            size = len(example.video or b"")  # one that has no room leaves it to smaller ones
            cards.append(_card(example, sources, has_room=size <= room))
            room -= size if size <= room else 0
        title = "Source clips, held out for validation" if name == SOURCE else f"Target: {name}"
        found.append(Shelf(title, tuple(cards[:CLIPS_OPEN]), tuple(cards[CLIPS_OPEN:])))
    return tuple(found)


def _card(example: Example, sources: tuple[str, ...], *, has_room: bool) -> Card:
    first_seed = min((item.seed or 0 for item in example.predictions), default=0)
    rank = {name: position for position, name in enumerate(sources)}
    predictions = sorted(
        (item for item in example.predictions if (item.seed or 0) == first_seed),
        key=lambda item: rank.get(item.source, len(rank)),
    )
    uri = ""
    if example.video and has_room:
        uri = f"data:video/webm;base64,{base64.b64encode(example.video).decode('ascii')}"
    return Card(
        clip=example.clip,
        category=example.category,
        caption=example.caption,
        uri=uri,
        opinions=tuple(_opinion(example, prediction) for prediction in predictions),
    )


def _opinion(example: Example, prediction: Prediction) -> Opinion:
    # A target's categories are not among a source's classes, so no answer can be right.
    true_class = prediction.true_class or ""
    truth = prediction.truth or example.caption
    bars = []
    for name, probability in prediction.classes[:CLASSES_SHOWN]:
        verdict = ("right" if name == true_class else "wrong") if true_class else ""
        bars.append(Bar(name, probability, percent_number(probability).shown, verdict))
    caption = prediction.caption or ""
    return Opinion(
        source=prediction.source,
        level=prediction.level,
        bars=tuple(bars),
        words=tuple(compare(caption, truth)),
        is_exact=bool(caption) and _normal(caption) == _normal(truth),
    )


def compare(caption: str, truth: str) -> Iterator[Word]:
    """Yield the caption's words, marking those that the true caption does not have in that order.

    Upper and lower case and punctuation do not count. Without a truth nothing is marked.
    """
    words = caption.split()
    ours, theirs = _normal(caption), _normal(truth)
    # Without autojunk: difflib would pass over words that are frequent in a text of 200 or more.
    matching = SequenceMatcher(a=ours, b=theirs, autojunk=False).get_matching_blocks()
    kept = {block.a + offset for block in matching for offset in range(block.size)}
    for position, word in enumerate(words):
        yield Word(word, differs=bool(theirs) and position not in kept)


def _normal(caption: str) -> list[str]:
    return [re.sub(r"[^\w]", "", word).casefold() or word for word in caption.split()]
