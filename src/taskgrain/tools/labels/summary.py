"""Sum up a dataset's labels at every grain: how many names, words and bits they have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain as joined

from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.labels.caption import (
    CAPTION_FORMS,
    SIMPLIFICATIONS,
    CaptionForm,
    captions_as,
    is_free,
)
from taskgrain.labels.ssv2 import CONTRASTIVE_GROUPS
from taskgrain.labels.symmetry import SSV2_MIRROR, mirror
from taskgrain.labels.taxonomy import CATEGORY, Taxonomy, entropy_bits
from taskgrain.labels.template import words_of
from taskgrain.labels.vocabulary import Coverage, build_vocabulary

MIRROR_TABLE = "something-something-v2"
"""What `LabelSummary.mirrored` is counted by: the packaged table; a study may bring its own."""


@dataclass(frozen=True, slots=True)
class LevelSummary:
    """A level of the taxonomy."""

    names: int
    train: int  # clips that have a name there
    validation: int
    left_out: int  # categories without a name there


@dataclass(frozen=True, slots=True)
class Branch:
    """A name in the tree of levels, and those below it."""

    name: str
    level: str
    train: int  # clips
    validation: int
    branches: tuple[Branch, ...]


@dataclass(frozen=True, slots=True)
class FormSummary:
    """The vocabulary of a caption form."""

    words: int  # seen at least `min_count` times in training captions
    train: Coverage
    validation: Coverage

    def to_json(self) -> dict[str, object]:
        """Return every number; rates are null where there is nothing to count."""
        return {
            "words": self.words,
            "train": _coverage(self.train),
            "validation": _coverage(self.validation),
        }


@dataclass(frozen=True, slots=True)
class Simplification:
    """A placeholder and the word that a rule makes of it."""

    placeholder: str
    word: str
    count: int  # training placeholders


@dataclass(frozen=True, slots=True)
class RuleSummary:
    """What a rule of simplification does to the training placeholders."""

    placeholders: int
    changed: int
    distinct_before: int
    distinct_after: int
    most_frequent: tuple[Simplification, ...]  # of those that the rule changes


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """A dataset's labels at every grain."""

    min_count: int  # rarer words are unknown
    levels: Mapping[str, LevelSummary]  # from fine to coarse
    chain: tuple[str, ...]  # the levels that nest, from coarse to fine: those of the tree
    tree: tuple[Branch, ...]
    forms: Mapping[CaptionForm, FormSummary]  # those that a study can learn
    entropy_bits: Mapping[str, float]  # grain -> bits that it tells about a training clip
    simplifications: Mapping[str, RuleSummary]
    contrastive_groups: tuple[tuple[str, ...], ...]  # categories of each group that is there
    mirrored: int  # training clips whose labels may be mirrored by MIRROR_TABLE
    train: int  # clips
    validation: int

    def to_json(self) -> dict[str, object]:
        """Write as one object; docs/commands.md lists its keys."""
        return {
            "clips": {"train": self.train, "validation": self.validation},
            "min_count": self.min_count,
            "levels": {name: asdict(level) for name, level in self.levels.items()},
            "chain": list(self.chain),
            "tree": [asdict(branch) for branch in self.tree],
            "vocabulary": {form: summary.to_json() for form, summary in self.forms.items()},
            "entropy_bits": {grain: round(bits, 4) for grain, bits in self.entropy_bits.items()},
            "simplifications": {name: asdict(rule) for name, rule in self.simplifications.items()},
            "contrastive_groups": [list(group) for group in self.contrastive_groups],
            "mirrored": self.mirrored,
            "mirror_table": MIRROR_TABLE,
        }


def summarise_labels(manifest: Manifest, *, min_count: int = 1, top: int = 10) -> LabelSummary:
    """Sum up the labels of a dataset.

    Args:
        manifest: the dataset; its videos are not looked at.
        min_count: words seen less often in training captions are unknown.
        top: simplifications to list for each rule.

    Raises:
        ValueError: if `min_count` is below 1.
    """
    if min_count < 1:
        raise ValueError(f"min_count is {min_count}; expected at least 1")
    taxonomy = manifest.taxonomy
    train, validation = manifest.split(Split.TRAIN), manifest.split(Split.VALIDATION)
    levels = taxonomy.fine_to_coarse
    chain = nested_levels(taxonomy, levels)
    by_category = (_categories(train), _categories(validation))
    forms, bits = {}, {level: _level_bits(taxonomy, level, by_category[0]) for level in levels}
    for form in _forms(train):
        captions = [_captions(form, record) for record in train]
        forms[form] = _form(captions, [_captions(form, record) for record in validation], min_count)
        bits[form] = entropy_bits(Counter(words_of(each[0]) for each in captions))
    return LabelSummary(
        min_count=min_count,
        levels={level: _level(taxonomy, level, *by_category) for level in levels},
        chain=tuple(reversed(chain)),
        tree=_branches(taxonomy, list(reversed(chain)), taxonomy.categories, *by_category),
        forms=forms,
        entropy_bits=bits,
        simplifications=_simplifications(train, top),
        contrastive_groups=_contrastive(by_category[0].keys() | by_category[1].keys()),
        mirrored=sum(
            mirror(r.template, r.placeholders, r.captions, SSV2_MIRROR) is not None for r in train
        ),
        train=len(train),
        validation=len(validation),
    )


