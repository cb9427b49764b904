"""Which clips a seed learns from, and which categories it never sees: decided here alone.

Every reader of the source's clips calls `seed_clips`, so all sources and controls of a seed share
its division. docs/protocol.md, "Base and novel categories", has the rules.

Letters: K categories of a group, s siblings that are wanted.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from math import ceil
from pathlib import Path

import numpy as np

from taskgrain.config.clips import HoldOut, SourceData
from taskgrain.data.few_shot import few_shot_records, read_few_shot
from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.errors import ConfigError, TaxonomyError
from taskgrain.randomness import derive_seed

KEPT = 2  # base categories of a group that not all of is held out: one alone has no neighbour
SHOWN = 3  # categories that an error names
Groups = Mapping[str, Sequence[str]]  # name -> its categories, in order


@dataclass(frozen=True, slots=True)
class SeedClips:
    """What a seed learns from, and what is kept from it."""

    seed: int
    learned: Manifest  # base categories alone: the training clips that it draws, and validation
    novel: Manifest  # clips of the held-out categories in both splits; none if none is held out
    # "siblings": categories whose group has base categories; "groups": those of whole groups.
    # Strata without a category are left out; both are where the dataset lacks the level.
    strata: Mapping[str, tuple[str, ...]]


def differ_by_seed(data: SourceData) -> bool:
    """Whether two seeds learn from different clips."""
    return data.draw is not None or categories_rotate(data)


def categories_rotate(data: SourceData) -> bool:
    """Whether the held-out categories are drawn anew under each seed."""
    return data.hold_out is not None and data.hold_out.few_shot is None


def seed_clips(data: SourceData, manifest: Manifest, seed: int) -> SeedClips:
    """Divide a source's clips for a seed; without `draw` and `hold_out` it learns from all.

    Draws and held-out categories have random streams of their own.

    Raises:
        ConfigError: naming the setting, if so many categories or groups cannot be held out, or so
            many clips not be drawn, or a base category is left without a training clip.
        ManifestError: if the few-shot list cannot be read, or names clips that are not there.
    """
    if data.draw is None and data.hold_out is None:
        return SeedClips(seed, manifest, _of(manifest, frozenset()), {})
    held: frozenset[str] = frozenset()
    strata: dict[str, tuple[str, ...]] = {}
    if data.hold_out is not None:
        held, strata = _held_out(data.hold_out, manifest, seed)
    base = manifest if not held else _of(manifest, set(manifest.taxonomy.categories) - held)
    if data.draw is not None:
        base = _drawn(base, data.draw, seed)
    return SeedClips(seed, base, _of(manifest, held), strata)


def _of(manifest: Manifest, categories: set[str] | frozenset[str]) -> Manifest:
    """Keep the clips of some categories, and these categories alone in the taxonomy."""
    return replace(
        manifest,
        records=tuple(record for record in manifest.records if record.category in categories),
        taxonomy=manifest.taxonomy.only(categories),
    )


# Holding out. The groups that are held out whole come first, each as probably as any other, as long
# as the groups that stay can spare the siblings. Then the siblings are shared out over the groups
# that stay, in proportion to their categories and with two left in each: every category that may be
# a sibling is one equally often. Training clips are drawn last, of what is then learned.
#
# What breaks it: counting clips that a ledger excludes (`_usable`), or categories without a scored
# clip (`_able`): a seed would hold out what cannot be learned or tested.
def _held_out(
    wanted: HoldOut, manifest: Manifest, seed: int
) -> tuple[frozenset[str], dict[str, tuple[str, ...]]]:
    """Choose the held-out categories, and the stratum of each."""
    if wanted.few_shot is not None:
        listed = few_shot_records(read_few_shot(wanted.few_shot), manifest.records)
        held = frozenset(record.category for record in listed)
        return held, _strata(wanted.level, manifest, held)
    rng = np.random.default_rng(derive_seed(seed, "held-out"))
    groups = _groups(wanted.level, manifest)
    able = _able(groups, manifest)
    whole = _whole_groups(wanted, groups, able, rng, where=manifest.root)
    able = {name: able[name] for name in able if name not in whole}
    quotas = _quotas(
        wanted.siblings,
        {name: len(members) for name, members in able.items()},
        {name: _spare(groups[name], able[name]) for name in able},
    )
    siblings = tuple(sorted(_sampled(able, quotas, rng)))
    of_groups = tuple(sorted(each for name in whole for each in groups[name]))
    strata = {"siblings": siblings, "groups": of_groups}
    return frozenset((*siblings, *of_groups)), {k: v for k, v in strata.items() if v}


def _groups(level: str, manifest: Manifest) -> Groups:
    """List the groups of a level with those of their categories that have a training clip."""
    taxonomy, learnable = manifest.taxonomy, _categories(manifest, Split.TRAIN)
    members: dict[str, list[str]] = defaultdict(list)
    try:
        for category in taxonomy.categories:
            name = taxonomy.name_of(category, level)
            if name is not None and category in learnable:
                members[name].append(category)
    except TaxonomyError as error:
        raise ConfigError(
            f"data.hold_out.level: {manifest.root}: {error}; name a level of the dataset or of "
            "data.levels whose names are groups of categories. A hold_out that the study did not "
            "write comes from the one that it extends: it goes where no target has novel = true"
        ) from None
    return dict(sorted(members.items()))


def _categories(manifest: Manifest, split: Split) -> set[str]:
    """Return the categories that have a clip in a split which no ledger excludes."""
    return {record.category for record in _usable(manifest, split)}


def _usable(manifest: Manifest, split: Split) -> list[ClipRecord]:
    return [record for record in manifest.split(split) if record.excluded is None]


def _able(groups: Groups, manifest: Manifest) -> Groups:
    """List those categories of each group that could be tested: they have a scored clip too."""
    scored = _categories(manifest, Split.VALIDATION)
    return {name: [each for each in members if each in scored] for name, members in groups.items()}


def _spare(members: Sequence[str], able: Sequence[str]) -> int:
    """Count the categories of a group that can be held out as siblings."""
    return max(0, min(len(able), len(members) - KEPT))


def _whole_groups(
    wanted: HoldOut, groups: Groups, able: Groups, rng: np.random.Generator, *, where: Path
) -> list[str]:
    """Draw groups that are held out whole, each as probably as any other.

    A group of one category stays base: held out, it would have no category to be confused with in
    its group, and it could be no sibling either. A group is passed over if the siblings could not
    be had of those that then stay.
    """
    spare = {name: _spare(groups[name], able[name]) for name in groups}
    open_names = [name for name, members in groups.items() if len(members) == len(able[name]) >= 2]
    if wanted.groups > len(open_names) or wanted.groups >= len(groups):
        raise ConfigError(
            f"data.hold_out.groups is {wanted.groups}, but of the {len(groups)} groups of level "
            f"{wanted.level!r} in {where} {len(open_names)} can be held out (of two categories "
            "or more, each with a training and a validation clip), and one has to stay; lower it"
        )

    def left(taken: Sequence[str]) -> int:
        """Count the siblings that could be had, if the rest of the groups cost as few as can be."""
        others = sorted(spare[name] for name in open_names if name not in taken)
        cheapest = sum(others[: wanted.groups - len(taken)])
        return sum(spare.values()) - sum(spare[name] for name in taken) - cheapest

    if left([]) < wanted.siblings:
        raise ConfigError(
            f"data.hold_out.siblings is {wanted.siblings}, but the groups of level "
            f"{wanted.level!r} in {where} can spare {left([])} at most (two of each stay, and "
            f"{wanted.groups} groups are held out whole); lower siblings or groups"
        )
    taken: list[str] = []
    for position in rng.permutation(len(open_names)):
        more = [*taken, open_names[position]]
        if len(taken) < wanted.groups and left(more) >= wanted.siblings:
            taken = more
    return taken


def _quotas(number: int, sizes: Mapping[str, int], most: Mapping[str, int]) -> dict[str, Fraction]:
    """Share a number out in proportion to sizes, none above its most.

    What a full one cannot take the others do, so that as many as can be have the same share.
    """
    quotas: dict[str, Fraction] = {}
    while len(quotas) < len(sizes):
        open_sizes = {name: size for name, size in sizes.items() if name not in quotas}
        rate = Fraction(number - sum(quotas.values())) / sum(open_sizes.values())
        full = {name: Fraction(most[name]) for name, size in open_sizes.items()
                if size * rate > most[name]}  # fmt: skip
        if not full:
            return quotas | {name: size * rate for name, size in open_sizes.items()}
        quotas |= full
    return quotas


def _sampled(
    members: Mapping[str, Sequence[str]],
    quotas: Mapping[str, Fraction],
    rng: np.random.Generator,
) -> list[str]:
    """Draw members without replacement: of each name its quota, rounded.

    Quotas are rounded by systematic sampling over the names in a drawn order (Madow 1949): each
    name has its quota rounded up or down, on average the quota itself, and all together their
    sum, a whole number.
    """
    # Quotas lie end to end on a line; a member is drawn wherever a whole number plus one random
    # start falls. Fractions: the last bit of a float would move a `ceil`, and with it the sum.
    start, before = Fraction(int(rng.integers(1 << 32)), 1 << 32), Fraction(0)
    chosen: list[str] = []
    for position in rng.permutation(len(members)):
        name = list(members)[position]
        count = ceil(before + quotas[name] - start) - ceil(before - start)
        before += quotas[name]
        chosen += [members[name][index] for index in rng.permutation(len(members[name]))[:count]]
    return chosen


def _strata(level: str, manifest: Manifest, held: frozenset[str]) -> dict[str, tuple[str, ...]]:
    """Part listed categories by whether any other category of their group stays."""
    taxonomy = manifest.taxonomy
    if level not in taxonomy.levels:
        return {}
    group_of = {category: taxonomy.name_of(category, level) for category in taxonomy.categories}
    learnable = _categories(manifest, Split.TRAIN) - held
    kept = {group_of[category] for category in learnable}
    of_groups = {category for category in held if group_of[category] not in kept}
    strata = {"siblings": held - of_groups, "groups": of_groups}
    return {name: tuple(sorted(listed)) for name, listed in strata.items() if listed}


def _drawn(base: Manifest, number: int, seed: int) -> Manifest:
    """Draw the training clips of a seed; they keep their order, and validation stays whole.

    Each clip is drawn as probably as any other, and each category keeps its share of the clips to
    within one: no seed learns from another mixture.
    """
    training = _usable(base, Split.TRAIN)
    if number > len(training):
        raise ConfigError(
            f"data.draw is {number:,}, but under seed {seed} {base.root} has {len(training):,} "
            f"training clips of {len(base.taxonomy.categories)} base categories; lower it"
        )
    rng = np.random.default_rng(derive_seed(seed, "drawn-clips"))
    clips: dict[str, list[str]] = defaultdict(list)
    for record in training:
        clips[record.category].append(record.clip_id)
    quotas = {name: Fraction(number * len(each), len(training)) for name, each in clips.items()}
    chosen = set(_sampled(clips, quotas, rng))
    drawn = replace(
        base,
        records=tuple(
            record
            for record in base.records
            if record.split is not Split.TRAIN or record.clip_id in chosen
        ),
    )
    lost = sorted(_categories(base, Split.TRAIN) - _categories(drawn, Split.TRAIN))
    if lost:
        names = ", ".join(map(repr, lost[:SHOWN]))
        more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
        raise ConfigError(
            f"data.draw is {number:,}, and under seed {seed} that leaves no training clip of "
            f"{names}{more} in {base.root}; raise it, or choose another seed"
        )
    return drawn


@dataclass(frozen=True, slots=True)
class SeedFacts:
    """Base and novel categories of a seed, and their clips."""

    seed: int | None  # None where every seed has the same
    base: int  # categories with a training clip
    training: int  # clips that are learned from
    validation: int  # clips of base categories
    novel: int  # categories that are held out
    support: int  # their clips in the training split
    scored: int  # and in the validation split
    siblings: tuple[str, ...]  # held-out categories whose group has base categories
    groups: tuple[str, ...]  # held-out categories of whole groups
    others: tuple[str, ...]  # held-out categories of a dataset without groups


def seed_facts(data: SourceData, manifest: Manifest, seeds: Sequence[int]) -> list[SeedFacts]:
    """Count base and novel categories and clips, for each seed or once where all have the same.

    Returns:
        Nothing where every seed learns from all clips.
    """
    if data.draw is None and data.hold_out is None:
        return []
    if not differ_by_seed(data):
        return [_facts(data, manifest, seeds[0], named=None)]
    return [_facts(data, manifest, seed, named=seed) for seed in seeds]


def _facts(data: SourceData, manifest: Manifest, seed: int, *, named: int | None) -> SeedFacts:
    divided = seed_clips(data, manifest, seed)
    training = divided.learned.split(Split.TRAIN)
    siblings, groups = (tuple(divided.strata.get(name, ())) for name in ("siblings", "groups"))
    held = {record.category for record in divided.novel.records}
    return SeedFacts(
        seed=named,
        base=len({record.category for record in training}),
        training=len(training),
        validation=len(divided.learned.split(Split.VALIDATION)),
        novel=len(held),
        support=len(divided.novel.split(Split.TRAIN)),
        scored=len(divided.novel.split(Split.VALIDATION)),
        siblings=siblings,
        groups=groups,
        others=tuple(sorted(held - {*siblings, *groups})),
    )


def facts_json(facts: Sequence[SeedFacts]) -> str:
    """Write facts as JSON, a seed a line, for held-out.json."""
    lines = (json.dumps(asdict(each), ensure_ascii=False) for each in facts)
    return "[\n" + ",\n".join(lines) + "\n]\n"
