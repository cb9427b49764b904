"""Refuse a target that is declared novel, of which a source learns a category."""

from __future__ import annotations

from collections.abc import Mapping

from taskgrain.config.settings import Study
from taskgrain.data.manifest import Split
from taskgrain.errors import ConfigError
from taskgrain.labels.template import plain_name
from taskgrain.study.datasets import SOURCE, Dataset
from taskgrain.study.seed_clips import seed_clips

SHOWN = 5  # categories that an error names


def refuse_seen(study: Study, datasets: Mapping[str, Dataset]) -> None:
    """Refuse a study in which a source of any seed learns a category of a novel target.

    Categories are equal if they differ in brackets, capitals or underscores alone. Sources that
    learn nothing, and what a warm start learned before, are not looked at.

    Raises:
        ConfigError: naming target, seed and categories, and what to do.
    """
    declared = [each for each in study.targets if each.novel and not each.is_held_out]
    if not declared or all(source.is_frozen for source in study.sources):
        return
    manifest = datasets[SOURCE].manifest()
    asked = {
        each.name: {record.category for record in datasets[each.name].manifest().records}
        for each in declared
    }
    for seed in study.seeds:
        learned = seed_clips(study.data, manifest, seed).learned.split(Split.TRAIN)
        known = {plain_name(record.category) for record in learned}
        for name, categories in asked.items():
            seen = sorted(each for each in categories if plain_name(each) in known)
            if seen:
                raise ConfigError(_text(name, seen, len(categories), seed))


def _text(target: str, seen: list[str], number: int, seed: int) -> str:
    names = ", ".join(map(repr, seen[:SHOWN]))
    more = f" and {len(seen) - SHOWN} more" if len(seen) > SHOWN else ""
    return (
        f"target {target}: is declared novel, but the sources of seed {seed} learn {len(seen)} of "
        f"its {number} categories: {names}{more}; hold them out by data.hold_out.few_shot, leave "
        "them out of data.root or of the target, or set novel = false"
    )
