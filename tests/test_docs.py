"""The documents name every setting and option. `python -m tests.test_docs` writes settings.md."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from types import NoneType, UnionType
from typing import Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.main import get_command

import taskgrain
from taskgrain.cli.main import app
from taskgrain.config.load import load_study
from taskgrain.config.settings import Study
from tests.setting_keys import general, setting_keys

ROOT = Path(__file__).parents[1]
SETTINGS = ROOT / "docs" / "settings.md"
PAGES = [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md"]
HEAD = """# Settings of a study

Written from `taskgrain.config` by `python -m tests.test_docs`; a test keeps it so.

| key | type | default | meaning |
|---|---|---|---|
"""


def rows(model: type[BaseModel]) -> Iterator[str]:
    for key, field in setting_keys(model):
        default = "required" if field.is_required() else f"`{json.dumps(shown(field))}`"
        kind = words(field.annotation).replace("|", "\\|")
        yield f"| `{key}` | {kind} | {default} | {field.description or ''} |\n"


def shown(field: FieldInfo) -> object:
    return list(field.default) if isinstance(field.default, tuple) else field.default


def words(annotation: object) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f'"{part}"' for part in parts)
    if origin is tuple:
        return f"list of {words(parts[0])}"
    if origin is Mapping:
        return f"table of {words(parts[1])}"
    if origin in (Union, UnionType):
        return " or ".join(words(part) for part in parts if part is not NoneType)
    if parts:  # Annotated
        return words(parts[0])
    assert isinstance(annotation, type)
    names = {"str": "text", "int": "integer", "float": "number", "Path": "folder"}
    return {**names, "bool": "true or false"}[annotation.__name__]


def test_every_setting_is_documented() -> None:
    expected = HEAD + "".join(rows(Study))
    assert expected.count("\n") > 35
    assert SETTINGS.read_text(encoding="utf-8") == expected


def test_every_setting_says_what_it_means() -> None:
    listed = list(rows(Study))
    assert [row for row in listed if row.endswith("|  |\n")] == []


def options() -> list[tuple[str, str]]:
    command = get_command(app)
    found = []
    for name, sub in getattr(command, "commands", {}).items():
        for parameter in sub.params:
            found += [(name, option) for option in parameter.opts if option.startswith("--")]
    return found


def test_every_option_is_documented() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    listed = [(name, option) for name, option in options() if option != "--help"]
    assert len(listed) > 15
    missing = [
        (name, option)
        for name, option in listed
        if not re.search(rf"## {name}\b(?:(?!\n## ).)*`{option}\b", text, re.DOTALL)
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / link).exists(), link


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


EXAMPLES = [
    pytest.param(text, id=f"{page.name} {number}")
    for page in PAGES
    for number, text in enumerate(blocks(page, "toml"), 1)
]


@pytest.mark.parametrize("text", EXAMPLES)
def test_each_study_of_the_documents_is_a_study(text: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    study = load_study(tmp_path / "mine.toml")
    written = tomllib.loads(text)
    assert study.name == written["name"]
    assert study.primary.target in [target.name for target in study.targets]
    for target in study.targets:
        assert target.root is None or target.root.is_relative_to(tmp_path)


def written_keys(prefix: str, value: object) -> Iterator[str]:
    """Yield the keys that a study file writes, as `setting_keys` names them."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from written_keys(f"{prefix}.{key}" if prefix else key, inner)
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for inner in value:
            yield from written_keys(f"{prefix}[]", inner)
    else:
        yield general(prefix)


def same_table(key: str) -> str:
    """Name a key by the first of the tables that hold the same settings."""
    return key.replace("encoders.NAME.", "encoder.").replace("family[].", "primary.")


def test_every_setting_is_set_by_a_packaged_study_or_by_an_example() -> None:
    studies = files("taskgrain.config").joinpath("studies")
    texts = [entry.read_text(encoding="utf-8") for entry in studies.iterdir()]
    texts += [text for page in PAGES for text in blocks(page, "toml")]
    written = {same_table(key) for text in texts for key in written_keys("", tomllib.loads(text))}
    unset = [
        key
        for key, _ in setting_keys(Study)
        if not any(f"{each}.".startswith(f"{same_table(key)}.") for each in written)
    ]
    assert unset == []


def test_the_python_of_the_readme_uses_names_that_there_are() -> None:
    (text,) = blocks(ROOT / "README.md", "python")
    compile(text, "README.md", "exec")
    used = set(re.findall(r"taskgrain\.([A-Za-z_]+)", text))
    assert used <= set(taskgrain.__all__)
    assert len(used) >= 4


if __name__ == "__main__":
    SETTINGS.write_text(HEAD + "".join(rows(Study)), encoding="utf-8")
