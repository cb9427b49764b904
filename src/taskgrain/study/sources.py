"""What a source says of each clip: the target of its head and the tokens of its caption."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from taskgrain.config.settings import Source
from taskgrain.data.dataset import Example
from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.labels.caption import CaptionForm, caption_of
from taskgrain.labels.taxonomy import Taxonomy
from taskgrain.labels.vocabulary import Vocabulary, build_vocabulary


@dataclass(frozen=True)
class SourceTask:
    """A source on one dataset; it holds all that its checkpoint needs to speak for itself."""

    name: str
    taxonomy: Taxonomy
    level: str | None  # what its head tells apart
    form: CaptionForm | None  # what its decoder says
    vocabulary: Vocabulary | None
    classification_weight: float  # lambda: 1 classification alone, 0 captioning alone

    @property
    def num_classes(self) -> int | None:
        """Classes of the head, or None without one."""
        return None if self.level is None else len(self.taxonomy.names(self.level))

    def examples(self, records: Sequence[ClipRecord]) -> list[Example]:
        """Say what the source says of each clip."""
        index = None if self.level is None else self.taxonomy.index_of(self.level)
        examples = []
        for record in records:
            target = -1
            if index is not None:
                target = int(index[self.taxonomy.category_index(record.category)])
            tokens: tuple[int, ...] = ()
            if self.vocabulary is not None and self.form is not None:
                tokens = self.vocabulary.encode(caption_in(self.form, record))
            examples.append(Example(record.clip_id, target, tokens))
        return examples

    def entropy_bits(self, records: Sequence[ClipRecord]) -> float:
        """Bits that the source's label tells about a clip: the entropy over these clips."""
        said = Counter((example.target, example.tokens) for example in self.examples(records))
        shares = np.array(list(said.values())) / said.total()
        return float(-(shares * np.log2(shares)).sum()) + 0.0  # never -0.0


def caption_in(form: CaptionForm, record: ClipRecord) -> str:
    """Write a clip's caption in a form; the annotator's own words where it is full."""
    if form == "full":
        return record.caption
    return caption_of(record.template, record.placeholders, form)


def source_task(source: Source, manifest: Manifest) -> SourceTask:
    """Lay a source over a dataset; the vocabulary comes from the training clips alone.

    Raises:
        TaxonomyError: if the dataset's taxonomy lacks the source's level.
    """
    if source.classify is not None:
        manifest.taxonomy.names(source.classify)
    weight = source.classification_weight
    if weight is None:
        weight = 1.0 if source.caption is None else 0.0
    form, vocabulary = source.caption, None
    if form is not None:
        training = manifest.split(Split.TRAIN)
        vocabulary = build_vocabulary(caption_in(form, record) for record in training)
    return SourceTask(source.name, manifest.taxonomy, source.classify, form, vocabulary, weight)
