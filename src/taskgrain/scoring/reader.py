"""Read captions back into templates and objects, and write them at another grain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from taskgrain.labels.caption import CaptionForm, caption_of, is_free, objects_of
from taskgrain.labels.template import CaptionParser, ParsedCaption, fixed_parts, words_of
from taskgrain.metrics.captions import spoken_words
from taskgrain.scoring.caption_files import ReferenceClip


class CaptionReader:
    """Parses captions by a dataset's templates; what its annotations say goes before."""

    def __init__(self, clips: Iterable[ReferenceClip]) -> None:
        """Learn the templates of clips, and what their annotated captions mean."""
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
        """Say what a clip's first caption means by its annotation; None where that is unknown."""
        if clip.template is None or is_free(clip.template, clip.captions[0]):
            return None
        parser = self._parser(words_of(fixed_parts(clip.template)[0]))
        return parser.meaning(clip.template, clip.placeholders)

    def project(self, caption: str, form: CaptionForm, meaning: ParsedCaption | None = None) -> str:
        """Write a caption in another form; as it is where no template fits.

        Object words are simplified by the same rule on both sides, so captions of sources of
        different grain are compared at the coarser of the two.

        Args:
            caption: as it was said or annotated.
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
        """Give the parser of the templates that can begin with a caption's first word."""
        return self._parsers.get(words[0] if words else "") or self._parsers[""]


def at_form(meaning: ParsedCaption, form: CaptionForm) -> ParsedCaption:
    """Say what a caption means once it is written in another form."""
    return ParsedCaption(meaning.template, objects_of(meaning.objects, form))


def _by_first_word(templates: Iterable[str]) -> Mapping[str, CaptionParser]:
    """Give for each first word the parser of the templates that can begin so; "" for any other.

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
