"""The reference captions of clips: what they mean by their templates, and the floors beside them.

A floor is the score of captions that were written without looking at a clip; every score is printed
beside floors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from taskgrain.labels.caption import CaptionForm, caption_of, is_free, last_word, objects_of
from taskgrain.labels.template import CaptionParser, ParsedCaption, fill, fixed_parts, words_of
from taskgrain.metrics.captions import spoken_words
from taskgrain.randomness import drawn_digest


class ReferenceClip(NamedTuple):
    """The reference captions of one clip."""

    captions: tuple[str, ...]  # one or more
    template: str | None = None  # with brackets, where the file says it
    placeholders: tuple[str, ...] = ()


class CaptionReader:
    """Parses captions by a dataset's templates; its annotations take precedence."""

    def __init__(self, clips: Iterable[ReferenceClip]) -> None:
        """Collect the templates of clips, and the meanings of their annotated captions."""
        clips = list(clips)
        templates = {clip.template: None for clip in clips if clip.template is not None}
        self.has_templates = bool(templates)
        self._parsers = _by_first_word(templates)
        self._known: dict[tuple[str, ...], ParsedCaption] = {}
        self._read: dict[str, ParsedCaption | None] = {}  # by caption: commas tell lists apart
        for clip in clips:
            meaning = self.meaning(clip)
            if meaning is not None:
                self._known.setdefault(spoken_words(clip.captions[0]), meaning)

    def __call__(self, caption: str) -> ParsedCaption | None:
        """Parse a caption; None where no template fits."""
        if not self.has_templates:
            return None
        words = spoken_words(caption)
        if words in self._known:
            return self._known[words]
        if caption not in self._read:
            self._read[caption] = self._parser(words).parse(caption)
        return self._read[caption]

    def meaning(self, clip: ReferenceClip) -> ParsedCaption | None:
        """Return what a clip's first caption means by its annotation; None if unknown."""
        if clip.template is None or is_free(clip.template, clip.captions[0]):
            return None
        parser = self._parser(words_of(fixed_parts(clip.template)[0]))
        return parser.meaning(clip.template, clip.placeholders)

    def project(self, caption: str, form: CaptionForm, meaning: ParsedCaption | None = None) -> str:
        """Write a caption in another form; as it is where no template fits.

        Object words are simplified by the same rule on both sides, so captions of sources of
        different grain are compared at the coarser of the two.

        Args:
            caption: as it was predicted or annotated.
            form: to write it in.
            meaning: what it means, where that is known and need not be read.
        """
        if form == "full":
            return caption
        parsed = meaning or self(caption)
        if parsed is None:
            return caption
        projected = caption_of(parsed.template, parsed.objects, form)
        # What it means is known: reading it anew might find the objects elsewhere.
        self._known.setdefault(spoken_words(projected), at_form(parsed, form))
        return projected

    def _parser(self, words: Sequence[str]) -> CaptionParser:
        """Return the parser of the templates that can begin with a caption's first word."""
        return self._parsers.get(words[0] if words else "") or self._parsers[""]


def at_form(meaning: ParsedCaption, form: CaptionForm) -> ParsedCaption:
    """Return what a caption means once it is written in another form."""
    return ParsedCaption(meaning.template, objects_of(meaning.objects, form))


def _by_first_word(templates: Iterable[str]) -> Mapping[str, CaptionParser]:
    """Return for each first word the parser of the templates that can begin so; "" for any other.

    The same captions are read the same way as by one parser of all, many times as fast.
    """
    by_word: dict[str, list[str]] = {}
    anywhere: list[str] = []
    for template in templates:
        first = words_of(fixed_parts(template)[0])[:1]
        if first:
            by_word.setdefault(first[0], []).append(template)
        else:
            anywhere.append(template)
    parsers = {word: CaptionParser([*some, *anywhere]) for word, some in by_word.items()}
    return {**parsers, "": CaptionParser(anywhere)}


Clips = Mapping[str, ReferenceClip]


def floor_captions(references: Clips, training: Clips, *, seed: int) -> dict[str, list[str]]:
    """Write captions of every clip from the training annotations alone.

    Args:
        references: the clips that are scored.
        training: the clips that were learned from.
        seed: of the random captions; each depends on it and on the clip's id, on nothing else.

    Returns:
        By the floor's name, one caption a clip in the order of the references:
        "commonest-caption"; and, where both files say templates, "commonest-word", the true
        template with every placeholder filled by the word that most training placeholders end in,
        and "same-category", a random training caption of the same category. A clip without a
        template, or with one that training lacks, gets the commonest caption there.
    """
    commonest = _commonest([clip.captions[0] for clip in training.values()])
    floors = {"commonest-caption": [commonest] * len(references)}
    of_template: dict[str, list[str]] = {}
    for clip in training.values():
        if clip.template is not None:
            of_template.setdefault(clip.template, []).append(clip.captions[0])
    placeholders = [word for clip in training.values() for word in clip.placeholders]
    if not placeholders or not any(clip.template for clip in references.values()):
        return floors
    # No weak floor: on Something-Something's validation captions it scores BLEU-4 .41, ROUGE-L .64
    # and CIDEr 2.5, with .6 % of the captions right.
    word = _commonest([last_word(placeholder) for placeholder in placeholders])
    floors["commonest-word"] = [
        commonest if clip.template is None else fill(clip.template, [word] * len(clip.placeholders))
        for clip in references.values()
    ]
    floors["same-category"] = [
        _drawn(of_template.get(clip.template or "", [commonest]), clip_id, seed)
        for clip_id, clip in references.items()
    ]
    return floors


def training_unknown_rate(references: Clips, training: Clips) -> float:
    """Share of the references' words that no training caption holds; NaN without a word."""
    known, words = set(_all_words(training)), list(_all_words(references))
    return sum(word not in known for word in words) / len(words) if words else float("nan")


def _all_words(clips: Clips) -> Iterator[str]:
    captions = (caption for clip in clips.values() for caption in clip.captions)
    return (word for caption in captions for word in spoken_words(caption))


def _commonest(texts: Sequence[str]) -> str:
    """Return the most frequent text, letters' case apart; of equals the first by alphabet."""
    counts = Counter(text.lower() for text in texts)
    return min(counts, key=lambda text: (-counts[text], text))


def _drawn(captions: Sequence[str], clip_id: str, seed: int) -> str:
    # From a hash, not from a generator's next number: other clips may not change the draw.
    number = int.from_bytes(drawn_digest(seed, clip_id, size=8))
    return captions[number % len(captions)]
