"""A source's labels of each clip, and the scores of its own head and decoder."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from taskgrain.config.learning import Source
from taskgrain.data.dataset import Example, Label, Tokens
from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.errors import TaxonomyError
from taskgrain.labels.caption import CaptionForm, captions_as, is_free
from taskgrain.labels.symmetry import mirror
from taskgrain.labels.taxonomy import Taxonomy, entropy_bits, regroup, regrouped_level
from taskgrain.labels.template import Words, strip_brackets, words_as
from taskgrain.labels.vocabulary import UNK, Vocabulary, build_vocabulary
from taskgrain.learned import SOURCE_VALIDATION
from taskgrain.names import Control
from taskgrain.randomness import derive_seed
from taskgrain.results import ResultRow
from taskgrain.statistics.intervals import Interval
from taskgrain.transfer.rows import interval_columns


@dataclass(frozen=True)
class SourceTask:
    """A source on one dataset, with all that its checkpoint needs to name classes and words."""

    name: str
    taxonomy: Taxonomy
    level: str | None  # of the classes of its head
    form: CaptionForm | None  # of the captions of its decoder
    vocabulary: Vocabulary | None
    classification_weight: float  # lambda: 1 classification alone, 0 captioning alone
    mirror: Mapping[str, str] = field(default_factory=dict)  # category -> its mirror image
    templates: Mapping[str, str] = field(default_factory=dict)  # category -> with brackets
    taught: Mapping[str, str] = field(default_factory=dict)  # clip -> category, if not its own

    @property
    def words(self) -> Words:
        """The rule by which its captions become words."""
        return "taskgrain" if self.vocabulary is None else self.vocabulary.rule

    @property
    def num_classes(self) -> int | None:
        """Classes of the head, or None without one."""
        return None if self.level is None else len(self.taxonomy.names(self.level))

    def covered(self, records: Iterable[ClipRecord]) -> list[ClipRecord]:
        """Leave out the clips whose category the source's level does not name."""
        if self.level is None:
            return list(records)
        level = self.level
        return [
            record
            for record in records
            if self.taxonomy.name_of(record.category, level) is not None
        ]

    def examples(self, records: Sequence[ClipRecord]) -> list[Example]:
        """Label each clip that the source covers, and its mirror image."""
        index = None if self.level is None else self.taxonomy.index_of(self.level)
        target_of = {
            category: -1 if index is None else int(index[position])
            for position, category in enumerate(self.taxonomy.categories)
        }
        return [
            Example(record.clip_id, label, self._mirrored(record, label, target_of))
            for record in self.covered(records)
            for label in [self._label(record, target_of)]
        ]

    def entropy_bits(self, records: Sequence[ClipRecord]) -> float:
        """Compute the bits that the source's label has of a clip: the entropy over these clips.

        The label is the name at the source's level and the words of the first caption in its form,
        by the rule of its vocabulary, whatever words the decoder knows.
        """
        return entropy_bits(
            Counter(
                (
                    None if self.level is None else self.taxonomy.name_of(r.category, self.level),
                    () if self.form is None else words_as(self.words, captions_in(self.form, r)[0]),
                )
                for r in self.covered(records)
            )
        )

    def _label(self, record: ClipRecord, target_of: Mapping[str, int]) -> Label:
        target = target_of[self.taught.get(record.clip_id, record.category)]
        if self.vocabulary is None or self.form is None:
            return Label(target)
        return Label(target, self._tokens(captions_in(self.form, record)))

    def _tokens(self, captions: Iterable[str]) -> tuple[Tokens, ...]:
        assert self.vocabulary is not None
        return tuple(self.vocabulary.encode(caption) for caption in captions)

    def _mirrored(
        self, record: ClipRecord, label: Label, target_of: Mapping[str, int]
    ) -> Label | None:
        """Label the mirror image; None where it is unknown, or has unknown words."""
        if not self.mirror:
            return None
        image = mirror(
            record.template,
            record.placeholders,
            record.captions,
            self.mirror,
            templates=self.templates,
        )
        if image is None or strip_brackets(image.template) not in target_of:
            return None
        target = target_of[strip_brackets(image.template)]
        # An image outside of the source's level would be a clip without a class.
        if (target == -1) != (label.target == -1):
            return None
        if not label.captions or self.form is None:
            return Label(target)
        tokens = self._tokens(
            captions_as(self.form, image.template, image.placeholders, image.captions)
        )
        # The mirrored caption may need a word outside of the vocabulary.
        if _unknown(tokens) > _unknown(label.captions):
            return None
        return Label(target, tokens)


