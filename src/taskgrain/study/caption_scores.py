"""What a source's captions are worth: by what should have been said, and by what sees no clip.

What was said is read word by word and by its meaning, against the annotation. Floors stand beside
it: what would score as much without seeing the clips.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.data.sampling import generator_for
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
from taskgrain.metrics.captions import CaptionCounts, caption_tallies, count_clips, spoken_words
from taskgrain.metrics.corpus_scores import bleu, cider_d, rouge_l
from taskgrain.metrics.ngrams import TokenPairs
from taskgrain.metrics.ptb import ptb_words
from taskgrain.metrics.references import ReferenceClip, floor_captions
from taskgrain.metrics.tally import Tally, clip_intervals
from taskgrain.names import Control
from taskgrain.statistics.intervals import Interval
from taskgrain.statistics.tests import proportion_interval
from taskgrain.study.score_rows import Score
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
        """Return the captions that count as right for a clip, in the words of a decoder."""
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
        """Find which captions are right in a coarser form, once both sides are written in it.

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
        """Return a clip's template; in captions without objects its brackets are words."""
        is_bare = self._form == "template"
        return template_as(
            self._rule, strip_brackets(record.template) if is_bare else record.template
        )

    def _meaning(self, record: ClipRecord) -> ParsedCaption | None:
        """Return what a clip's caption means; None for a free sentence, which is parsed."""
        if is_free(record.template, record.caption):
            return None
        objects = objects_of(record.placeholders, self._form)
        return self._parser.meaning(self._template(record), list(map(self._in_words, objects)))

    def _in_words(self, text: str) -> str:
        return " ".join(words_as(self._rule, text)).lower()


def _words_of(template: str, objects: Sequence[str], form: CaptionForm) -> tuple[str, ...]:
    return words_of(caption_of(template, objects, form))[:MAX_WORDS]


COUNTED = (
    *("exact-match", "template-accuracy", "object-accuracy", "noun-accuracy", "modifier-accuracy"),
    *("direction-errors", "length-ratio"),
)
"""Of the scores that are counted word by word; unknown-rate is told of the truth instead."""
FLOORS: tuple[Control, ...] = ("commonest-word", "commonest-caption", "same-category")
SEED = 0  # of resamples, random captions and the order of the blind: for all sources the same


class CaptionScores:
    """Scores captions of the same clips, several times; in one form, that of their source."""

    def __init__(
        self,
        form: CaptionForm,
        manifest: Manifest,
        records: Sequence[ClipRecord],
        words: Words = "taskgrain",
    ) -> None:
        """Take the clips that captions are said of, in their order, and how they become words."""
        self._form: CaptionForm = form
        self._manifest = manifest
        self._records = records
        self._truth = SpokenTruth(form, manifest, words)
        self._split = lru_cache(maxsize=1 << 17)(ptb_words)
        self._references = [[self._split(c) for c in captions_in(form, r)] for r in records]

    def of_source(
        self, said: Sequence[str], is_decoded: Sequence[bool], forms: Sequence[CaptionForm]
    ) -> list[Score]:
        """Score what a source said, at its own form, at coarser ones, and beside the floors.

        Args:
            said: one caption a clip; empty where the clip could not be decoded.
            is_decoded: of which clips something could be said.
            forms: in which sources of the study speak; those that are coarser are scored too.
        """
        tallies = self.tallies(said)
        judged = "exact-match" if self._is_free else "template-accuracy"
        intervals = {**clip_intervals(tallies, seed=SEED), judged: _proportion(tallies[judged])}
        counted = {"direction-errors": self._directed()}
        scores = [
            Score(
                probe="decoder",
                metric=name,
                value=tally.value,
                clips=counted.get(name),
                interval=intervals[name],
            )
            for name, tally in tallies.items()
        ]
        scores += self._at_coarser_forms(said, forms)
        unseeing = self._floors()
        if sum(is_decoded) > 1:
            unseeing["blind-decoder"] = blind(said, is_decoded)
        return scores + [
            Score(
                probe="decoder",
                metric=name,
                value=tally.value,
                clips=counted.get(name),
                control=control,
            )
            for control, captions in unseeing.items()
            for name, tally in self.tallies(captions).items()
        ]

    def tallies(self, said: Sequence[str]) -> dict[str, Tally]:
        """Tally every score of one caption a clip.

        Words are compared as a decoder says them, n-grams in coco-caption's tokens; any of a clip's
        captions may be said. CIDEr-D takes its idf from the captions of these clips.
        """
        counted = caption_tallies(self._truth.count(said, self._records))
        pairs = TokenPairs([self._split(caption) for caption in said], self._references)
        return {
            **{name: counted[name] for name in COUNTED},
            "bleu-4": bleu(pairs)[-1],
            "rouge-l": rouge_l(pairs),
            "cider-d": cider_d(pairs),
        }

    @property
    def _is_free(self) -> bool:
        """Whether no caption has a template."""
        return all(is_free(record.template, record.caption) for record in self._records)

    def _directed(self) -> list[ClipRecord]:
        """List the clips of which a true caption names a direction, whatever the decoder writes."""
        counts = self._truth.count([""] * len(self._records), self._records)
        pairs = zip(self._records, counts, strict=True)
        return [record for record, counted in pairs if counted.num_directed]

    def _at_coarser_forms(self, said: Sequence[str], forms: Sequence[CaptionForm]) -> list[Score]:
        """Compare with sources of coarser captions; nothing where no caption has a template."""
        if self._is_free:
            return []
        scores = []
        for form in COARSER_FORMS[self._form]:
            if form in ("simplified", "template", *forms):
                right = self._truth.is_right_at(form, said, self._records)
                value = sum(right) / len(right)
                scores.append(Score(probe="decoder", metric=f"exact-match-at-{form}", value=value))
        return scores

    def _floors(self) -> dict[Control, list[str]]:
        """Write captions from the training annotations alone, in the source's form."""
        references = self._clips(self._records)
        training = self._clips(self._manifest.split(Split.TRAIN))
        found = floor_captions(references, training, seed=SEED)
        return {
            name: list(map(self._truth.as_said, found[name])) for name in FLOORS if name in found
        }

    def _clips(self, records: Sequence[ClipRecord]) -> Mapping[str, ReferenceClip]:
        return {
            record.clip_id: ReferenceClip(
                captions_in(self._form, record),
                *_slots(record, self._form),
            )
            for record in records
        }


def _proportion(tally: Tally) -> Interval | None:
    """Return the interval that a decoder is judged by, as a head is; None where no clip counts."""
    right, count = tally.counts.sum(axis=0)
    return proportion_interval(round(right), round(count)) if count else None


def _slots(record: ClipRecord, form: CaptionForm) -> tuple[str | None, tuple[str, ...]]:
    """Return a clip's template in a form, and what fills it; a free sentence has none."""
    if is_free(record.template, record.caption):
        return None, ()
    if form == "template":
        return strip_brackets(record.template), ()
    return record.template, objects_of(record.placeholders, form)


def blind(said: Sequence[str], is_decoded: Sequence[bool]) -> list[str]:
    """Exchange the captions of a decoder: each clip gets that of another.

    What it says of a clip depends on its video alone, so the captions change places: each goes to
    the next of the decoded clips in a drawn order, and none keeps its own.
    """
    decoded = np.flatnonzero(is_decoded)
    order = decoded[generator_for(SEED, 0, "blind-decoder").permutation(len(decoded))]
    captions = [""] * len(said)
    for clip, other in zip(order, np.roll(order, 1), strict=True):
        captions[clip] = said[other]
    return captions
