"""How good a source's captions are, beside captions that were written without seeing the clips.

Captions are compared with the annotation word by word, and by what they mean: template and objects.
Floors are scored in the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

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
from taskgrain.metrics.captions import CaptionCounts, caption_tallies, count_clips, spoken_words
from taskgrain.metrics.corpus_scores import TokenPairs, bleu, cider_d, rouge_l
from taskgrain.metrics.ptb import ptb_words
from taskgrain.metrics.references import ReferenceClip, floor_captions
from taskgrain.metrics.tally import Tally, clip_intervals
from taskgrain.names import Control
from taskgrain.randomness import generator_for
from taskgrain.statistics.intervals import Interval
from taskgrain.statistics.tests import proportion_interval
from taskgrain.study.sources import Score, captions_in

MAX_WORDS = MAX_TOKENS - 1  # that a decoder can generate

COARSER_FORMS: dict[CaptionForm, tuple[CaptionForm, ...]] = {
    "full": ("simplified", "simplified-head-noun", "template"),
    "simplified": ("template",),
    "simplified-head-noun": ("template",),
    "template": (),
}
"""The forms in which captions of a form can be written too."""


class SpokenTruth:
    """The captions that a decoder should generate, cut where it must stop (`Vocabulary.encode`).

    The true template and objects are those of the annotation; only generated captions are parsed.
    """

    def __init__(self, form: CaptionForm, manifest: Manifest, words: Words = "taskgrain") -> None:
        """Collect the templates of a dataset; a form and a rule turn its captions into words."""
        self._form: CaptionForm = form
        self._rule: Words = words
        training = Counter(self._template(record) for record in manifest.split(Split.TRAIN))
        self._parser = CaptionParser(
            [self._template(record) for record in manifest.records],
            counts=training,
            max_words=MAX_WORDS,
            one_word_each=self._form != "full",
        )

    def count(self, generated: Sequence[str], records: Sequence[ClipRecord]) -> list[CaptionCounts]:
        """Compare generated captions, one a clip, with the clips' own; any of these is right."""
        true = [self.captions(record) for record in records]
        meant = [self._meaning(record) for record in records]
        return count_clips(generated, true, parse=self._parser.parse, meant=meant)

    def captions(self, record: ClipRecord) -> tuple[str, ...]:
        """Return the captions that count as right for a clip, in the words of a decoder."""
        return tuple(map(self.as_generated, captions_in(self._form, record)))

    def as_generated(self, caption: str) -> str:
        """Write a caption in the words of a decoder, lower case, cut where it must stop."""
        return " ".join(words_as(self._rule, caption)[:MAX_WORDS]).lower()

    def read(self, generated: str) -> ParsedCaption | None:
        """Parse a generated caption; None where no template fits."""
        return self._parser.parse(generated)

    def is_right_at(
        self, form: CaptionForm, generated: Sequence[str], records: Sequence[ClipRecord]
    ) -> list[bool]:
        """Find which captions are right in a coarser form, once both sides are written in it.

        This compares sources of different grain: the truth is the caption that a source of that
        form has to generate. One rule simplifies the objects on both sides. A caption that fits no
        template stays as it is.
        """
        return [
            self._is_right_at(form, caption, record)
            for caption, record in zip(generated, records, strict=True)
        ]

    def _is_right_at(self, form: CaptionForm, generated: str, record: ClipRecord) -> bool:
        words, own = spoken_words(generated), self.captions(record)
        if words in map(spoken_words, own):
            return True
        forms_of_it = {words, self._written(self.read(generated), words, form)}
        right = {self._written(self._parser.parse(each), words_of(each), form) for each in own[1:]}
        if not is_free(record.template, record.caption):
            # Not read from the caption, which may be cut; templates of equal meaning are one.
            template = self._parser.meaning(self._template(record), ()).template
            objects = list(map(self._in_words, record.placeholders))
            right.add(_words_of(template, objects, form))
        return not right.isdisjoint(forms_of_it)

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
"""The scores that are counted word by word, but unknown-rate, which is a fact of the truth."""
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
        """Take the clips that captions are generated of, in their order, and the rule of words."""
        self._form: CaptionForm = form
        self._manifest = manifest
        self._records = records
        self._truth = SpokenTruth(form, manifest, words)
        # Scores, floors and the blind decoder ask for the same captions again and again.
        self._split = lru_cache(maxsize=1 << 17)(ptb_words)
        self._references = [[self._split(c) for c in captions_in(form, r)] for r in records]

    def of_source(
        self, generated: Sequence[str], is_decoded: Sequence[bool], forms: Sequence[CaptionForm]
    ) -> list[Score]:
        """Score a source's captions at its own form, at coarser ones, and beside the floors.

        Args:
            generated: one caption a clip; empty where the clip could not be decoded.
            is_decoded: which clips could be decoded.
            forms: of the captions of the study's sources; coarser ones are scored too.
        """
        tallies = self.tallies(generated)
        # Whether a source learned is read from this score's interval. It is Wilson's, as a head's
        # is: the bootstrap leaves a decoder that is always right, or of few clips, without one.
        judged = "exact-match" if self._is_free else "template-accuracy"
        intervals = {**clip_intervals(tallies, seed=SEED), judged: _proportion(tallies[judged])}
        counted = {"direction-errors": self._directed()}

        def scores_of(tallies: Mapping[str, Tally]) -> list[Score]:
            return [
                Score(probe="decoder", metric=name, value=tally.value, clips=counted.get(name))
                for name, tally in tallies.items()
            ]

        scores = [replace(each, interval=intervals[each.metric]) for each in scores_of(tallies)]
        scores += self._at_coarser_forms(generated, forms)
        unseeing = self._floors()
        if sum(is_decoded) > 1:
            unseeing["blind-decoder"] = blind(generated, is_decoded)
        return scores + [
            replace(each, control=control)
            for control, captions in unseeing.items()
            for each in scores_of(self.tallies(captions))
        ]

    def tallies(self, generated: Sequence[str]) -> dict[str, Tally]:
        """Tally every score of one caption a clip.

        Words are compared as a decoder generates them, n-grams in coco-caption's tokens; any of a
        clip's captions is right. CIDEr-D takes its idf from the captions of these clips.
        """
        counted = caption_tallies(self._truth.count(generated, self._records))
        pairs = TokenPairs([self._split(caption) for caption in generated], self._references)
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

    def _at_coarser_forms(
        self, generated: Sequence[str], forms: Sequence[CaptionForm]
    ) -> list[Score]:
        """Compare with sources of coarser captions; nothing where no caption has a template."""
        if self._is_free:
            return []
        scores = []
        for form in COARSER_FORMS[self._form]:
            if form in ("simplified", "template", *forms):
                right = self._truth.is_right_at(form, generated, self._records)
                value = sum(right) / len(right)
                scores.append(Score(probe="decoder", metric=f"exact-match-at-{form}", value=value))
        return scores

    def _floors(self) -> dict[Control, list[str]]:
        """Write captions from the training annotations alone, in the source's form."""
        references = self._clips(self._records)
        training = self._clips(self._manifest.split(Split.TRAIN))
        captions = floor_captions(references, training, seed=SEED)
        return {
            name: list(map(self._truth.as_generated, captions[name]))
            for name in FLOORS
            if name in captions
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


def blind(generated: Sequence[str], is_decoded: Sequence[bool]) -> list[str]:
    """Exchange the captions of a decoder: each clip gets that of another.

    A caption depends on the clip's video alone, so the captions change places: each goes to the
    next of the decoded clips in a drawn order, and none keeps its own.
    """
    clips = np.flatnonzero(is_decoded)
    order = clips[generator_for(SEED, 0, "blind-decoder").permutation(len(clips))]
    captions = [""] * len(generated)
    for clip, other in zip(order, np.roll(order, 1), strict=True):
        captions[clip] = generated[other]
    return captions
