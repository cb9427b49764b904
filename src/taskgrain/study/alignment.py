"""How much a source's labels tell about a target's tasks, where the worlds are known.

Computed from records of undrawn scenes, never judged (docs/protocol.md, "Alignment").

Shapes: N scenes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import get_args

import numpy as np

from taskgrain.config.clips import Target
from taskgrain.config.learning import Source
from taskgrain.data.files import write_text
from taskgrain.errors import ConfigError
from taskgrain.labels.taxonomy import Taxonomy
from taskgrain.names import TASK_KINDS
from taskgrain.randomness import Draws
from taskgrain.statistics.alignment import (
    ClassShares,
    Kind,
    alignment,
    distances,
    joint_counts,
    kind_of,
    share_known,
)
from taskgrain.tabletop.attributes import ATTRIBUTES, kitchen_attributes
from taskgrain.tabletop.kitchen.doing import CATEGORIES as KITCHEN_CATEGORIES
from taskgrain.tabletop.kitchen.doing import MEANINGS as KITCHEN_MEANINGS
from taskgrain.tabletop.scene import CATEGORIES
from taskgrain.tabletop.tasks import (
    ABSENT,
    TASKS,
    Codes,
    Given,
    Population,
    Task,
    sample_population,
)

DRAWN_TASKS = "tasks.json"  # in the folder of a drawn target: the names of its drawn tasks
FACTORS = tuple(ATTRIBUTES)
SOURCE_SEED, TARGET_SEED = 1, 2  # of undrawn scenes; the worlds' own seeds do not matter
KINDS: tuple[Kind, ...] = get_args(Kind)
NO_CONDITION: Given = {}


@dataclass(frozen=True, slots=True)
class Question:
    """A task as scenes see it: its classes, and the condition that a scene has to meet."""

    classes: Sequence[ClassShares]
    condition: Given  # that scenes have to meet
    attribute: str  # or "category"


class SourceWorld:
    """Scenes of the source's world, and each source's labels of them."""

    def __init__(
        self, scenes: int, taxonomy: Taxonomy, categories: Sequence[str], sources: Iterable[Source]
    ) -> None:
        """Draw the records.

        Args:
            scenes: how many; the protocol wants 100,000 or more.
            taxonomy: what categories are called at each level.
            categories: those that the source draws, templates without brackets.
            sources: whose labels are looked at; those that learn nothing are left out, and those
                whose groups mean nothing.
        """
        self.population = sample_population(
            scenes, seed=SOURCE_SEED, categories=categories, shows_held_back=False
        )
        self._slots = {
            source.name: label_slots(source, taxonomy, self.population)
            for source in sources
            if not source.is_frozen and not source.regrouped  # whose groups are the seed's
        }
        self._known: dict[tuple[str, str, str], float] = {}

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that have a label for a clip."""
        return tuple(self._slots)

    def shown(self, condition: Given) -> dict[str, tuple[str, ...]]:
        """List the values of each factor that the source shows where a condition is met."""
        met = self.population.meeting(condition)
        return {
            name: tuple(
                ATTRIBUTES[name].values[code] for code in np.unique(codes[met]) if code != ABSENT
            )
            for name, codes in self.population.attributes.items()
        }

    def known(self, source: str, factor: str, condition: Given) -> float:
        """Compute what a source's label knows of a factor, of scenes that meet a condition.

        Where the label has several slots, the one that knows most counts: a whole caption is nearly
        unique, and would seem to know every factor.
        """
        key = (source, factor, json.dumps(condition, sort_keys=True))
        if key not in self._known:
            values = self.population.attributes[factor]
            has = self.population.meeting(condition) & (values != ABSENT)
            self._known[key] = max(
                _share_known(labels, values, has) for labels in self._slots[source]
            )
        return self._known[key]


def _share_known(labels: Codes, values: Codes, has: np.ndarray) -> float:
    counted = has & (labels != ABSENT)
    if not counted.any():
        return 0.0
    return share_known(joint_counts(labels[counted], values[counted]))


