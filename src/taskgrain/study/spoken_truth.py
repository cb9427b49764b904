"""What a decoder should have said of clips, and what it said, word by word and by its meaning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.labels.caption import CaptionForm, caption_of, is_free, objects_of
from taskgrain.labels.template import (
    CaptionParser,
    ParsedCaption,
    Words,
    placeholder_count,
    strip_brackets,
    template_as,
    words_as,
    words_of,
)
from taskgrain.labels.vocabulary import MAX_TOKENS
from taskgrain.metrics.captions import CaptionCounts, count_clips, spoken_words
from taskgrain.study.sources import captions_in

MAX_WORDS = MAX_TOKENS - 1  # of what a decoder can say

COARSER_FORMS: dict[CaptionForm, tuple[CaptionForm, ...]] = {
    "full": ("simplified", "simplified-head-noun", "template"),
    "simplified": ("template",),
    "simplified-head-noun": ("template",),
    "template": (),
}
"""The forms in which captions of a form can be written too."""


class SpokenTruth:
    """What a decoder should have said of clips, cut where it must stop (`Vocabulary.encode`).

    The true template and objects are those of the annotation; only what was said is parsed.
    """

    def __init__(self, form: CaptionForm, manifest: Manifest, words: Words = "taskgrain") -> None:
        """Learn the templates of a dataset, whose captions are said in a form and by a rule."""
        self._form: CaptionForm = form
        self._rule: Words = words
        training = Counter(self._template(record) for record in manifest.split(Split.TRAIN))
        self._parser = CaptionParser(
            [self._template(record) for record in manifest.records],
            counts=training,
            max_words=MAX_WORDS,
            one_word_each=self._form != "full",
        )

    def count(self, said: Sequence[str], records: Sequence[ClipRecord]) -> list[CaptionCounts]:
        """Count what was said of some clips, one caption each; any of a clip's own is right."""
        true = [self.captions(record) for record in records]
        meant = [self._meaning(record) for record in records]
        return count_clips(said, true, parse=self._parser.parse, meant=meant)

    def captions(self, record: ClipRecord) -> tuple[str, ...]:
        """Give what may be said of a clip, in words as a decoder says them."""
        return tuple(map(self.as_said, captions_in(self._form, record)))

    def as_said(self, caption: str) -> str:
        """Write a caption in the words of a decoder, lower case, cut where it must stop."""
        return " ".join(words_as(self._rule, caption)[:MAX_WORDS]).lower()

    def read(self, said: str) -> ParsedCaption | None:
        """Read what a decoder said; None where no template fits."""
        return self._parser.parse(said)

    def is_right_at(
        self, form: CaptionForm, said: Sequence[str], records: Sequence[ClipRecord]
    ) -> list[bool]:
        """Say which captions are right in a coarser form, once both sides are written in it.

        So sources of unlike grain are compared: the truth is what a source of that form has to
        say. Objects are simplified by one rule on both sides. What fits no template stays as it is.

        Args:
            form: one of `COARSER_FORMS` of the truth's own.
            said: one caption a clip.
            records: the clips.
        """
        return [
            self._is_right_at(form, caption, record)
            for caption, record in zip(said, records, strict=True)
        ]

    def _is_right_at(self, form: CaptionForm, said: str, record: ClipRecord) -> bool:
        words, own = spoken_words(said), self.captions(record)
        if words in map(spoken_words, own):
            return True
        said_so = {words, self._written(self.read(said), words, form)}
        right = {self._written(self._parser.parse(each), words_of(each), form) for each in own[1:]}
        if not is_free(record.template, record.caption):
            # Not read from the caption, which may be cut; templates that say the same are one.
            template = self._parser.meaning(self._template(record), ()).template
            objects = list(map(self._in_words, record.placeholders))
            right.add(_words_of(template, objects, form))
        return not right.isdisjoint(said_so)

    def _written(
        self, meaning: ParsedCaption | None, words: tuple[str, ...], form: CaptionForm
    ) -> tuple[str, ...]:
        """Write a caption in a form; as its words where no template fits, or objects were cut."""
        if meaning is None:
            return words
        is_cut = len(meaning.objects) != placeholder_count(meaning.template)
        if is_cut and form != "template":
            return words
        return _words_of(meaning.template, meaning.objects, form)

    def _template(self, record: ClipRecord) -> str:
        """Give a clip's template; in captions without objects its brackets are words."""
        is_bare = self._form == "template"
        return template_as(
            self._rule, strip_brackets(record.template) if is_bare else record.template
        )

    def _meaning(self, record: ClipRecord) -> ParsedCaption | None:
        """Say what a clip's caption means; None for a free sentence, which is parsed."""
        if is_free(record.template, record.caption):
            return None
        objects = objects_of(record.placeholders, self._form)
        return self._parser.meaning(self._template(record), list(map(self._in_words, objects)))

    def _in_words(self, text: str) -> str:
        return " ".join(words_as(self._rule, text)).lower()


def _words_of(template: str, objects: Sequence[str], form: CaptionForm) -> tuple[str, ...]:
    return words_of(caption_of(template, objects, form))[:MAX_WORDS]
