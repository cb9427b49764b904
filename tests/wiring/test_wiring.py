"""Each setting reaches the plain arguments that table.py names, with its value, and no other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import count
from pathlib import Path

import pytest

from taskgrain.config.settings import Study
from taskgrain.data.manifest import Split
from taskgrain.data.opening import read_manifest
from taskgrain.data.store import FrameStore
from tests.setting_keys import general, setting_keys
from tests.wiring.laying_out import ABSENT, Arguments, differing, plain_arguments
from tests.wiring.small_study import Places, base_table, changed, write_places
from tests.wiring.table import NOT_ARGUMENTS, wires
from tests.wiring.wire import Wire

NOWHERE = Path("nowhere")
NAMED = wires(Places(NOWHERE, NOWHERE, NOWHERE, NOWHERE, NOWHERE))


class Laid:
    """Lays the small study out with settings changed, once for each change."""

    def __init__(self, folder: Path) -> None:
        self.places = write_places(folder)
        self.wires = wires(self.places)
        self._table = base_table(self.places)
        self._store = FrameStore(self.places.store, 1)
        self._folder = folder
        self._number = count()
        self._known: dict[str, Arguments] = {}

    def out(self, changes: Mapping[str, object]) -> Arguments:
        """Return the plain arguments of the study with these settings."""
        key = repr(sorted(changes.items()))
        if key not in self._known:
            run = self._folder / f"run-{next(self._number)}"
            self._known[key] = plain_arguments(changed(self._table, changes), run, self._store)
        return self._known[key]


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Laid:
    return Laid(tmp_path_factory.mktemp("wiring"))


def expanded(wire: Wire, arguments: Mapping[str, object]) -> dict[str, object]:
    """Write every source or target of a `[*]` out."""
    found: dict[str, object] = {}
    for name, value in wire.moves.items():
        pattern = re.escape(name).replace(r"\[\*\]", r"\[\d+\]")
        names = [each for each in arguments if re.fullmatch(pattern, each)]
        assert names, f"no argument is called {name}"
        found |= dict.fromkeys(names, value)
    return found


@pytest.mark.parametrize(
    "index", range(len(NAMED)), ids=[f"{each.setting}={each.value}"[:50] for each in NAMED]
)
def test_a_setting_moves_the_arguments_of_its_wire_and_no_other(laid: Laid, index: int) -> None:
    wire = laid.wires[index]
    before = laid.out(wire.given)
    after = laid.out({**wire.given, wire.setting: wire.value})
    moved, wanted = differing(before, after), expanded(wire, {**before, **after})
    assert sorted(moved) == sorted(wanted)
    for name, value in wanted.items():
        then, now = before.get(name, ABSENT), after.get(name, ABSENT)
        if callable(value):
            assert value(then, now), f"{name}: {then}, then {now}"
        else:
            assert now == value, name


def test_each_source_learns_from_training_clips_and_is_validated_on_the_others(laid: Laid) -> None:
    arguments = laid.out({})
    manifest = read_manifest(laid.places.clips)
    for index in range(4):
        for name, split in (("training", Split.TRAIN), ("validation", Split.VALIDATION)):
            clips = [record.clip_id for record in manifest.split(split)]
            assert arguments[f"sources[{index}].{name}.clips"] == clips


def test_every_setting_has_a_wire_or_a_reason() -> None:
    wired = {general(wire.setting) for wire in NAMED}
    assert not wired & set(NOT_ARGUMENTS)
    assert {key for key, _ in setting_keys(Study)} == wired | set(NOT_ARGUMENTS)


def test_settings_that_could_be_exchanged_take_different_values() -> None:
    of_table: dict[str, list[object]] = {}
    for wire in NAMED:
        if isinstance(wire.value, int | float) and not isinstance(wire.value, bool):
            table, _, _ = wire.setting.rpartition(".")
            of_table.setdefault(table, []).append(wire.value)
    assert len(of_table) > 8
    for table, values in of_table.items():
        assert len(set(values)) == len(values), table
