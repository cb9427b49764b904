"""Read captions back into templates and objects, and write them at another grain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from taskgrain.labels.caption import CaptionForm, caption_of
from taskgrain.labels.template import CaptionParser, ParsedCaption, fixed_parts, words_of
from taskgrain.metrics.captions import spoken_words
from taskgrain.scoring.caption_files import ReferenceClip


class CaptionReader:
    """Parses captions by a dataset's templates; what its annotations say goes before."""

    def __init__(self, clips: Iterable[ReferenceClip]) -> None:
        """Learn the templates of clips, and what their annotated captions mean."""
        self._known: dict[tuple[str, ...], ParsedCaption | None] = {}
        templates: dict[str, None] = {}
        for clip in clips:
            if clip.template is not None:
                templates[clip.template] = None
                objects = tuple(" ".join(words_of(each)) for each in clip.placeholders)
                self._known.setdefault(
                    spoken_words(clip.captions[0]), ParsedCaption(clip.template, objects)
                )
        self.has_templates = bool(templates)
        self._parsers = _by_first_word(templates)

    def __call__(self, caption: str) -> ParsedCaption | None:
        """Parse a caption; None where no template fits."""
        words = spoken_words(caption)
        if words not in self._known:
            first = words[0] if words else ""
            parser = self._parsers.get(first) or self._parsers[""]
            self._known[words] = parser.parse(" ".join(words))
        return self._known[words]

    def project(self, caption: str, form: CaptionForm) -> str:
        """Write a caption in another form; as it is where no template fits.

        Object words are simplified by the same rule on both sides, so captions of sources of
        different grain are compared at the coarser of the two.
        """
        parsed = self(caption)
        if parsed is None or form == "full":
            return caption
        projected = caption_of(parsed.template, parsed.objects, form)
        objects = tuple(caption_of("[object]", [each], form) for each in parsed.objects)
        # What it means is known: reading it anew might find the objects elsewhere.
        meaning = ParsedCaption(parsed.template, () if form == "template" else objects)
        self._known.setdefault(spoken_words(projected), meaning)
        return projected


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