def label_slots(source: Source, taxonomy: Taxonomy, population: Population) -> list[Codes]:
    """Write a source's label of each scene, slot by slot: (N,) codes each.

    Of a level its names; of a caption its template, then the noun, the colour and the size of what
    the first placeholder names, as far as the form has them. ABSENT where a level leaves the
    category out.
    """
    slots: list[Codes] = []
    if source.classify is not None:
        names = taxonomy.names(source.classify)
        held = set(taxonomy.categories)
        of_template = [
            taxonomy.name_of(each, source.classify) if each in held else None for each in CATEGORIES
        ]
        codes = [ABSENT if name is None else names.index(name) for name in of_template]
        slots.append(np.array(codes, np.int16)[population.templates])
    if source.caption is not None:
        slots.append(population.templates)
        if source.caption != "template":
            slots.append(population.attributes["noun"])
        if source.caption == "full":
            slots += [population.attributes["colour"], population.attributes["size"]]
    return slots


def counted_classes(population: Population, codes: Codes, number: int) -> list[ClassShares]:
    """Count the values of each class's scenes; codes (N,) are the scenes' classes, or ABSENT."""
    classes: list[ClassShares] = []
    for code in range(number):
        members = codes == code
        total = int(members.sum())
        # Codes are shifted by one, so that ABSENT (-1) is counted first, and then left out.
        shares = {
            name: {
                ATTRIBUTES[name].values[value]: count / total
                for value, count in enumerate(np.bincount(column[members] + 1)[1:].tolist())
                if count
            }
            for name, column in population.attributes.items()
        }
        classes.append(ClassShares(shares, total))
    return classes


class TargetWorld:
    """The questions of drawn targets' tasks; scenes are drawn when they are first needed."""

    def __init__(self, scenes: int) -> None:
        """Take the number of undrawn scenes of the tabletop's target."""
        self._scenes = scenes
        self._population: Population | None = None

    @property
    def population(self) -> Population:
        """The undrawn scenes of the tabletop's target."""
        if self._population is None:
            self._population = sample_population(
                self._scenes, seed=TARGET_SEED, shows_held_back=True
            )
        return self._population

    def question(
        self, target: Target, factor: str | None, class_names: Sequence[str]
    ) -> Question | None:
        """Find the question of a target's task; None where the target is not drawn, or unknown.

        The factor is the task's own name, or None for the category.
        """
        if target.world is None:
            return None
        if target.world == "tabletop":
            return self.of_tabletop(factor, class_names)
        return _of_kitchen(factor, class_names)

    def of_tabletop(self, factor: str | None, class_names: Sequence[str]) -> Question | None:
        """Find the question of a tabletop task: categories, an attribute or a declared task."""
        population = self.population
        if factor in (None, "motion"):
            return _templates(population, class_names)
        name = "noun" if factor == "object" else str(factor)
        if name in TASKS:
            task = TASKS[name]
        elif name in ATTRIBUTES:
            task = Task(name, name, tuple(class_names))
        else:
            return None
        classes = counted_classes(population, population.classes(task), len(task.classes))
        return Question(classes, task.given, task.attribute)


def of_held_out(scenes: int, class_names: Sequence[str]) -> Question:
    """Find the question of held-out categories, templates without brackets, from source scenes."""
    population = sample_population(
        scenes, seed=TARGET_SEED, categories=class_names, shows_held_back=False
    )
    return _templates(population, class_names)


def _templates(population: Population, class_names: Sequence[str]) -> Question:
    """Build the task of telling which of these templates a scene is of."""
    of_template = np.full(len(CATEGORIES), ABSENT, np.int16)
    for code, name in enumerate(class_names):
        of_template[CATEGORIES.index(name)] = code
    codes = of_template[population.templates]
    classes = counted_classes(population, codes, len(class_names))
    return Question(classes, NO_CONDITION, "category")


def _of_kitchen(factor: str | None, class_names: Sequence[str]) -> Question | None:
    """Find the question of a kitchenware task; its categories hold all that is known of scenes."""
    if factor not in (None, "motion", "object"):
        return None
    attributes_of = {name: kitchen_attributes(name) for name in KITCHEN_CATEGORIES}
    attribute = {None: "category", "motion": "reality", "object": "noun"}[factor]
    classes = []
    for name in class_names:
        if factor is None:
            values = attributes_of[name]
        else:
            position = 0 if factor == "motion" else 1  # of a category's meaning
            categories = [each for each, held in KITCHEN_MEANINGS.items() if held[position] == name]
            values = {attribute: attributes_of[categories[0]][attribute]}
        classes.append(ClassShares({key: {value: 1.0} for key, value in values.items()}))
    return Question(classes, NO_CONDITION, attribute)


