"""What a source's captions are worth, and what would score as much without seeing the clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.data.sampling import generator_for
from taskgrain.labels.caption import CaptionForm, is_free, objects_of
from taskgrain.labels.template import Words, strip_brackets
from taskgrain.metrics.captions import caption_tallies
from taskgrain.metrics.corpus_scores import bleu, cider_d, rouge_l
from taskgrain.metrics.ngrams import TokenPairs
from taskgrain.metrics.ptb import ptb_words
from taskgrain.metrics.references import ReferenceClip, floor_captions
from taskgrain.metrics.tally import Tally, clip_intervals
from taskgrain.names import Control
from taskgrain.statistics.intervals import Interval
from taskgrain.statistics.proportion import proportion_interval
from taskgrain.study.score_rows import Score
from taskgrain.study.sources import captions_in
from taskgrain.study.spoken_truth import COARSER_FORMS, SpokenTruth

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
        """Give the clips of which a true caption says a direction, whatever is said of them."""
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
        """Say captions from the training annotations alone, in the source's form."""
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
    """Give a clip's template in a form, and what fills it; a free sentence has none."""
    if is_free(record.template, record.caption):
        return None, ()
    if form == "template":
        return strip_brackets(record.template), ()
    return record.template, objects_of(record.placeholders, form)


def blind(said: Sequence[str], is_decoded: Sequence[bool]) -> list[str]:
    """Give what a decoder says that is shown another clip each time.

    What it says of a clip depends on its video alone, so the captions change places: each goes to
    the next of the decoded clips in a drawn order, and none keeps its own.
    """
    decoded = np.flatnonzero(is_decoded)
    order = decoded[generator_for(SEED, 0, "blind-decoder").permutation(len(decoded))]
    captions = [""] * len(said)
    for clip, other in zip(order, np.roll(order, 1), strict=True):
        captions[clip] = said[other]
    return captions