def nested_levels(taxonomy: Taxonomy, levels: Sequence[str]) -> tuple[str, ...]:
    """Pick the levels that make one tree: each name lies within one name of the next level.

    Args:
        taxonomy: of the dataset.
        levels: from fine to coarse, the category first.

    Returns:
        The category, and every further level that names all categories and nests over the one
        picked before it.
    """
    chain = [CATEGORY]
    for level in levels[1:]:
        index_of, finer = taxonomy.index_of(level).tolist(), taxonomy.index_of(chain[-1]).tolist()
        pairs = set(zip(finer, index_of, strict=True))
        if -1 not in index_of and len(pairs) == len(set(finer)):
            chain.append(level)
    return tuple(chain)


def _categories(records: Iterable[ClipRecord]) -> Counter[str]:
    return Counter(record.category for record in records)


def _level(
    taxonomy: Taxonomy, level: str, train: Counter[str], validation: Counter[str]
) -> LevelSummary:
    named = [name for name in taxonomy.categories if taxonomy.name_of(name, level) is not None]
    return LevelSummary(
        names=len(taxonomy.names(level)),
        train=sum(train[category] for category in named),
        validation=sum(validation[category] for category in named),
        left_out=len(taxonomy.categories) - len(named),
    )


def _branches(
    taxonomy: Taxonomy,
    chain: Sequence[str],
    categories: Sequence[str],
    train: Counter[str],
    validation: Counter[str],
) -> tuple[Branch, ...]:
    """Grow the tree below some categories, by the levels from coarse to fine."""
    if not chain:
        return ()
    below: dict[str, list[str]] = {}
    for category in categories:
        name = taxonomy.name_of(category, chain[0])
        assert name is not None  # the levels of a chain name every category
        below.setdefault(name, []).append(category)
    return tuple(
        Branch(
            name,
            chain[0],
            sum(train[category] for category in inside),
            sum(validation[category] for category in inside),
            _branches(taxonomy, chain[1:], inside, train, validation),
        )
        for name, inside in sorted(below.items())
    )


def _forms(train: Iterable[ClipRecord]) -> tuple[CaptionForm, ...]:
    """Return the caption forms that a study can learn; of free sentences there is one."""
    is_any_free = any(is_free(record.template, record.caption) for record in train)
    return ("full",) if is_any_free else CAPTION_FORMS


def _form(
    train: Iterable[Sequence[str]], validation: Iterable[Sequence[str]], min_count: int
) -> FormSummary:
    """Sum up the captions of clips, every one of each."""
    learned, held_out = list(joined.from_iterable(train)), list(joined.from_iterable(validation))
    vocabulary = build_vocabulary(learned, min_count=min_count)
    return FormSummary(
        len(vocabulary.words), vocabulary.coverage(learned), vocabulary.coverage(held_out)
    )


def _captions(form: CaptionForm, record: ClipRecord) -> tuple[str, ...]:
    return captions_as(form, record.template, record.placeholders, record.captions)


def _level_bits(taxonomy: Taxonomy, level: str, train: Counter[str]) -> float:
    """Entropy of a level over the training clips that have a name there."""
    names: Counter[str] = Counter()
    for category, clips in train.items():
        name = taxonomy.name_of(category, level)
        if name is not None:
            names[name] += clips
    return entropy_bits(names)


def _simplifications(records: Iterable[ClipRecord], top: int) -> dict[str, RuleSummary]:
    placeholders = Counter(text for record in records for text in record.placeholders)
    rules = {}
    for name, rule in SIMPLIFICATIONS.items():
        word_of = {placeholder: rule(placeholder) for placeholder in placeholders}
        changed = [each for each, word in word_of.items() if word != each.lower()]
        changed.sort(key=lambda each: (-placeholders[each], each))
        rules[name] = RuleSummary(
            placeholders=placeholders.total(),
            changed=sum(placeholders[each] for each in changed),
            distinct_before=len({each.lower() for each in placeholders}),
            distinct_after=len(set(word_of.values())),
            most_frequent=tuple(
                Simplification(each, word_of[each], placeholders[each]) for each in changed[:top]
            ),
        )
    return rules


def _contrastive(categories: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Return the contrastive groups with at least two classes present, by those categories."""
    there = set(categories)
    groups = []
    for group in CONTRASTIVE_GROUPS:
        classes = [[name for name in merged if name in there] for merged in group.classes]
        if sum(map(bool, classes)) >= 2:
            groups.append(tuple(name for names in classes for name in names))
    return tuple(groups)


def _coverage(counts: Coverage) -> dict[str, object]:
    return {
        "captions": counts.num_captions,
        "coverage": round(counts.coverage, 4) if counts.num_captions else None,
        "unknown_rate": round(counts.unknown_rate, 4) if counts.num_tokens else None,
        "cut": counts.num_cut,
    }