def _unknown(captions: tuple[Tokens, ...]) -> int:
    return sum(tokens.count(UNK) for tokens in captions)


def captions_in(form: CaptionForm, record: ClipRecord) -> tuple[str, ...]:
    """Write a clip's captions in a form; the annotators' own words where it is full."""
    return captions_as(form, record.template, record.placeholders, record.captions)


def source_task(
    source: Source,
    manifest: Manifest,
    *,
    min_word_count: int = 1,
    words: Words = "taskgrain",
    mirror: Mapping[str, str] | None = None,
    seed: int = 0,
) -> SourceTask:
    """Apply a source to a dataset; the vocabulary comes from the training clips alone.

    Args:
        source: its settings.
        manifest: the dataset.
        min_word_count: words rarer than this in the training captions are unknown.
        words: how captions become words.
        mirror: category -> its mirror image, where training may mirror clips.
        seed: of the encoder; it draws the groups of a source that regroups its level, the same for
            every source that does.

    Raises:
        TaxonomyError: if the dataset lacks the source's level, the level names fewer than two
            classes, or captions of the source's form cannot be made of the dataset's.
    """
    level, form, taxonomy = source.classify, source.caption, manifest.taxonomy
    if level is not None and source.regrouped:
        taxonomy = regroup(taxonomy, level, seed=derive_seed(seed, "regrouped", level))
        level = regrouped_level(level)
    if level is not None and len(taxonomy.names(level)) < 2:
        raise TaxonomyError(f"level {level!r} has one class only, and nothing to tell apart")
    weight = source.classification_weight
    if weight is None:
        weight = 1.0 if form is None else 0.0
    task = SourceTask(
        source.name,
        taxonomy,
        level,
        form,
        vocabulary=None,
        classification_weight=weight,
        mirror=mirror or {},
        templates={each.category: each.template for each in manifest.records} if mirror else {},
    )
    if form is None:
        return task
    training = task.covered(manifest.split(Split.TRAIN))
    # Captions in the annotators' own words need no template; the other forms are made from one.
    if form != "full":
        _refuse_free_captions(form, training)
    captions = [caption for record in training for caption in captions_in(form, record)]
    vocabulary = build_vocabulary(captions, min_count=min_word_count, rule=words)
    return replace(task, vocabulary=vocabulary)


def _refuse_free_captions(form: CaptionForm, training: Sequence[ClipRecord]) -> None:
    """Refuse to make a simpler caption from sentences that no template stands behind."""
    for record in training:
        if is_free(record.template, record.caption):
            raise TaxonomyError(
                f"the caption of clip {record.clip_id!r}, {record.caption!r}, is not made of its "
                f"template {record.template!r}, so its form {form!r} is unknown; free sentences "
                'have the form "full" alone'
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One number; NaN where there was nothing to count."""

    probe: str | None = None  # what was read: the head, the decoder, a linear probe
    metric: str
    value: float
    clips: Sequence[ClipRecord] | None = None  # that it counts; None for all
    interval: Interval | None = None
    control: Control | None = None  # what the captions are, where no source generated them
    chosen: str | None = None
    chosen_on: str | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """Who was scored, and on which clips."""

    study: str
    source: str
    seed: int | None  # None for what depends on no encoder
    records: Sequence[ClipRecord]
    states: Mapping[str, str]  # clip id -> how it was decoded; whole where it is not there
    passes: int | None = None  # None for the training that is tested

    def rows(self, scores: Iterable[Score]) -> list[ResultRow]:
        """Write the scores that are numbers as rows, in their order."""
        return [self._row(score) for score in scores if not math.isnan(score.value)]

    def _row(self, score: Score) -> ResultRow:
        clips = self.records if score.clips is None else score.clips
        states = [self.states.get(record.clip_id, "whole") for record in clips]
        columns = {} if score.interval is None else interval_columns(score.interval)
        return ResultRow(
            study=self.study,
            source=self.source,
            seed=self.seed,
            target=SOURCE_VALIDATION,
            probe=score.probe,
            metric=score.metric,
            n=len(clips),
            failed=states.count("failed"),
            truncated=states.count("truncated"),
            chosen=score.chosen,
            chosen_on=score.chosen_on,
            control=score.control,
            passes=self.passes,
            **{**columns, "value": score.value},
        )
