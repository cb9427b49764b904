"""Know a target that was cut before, whole or in part, from one with other settings or footage."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from taskgrain.data.files import write_text
from taskgrain.errors import RunError
from taskgrain.jobs.workspace import reading_mark, refuse_others

STATE = ".cutting"  # removed once the dataset is whole
MARK = "cut.json"  # what a dataset was cut from, and how; below STATE until it is whole


@dataclass(frozen=True, slots=True)
class Mark:
    """What determines every byte of a target."""

    settings: Mapping[str, object]
    footage: Mapping[str, int]  # file -> bytes
    groups: Mapping[str, str]  # file -> recording

    def write(self, path: Path, **more: object) -> None:
        """Write the mark, and what is known beside it, as one JSON object."""
        keys = {"settings": self.settings, "footage": self.footage, "groups": self.groups, **more}
        write_text(path, json.dumps(keys, indent=1, ensure_ascii=False) + "\n")

    def claim(self, folder: Path) -> bool:
        """Take a folder that is empty, or that was cut from the same; whether work is left.

        Raises:
            RunError: if it holds other files, or a target that was cut otherwise.
        """
        for path in (folder / MARK, folder / STATE / MARK):
            if path.is_file():
                self._compare(path, folder)
                return path.parent != folder
        refuse_others(
            folder,
            ours=(STATE,),
            more=", or give the same command to go on with a cutting that was stopped",
        )
        self.write(folder / STATE / MARK)
        return True

    def _compare(self, path: Path, folder: Path) -> None:
        with reading_mark(path):
            held = json.loads(path.read_text(encoding="utf-8"))
            settings, footage = dict(held["settings"]), dict(held["footage"])
            groups = dict(held["groups"])
        asked = dict(self.settings)
        said = [
            f"{key} {settings.get(key)}, not {asked.get(key)}"
            for key in {**settings, **asked}
            if settings.get(key) != asked.get(key)
        ]
        said += _changes(footage, self.footage)
        if groups != self.groups:
            said.append("other groups")
        if said:
            raise RunError(
                f"{folder} was cut with {'; '.join(said)}: give its own settings and footage to "
                "go on with it, or choose another folder"
            )


def _changes(held: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    """Phrase which files are not what they were."""
    counted: list[tuple[str, Sequence[str]]] = [
        ("less footage than there is now", sorted(found.keys() - held.keys())),
        ("footage that is gone", sorted(held.keys() - found.keys())),
        (
            "footage that has changed",
            sorted(name for name in held.keys() & found.keys() if held[name] != found[name]),
        ),
    ]
    return [
        f"{text} ({names[0]}{', ...' if len(names) > 1 else ''})"
        for text, names in counted
        if names
    ]