@dataclass(frozen=True, slots=True)
class Alignment:
    """A task's alignment with every source, and had all of its values been shown."""

    of: Mapping[str, float]
    if_shown: Mapping[str, float]

    def gain(self, source: str, versus: str) -> float:
        """Return the alignment gain of one source over another."""
        return self.of[source] - self.of[versus]

    def gain_if_shown(self, source: str, versus: str) -> float:
        """Return the gain, had the source shown every value that the classes have."""
        return self.if_shown[source] - self.if_shown[versus]

    def kind(self, source: str, versus: str) -> Kind:
        """Return the kind of target that the task is for two sources."""
        return kind_of(self.gain(source, versus), self.gain_if_shown(source, versus))


def align(world: SourceWorld, question: Question) -> Alignment:
    """Compute the alignment of every source with a task."""
    # A value that the source never shows adds nothing to a distance. If the task would be aligned
    # had all of its values been shown, the labels name its factor: it is kind-named.
    everywhere = distances(question.classes, FACTORS, None)
    where_shown = distances(question.classes, FACTORS, world.shown(question.condition))
    differs = [bool(column.any()) for column in everywhere.T]
    known_by = {
        source: [
            world.known(source, factor, question.condition) if differs[column] else 0.0
            for column, factor in enumerate(FACTORS)
        ]
        for source in world.sources
    }
    of, if_shown = (
        {source: alignment(apart, known) for source, known in known_by.items()}
        for apart in (where_shown, everywhere)
    )
    return Alignment(of, if_shown)


def align_with_each(worlds: Sequence[SourceWorld], question: Question) -> Alignment:
    """Compute the mean alignment of every source with a task over worlds, one a seed."""
    aligned = [align(world, question) for world in worlds]
    of, if_shown = (
        {source: fmean(values[source] for values in each) for source in each[0]}
        for each in ([one.of for one in aligned], [one.if_shown for one in aligned])
    )
    return Alignment(of, if_shown)


def draw_tasks(kinds: Mapping[str, Kind], number: int, *, seed: int) -> tuple[str, ...]:
    """Draw tasks of the population, a third each named, kind-named and unnamed.

    Where a kind has too few, the others have more; what lies between the kinds comes last.

    Args:
        kinds: name of each task of the population -> its kind.
        number: how many are drawn.
        seed: of the target; the draw has a stream of its own.

    Returns:
        Their names, in the population's order.

    Raises:
        ConfigError: if the population has fewer.
    """
    if number > len(kinds):
        raise ConfigError(
            f"targets: tasks = {number}, but {len(kinds)} tasks are declared; choose fewer"
        )
    draws = Draws("tasks", seed)
    strata = {
        kind: draws.shuffled(kind, [name for name, each in kinds.items() if each == kind])
        for kind in KINDS
    }
    # One after the other from the kind that has fewest yet: fewer tasks are then part of more.
    taken: dict[Kind, int] = dict.fromkeys(KINDS, 0)
    while sum(taken.values()) < number:
        open_kinds = [kind for kind in TASK_KINDS if taken[kind] < len(strata[kind])]
        taken[min(open_kinds, key=taken.__getitem__, default="between")] += 1
    drawn = {name for kind in KINDS for name in strata[kind][: taken[kind]]}
    return tuple(name for name in kinds if name in drawn)


def write_drawn_tasks(root: Path, names: Sequence[str]) -> None:
    """Write the names of a target's drawn tasks into its folder."""
    write_text(root / DRAWN_TASKS, json.dumps(list(names), indent=1) + "\n")


def read_drawn_tasks(root: Path) -> tuple[str, ...]:
    """Read the names of a target's drawn tasks; none where none were drawn."""
    path = root / DRAWN_TASKS
    if not path.is_file():
        return ()
    return tuple(json.loads(path.read_text(encoding="utf-8")))
