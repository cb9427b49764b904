"""Which template a decoder finds likeliest for a clip, among all templates of the dataset.

This compares decoders of different grain, and heads of categories, on the same task. Every template
is filled with the clip's own objects, so that only the templates differ. Only the template's own
words and the end of the caption count. The words of the objects are taken as known: otherwise a
template with fewer placeholders would win by leaving objects out.

Shapes: B clips, L tokens, T' encoder steps, D width, C captions of a clip.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.decoding import score_alternatives
from taskgrain.labels.caption import CaptionForm, caption_of, is_free, objects_of
from taskgrain.labels.template import (
    Words,
    fixed_parts,
    placeholder_count,
    strip_brackets,
    words_as,
)
from taskgrain.labels.vocabulary import MAX_TOKENS, PAD, Vocabulary
from taskgrain.metrics.accuracy import TOP_K
from taskgrain.models.decoder import CaptionDecoder, reorder
from taskgrain.study.inputs import drawn_once
from taskgrain.study.sources import Score

MAX_CLIPS = 1000  # a share of them right is then within 3 % of that of all
CAPTIONS_AT_ONCE = 1024  # that the decoder scores together, so that memory is bounded
EMPTY = "something"  # what fills a placeholder where a clip names no object
_split = lru_cache(maxsize=1 << 14)(words_as)  # the parts of templates, and objects, come often


@dataclass(frozen=True, slots=True)
class Rank:
    """How many templates are as likely as the true one, or likelier."""

    by_own_words: int  # the objects taken as known
    by_all_words: int


@dataclass(frozen=True, slots=True)
class _Choice:
    tokens: tuple[int, ...]  # BOS ... EOS
    is_own: tuple[bool, ...]  # of each token after BOS: the template's own, or the end


@dataclass(slots=True)
class TemplateRanking:
    """Ranks every template for each of some clips."""

    form: CaptionForm
    vocabulary: Vocabulary
    templates: tuple[str, ...]  # of the dataset, with brackets
    ranks: dict[str, Rank] = field(default_factory=dict)  # by clip id

    def rank(
        self, decoder: CaptionDecoder, features: Tensor, records: Sequence[ClipRecord]
    ) -> None:
        """Rank the templates of clips: float (B, T', D) features, and their clips."""
        choices = [self._choices(record) for record in records]
        for part in _parts([len(each) for each in choices]):
            ranks = _ranks(decoder, features[part], choices[part])
            self.ranks |= dict(zip((r.clip_id for r in records[part]), ranks, strict=True))

    def scores(self, clips: Sequence[ClipRecord]) -> list[Score]:
        """Compute the shares of clips whose true template comes first, or among the first five.

        A clip without a rank counts as wrong.
        """
        # Shares are of all the clips: one that could not be decoded has no rank, and is wrong.
        ranks = [self.ranks[clip.clip_id] for clip in clips if clip.clip_id in self.ranks]
        own = [rank.by_own_words for rank in ranks]
        counts = {
            "template-ranking": sum(rank < 1 for rank in own),
            f"template-ranking-top-{TOP_K}": sum(rank < TOP_K for rank in own),
        }
        if self.form != "template":
            counts["template-ranking-with-objects"] = sum(rank.by_all_words < 1 for rank in ranks)
        return [
            Score(probe="decoder", metric=metric, value=right / len(clips), clips=clips)
            for metric, right in counts.items()
        ]

    def _choices(self, record: ClipRecord) -> list[_Choice]:
        """Write every template with the clip's objects, the true one first, each caption once."""
        # The true template comes first, since the others are compared with it. Templates that
        # become the same words count once: the true one would never be ahead of a copy of itself.
        of_tokens: dict[tuple[int, ...], _Choice] = {}
        for template in (record.template, *self.templates):
            objects = objects_for(template, record.placeholders)
            tokens = self.vocabulary.encode(caption_of(template, objects, self.form))
            if tokens not in of_tokens:
                is_own = own_words(template, objects, self.form, self.vocabulary.rule)
                is_own = (*is_own[: MAX_TOKENS - 1], True)  # the end is the template's own
                if len(is_own) != len(tokens) - 1:  # a word runs over the edge of a bracket
                    is_own = (True,) * (len(tokens) - 1)
                of_tokens[tokens] = _Choice(tokens, is_own)
        return list(of_tokens.values())


def objects_for(template: str, objects: Sequence[str]) -> tuple[str, ...]:
    """Fill the placeholders of a template with the objects of another.

    With fewer placeholders the first objects are taken; with more the last one is repeated, and
    "something" where there is none.
    """
    num_slots = placeholder_count(template)
    last = objects[-1] if objects else EMPTY
    return (*objects, *[last] * num_slots)[:num_slots]


def own_words(
    template: str, objects: Sequence[str], form: CaptionForm, rule: Words
) -> tuple[bool, ...]:
    """Mark which words of a caption are its template's own; all where it names no object."""
    if form == "template":
        return (True,) * len(_split(rule, strip_brackets(template)))
    is_own: list[bool] = []
    fillings = (*objects_of(objects, form), "")
    for part, thing in zip(fixed_parts(template), fillings, strict=True):
        is_own += [True] * len(_split(rule, part)) + [False] * len(_split(rule, thing))
    return tuple(is_own)


def ranking_of(
    form: CaptionForm, vocabulary: Vocabulary, manifest: Manifest
) -> TemplateRanking | None:
    """Prepare to rank the templates of a dataset; None where there are not two."""
    templates = {each.template for each in manifest.records if not _is_free(each)}
    if len(templates) < 2:
        return None
    return TemplateRanking(form, vocabulary, tuple(sorted(templates)))


def ranked_clips(manifest: Manifest) -> list[ClipRecord]:
    """Choose the validation clips whose templates are ranked, for all sources the same.

    Up to 1,000 are drawn, whatever the seeds of the study; clips with free sentences have no
    template.
    """
    usable = [each for each in manifest.split(Split.VALIDATION) if not _is_free(each)]
    return drawn_once(usable, MAX_CLIPS, "template-ranking")


def _is_free(record: ClipRecord) -> bool:
    return is_free(record.template, record.caption)


def _ranks(
    decoder: CaptionDecoder, features: Tensor, choices: Sequence[Sequence[_Choice]]
) -> list[Rank]:
    """Rank the choices of clips: float (B, T', D) features, C captions each, the true one first."""
    device, sizes = features.device, [len(each) for each in choices]
    flat = [choice for each in choices for choice in each]  # all captions of all clips
    captions = _padded([torch.tensor(choice.tokens) for choice in flat]).to(device)
    is_own = _padded([torch.tensor(choice.is_own) for choice in flat])
    clips = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)).to(device)
    start = decoder.start(features)
    tokens = score_alternatives(decoder.step, start, captions, clips, reorder=reorder).cpu()
    own = (tokens * is_own).sum(dim=1).split(sizes)
    everything = tokens.sum(dim=1).split(sizes)
    return [
        Rank(_rank_of_first(by_own), _rank_of_first(by_all))
        for by_own, by_all in zip(own, everything, strict=True)
    ]


def _padded(rows: list[Tensor]) -> Tensor:
    return pad_sequence(rows, batch_first=True, padding_value=PAD)


def _rank_of_first(scores: Tensor) -> int:
    """Count the other scores that are not below the first of float (C,): ties rank before it."""
    return int((scores[1:] >= scores[0]).sum())


def _parts(sizes: Sequence[int]) -> Iterator[slice]:
    """Cut clips into runs of at most `CAPTIONS_AT_ONCE` captions, of one clip at least."""
    start = total = 0
    for index, size in enumerate(sizes):
        if index > start and total + size > CAPTIONS_AT_ONCE:
            yield slice(start, index)
            start, total = index, 0
        total += size
    if start < len(sizes):
        yield slice(start, len(sizes))
