"""What each seed learns from and what is kept from it, in numbers and names, for readers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from taskgrain.config.clips import SourceData
from taskgrain.data.manifest import Manifest, Split
from taskgrain.study.seed_clips import differ_by_seed, seed_clips


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
    found = seed_clips(data, manifest, seed)
    training = found.learned.split(Split.TRAIN)
    siblings, groups = (tuple(found.strata.get(name, ())) for name in ("siblings", "groups"))
    held = {record.category for record in found.novel.records}
    return SeedFacts(
        seed=named,
        base=len({record.category for record in training}),
        training=len(training),
        validation=len(found.learned.split(Split.VALIDATION)),
        novel=len(held),
        support=len(found.novel.split(Split.TRAIN)),
        scored=len(found.novel.split(Split.VALIDATION)),
        siblings=siblings,
        groups=groups,
        others=tuple(sorted(held - {*siblings, *groups})),
    )


def facts_json(facts: Sequence[SeedFacts]) -> str:
    """Write facts as JSON, a seed a line, for held-out.json."""
    lines = (json.dumps(asdict(each), ensure_ascii=False) for each in facts)
    return "[\n" + ",\n".join(lines) + "\n]\n"
