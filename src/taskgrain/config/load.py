"""Read a study file: TOML, `extends`, overrides from the command line, and errors that help."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import UnionType
from typing import Union, get_args, get_origin

import tomli_w
from pydantic import BaseModel, ValidationError

from taskgrain.config.checked import Location, faults_of
from taskgrain.config.learning import LADDER
from taskgrain.config.settings import Study
from taskgrain.config.testing import Seal
from taskgrain.errors import ConfigError, list_problems, nearest

Table = dict[str, object]
MAX_EXTENDS = 16  # more is a circle


def packaged_studies() -> list[str]:
    """Name the studies that come with taskgrain."""
    folder = files("taskgrain.config").joinpath("studies")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir())


# A study is put together as a plain table, and checked once when it is whole. Of a file that
# extends another the parent is read first; the file's own keys replace the parent's, and `--set`
# replaces both. Then what stands for something is written out: packaged sources, twins, drawn
# worlds, sealed seeds. So the study.toml of a run has every setting, and needs neither parent nor
# defaults.
#
# What breaks it: paths that are resolved after the merge. A path is meant from the folder of the
# file that names it, and a packaged study's from where the command is given.
def load_study(name: str | Path, overrides: Sequence[str] = ()) -> Study:
    """Read a packaged study by name, or a study file by its path.

    Args:
        name: "quick", or the path of a TOML file.
        overrides: "dotted.key=value", the value as TOML writes it; a bare word is a string.

    Raises:
        ConfigError: naming the file, the dotted key, what was found and what was expected.
    """
    name = str(name)
    table = _read(name, Path.cwd(), depth=0)
    for override in overrides:
        _override(table, override)
    # Again, for folders that an override named: those of the files are absolute by now.
    _resolve_roots(table, Path.cwd())
    return validate(table, where=name)


def validate(table: Mapping[str, object], *, where: str) -> Study:
    """Check a study's table and freeze it.

    Raises:
        ConfigError: listing every key that does not fit, up to ten.
    """
    complete = _with_worlds({**table, "sources": _sources(table.get("sources"), where)})
    complete = _with_sealed_seeds(complete)
    try:
        # JSON mode: TOML gives lists and strings where the models want tuples and paths.
        return Study.model_validate_json(json.dumps(complete, default=str), strict=True)
    except ValidationError as error:
        raise ConfigError(list_problems(problems_of(error, where))) from None


def study_to_toml(study: Study) -> str:
    """Write a study with every setting in it, as `load_study` reads it back."""
    return tomli_w.dumps(study.model_dump(mode="json", by_alias=True, exclude_none=True))


def differences(old: Study, new: Study) -> list[str]:
    """Name each setting in which two studies differ: "train.epochs: 10 before, 3 now"."""
    before = dict(_flat("", old.model_dump(mode="json", by_alias=True)))
    after = dict(_flat("", new.model_dump(mode="json", by_alias=True)))
    return [
        f"{key}: {before.get(key, 'absent')} before, {after.get(key, 'absent')} now"
        for key in sorted({*before, *after})
        if before.get(key, "absent") != after.get(key, "absent")
    ]


def _flat(prefix: str, value: object) -> Iterable[tuple[str, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else key, inner)
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for index, inner in enumerate(value):
            yield from _flat(f"{prefix}[{index}]", inner)
    else:
        yield prefix, value


def _read(name: str, beside: Path, depth: int) -> Table:
    path, text = _find(name, beside)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    parent = table.pop("extends", None)
    # A packaged study names folders of whoever gives the command, not of this package.
    folder = Path.cwd() if name in packaged_studies() else Path(str(path)).parent
    _resolve_roots(table, folder)
    if parent is None:
        return table
    if not isinstance(parent, str):
        raise ConfigError(f"{path}: extends is {parent!r}; expected the name of a study")
    if depth >= MAX_EXTENDS:
        raise ConfigError(f"{path}: extends goes in a circle")
    return _with_own_hold_out(_merge(_read(parent, folder, depth + 1), table), own=table)


def _find(name: str, beside: Path) -> tuple[Path | Traversable, str]:
    if name in packaged_studies():
        packaged = files("taskgrain.config").joinpath("studies", f"{name}.toml")
        return packaged, packaged.read_text(encoding="utf-8")
    path = Path(name) if Path(name).is_absolute() else beside / name
    if not path.is_file():
        known = packaged_studies()
        raise ConfigError(
            f"no study {name!r}: neither a file nor one of {', '.join(known)}{nearest(name, known)}"
        )
    try:  # an editor may have put a byte order mark before the text
        return path, path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}") from None


def _resolve_roots(table: Table, folder: Path) -> None:
    """Resolve the folders of a study file relative to that file."""
    data, targets = table.get("data"), table.get("targets")
    sections = [data, *targets] if isinstance(targets, list) else [data]
    for section in sections:
        _resolve(section, ("root", "store", "few_shot"), folder)
    _resolve(data.get("hold_out") if isinstance(data, dict) else None, ("few_shot",), folder)
    sources = table.get("sources")
    for source in sources if isinstance(sources, list) else []:
        begins_with = source.get("warm_start") if isinstance(source, dict) else None
        if isinstance(begins_with, str) and "/" in begins_with:  # otherwise it names a source
            source["warm_start"] = str((folder / begins_with).resolve())


def _resolve(section: object, keys: Sequence[str], folder: Path) -> None:
    for key in keys:
        if isinstance(section, dict) and isinstance(section.get(key), str):
            section[key] = str((folder / section[key]).resolve())


def _merge(base: Table, change: Mapping[str, object]) -> Table:
    merged = dict(base)
    for key, value in change.items():
        held = merged.get(key)
        if isinstance(held, dict) and isinstance(value, dict):
            value = _merge(held, value)
        merged[key] = value
    return merged


def _with_own_hold_out(merged: Table, own: Mapping[str, object]) -> Table:
    """Read what a study holds out from its own file, or whole from its parent; never from both.

    A parent's is dropped where the study tests no held-out category. Its sources would learn fewer
    categories than there are, for nothing; and a dataset of the user's own need not have the level
    that the parent draws by.
    """
    data, targets, written = merged.get("data"), merged.get("targets"), own.get("data")
    if not isinstance(data, dict):
        return merged
    if isinstance(written, dict) and "hold_out" in written:
        return {**merged, "data": {**data, "hold_out": written["hold_out"]}}
    listed = targets if isinstance(targets, list) else []
    if any(isinstance(target, dict) and target.get("novel") for target in listed):
        return merged
    return {**merged, "data": {key: data[key] for key in data if key != "hold_out"}}


def _override(table: Table, override: str) -> None:
    key, separator, text = override.partition("=")
    key = key.strip()
    if not separator or not key:
        raise ConfigError(f"--set {override}: expected key=value, as in train.epochs=3")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word
    inner: Table = table
    *parents, last = key.split(".")
    for parent in parents:
        held = inner.setdefault(parent, {})
        if not isinstance(held, dict):
            raise ConfigError(f"--set {override}: {parent} is not a table; set the whole of it")
        inner = held
    inner[last] = value


def _sources(written: object, where: str) -> object:
    """Replace the names of packaged sources by their settings."""
    if written is None:
        written = [source.name for source in LADDER]
    if not isinstance(written, list):
        return written
    packaged = {source.name: source for source in LADDER}
    sources: list[object] = []
    for entry in written:
        if not isinstance(entry, str):
            sources.append(entry)
        elif entry in packaged:
            sources.append(packaged[entry].model_dump(by_alias=True, exclude_none=True))
        else:
            raise ConfigError(
                f"{where}: sources: {entry!r} is none of the packaged {', '.join(packaged)}"
                f"{nearest(entry, packaged)}"
            )
    return _with_twins(sources, where)


def _with_twins(sources: list[object], where: str) -> list[object]:
    """Copy to each twin the settings of the source that it is a twin of, where it has none."""
    named = {each.get("name"): each for each in sources if isinstance(each, dict)}
    complete: list[object] = []
    for source in sources:
        twin_of = source.get("twin_of") if isinstance(source, dict) else None
        if twin_of is not None and twin_of not in named:
            known = [str(name) for name in named]
            raise ConfigError(
                f"{where}: sources: twin_of is {twin_of!r}; this study has {', '.join(known)}"
                f"{nearest(str(twin_of), known)}"
            )
        if isinstance(source, dict) and twin_of is not None:
            if "twin_of" in named[twin_of]:
                raise ConfigError(
                    f"{where}: sources: {source.get('name')!r} is a twin of {twin_of!r}, itself a "
                    "twin; name a source that is none"
                )
            source = {**named[twin_of], **source}
        complete.append(source)
    return complete


def _with_sealed_seeds(table: Table) -> Table:
    """Put the seeds that a seal draws in place of those that the file or its parent names."""
    # Before the study is checked, which refuses seeds that anyone chose beside a seal.
    try:
        seal = Seal.model_validate_json(json.dumps(table.get("seal")), strict=True)
    except ValidationError:
        return table  # absent; or its faults are listed with those of the other settings
    return {**table, "seeds": list(seal.drawn_seeds())}


def _with_worlds(table: Table) -> Table:
    """Name the embedded world wherever no folder of the user's own takes its place."""
    complete = {**table, "data": _with_world(table.get("data", {}), "tabletop")}
    targets = table.get("targets")
    if isinstance(targets, list):
        complete["targets"] = [_with_world(target, "kitchenware") for target in targets]
    return complete


def _with_world(section: object, world: str) -> object:
    if not isinstance(section, dict):
        return section
    # A parent's world would stand beside the folder that a study names in its place.
    if section.get("root") is not None:
        return {key: value for key, value in section.items() if key != "world"}
    if section.get("novel") is True:  # the source's own held-out categories, unless it names one
        return section
    return {"world": world, **section}


def problems_of(error: ValidationError, where: str) -> list[str]:
    """Name each setting of a study that does not fit: "STUDY: dotted.key: what was found ..."."""
    return [f"{where}: {fault}" for fault in faults_of(error, _known_keys)]


def _known_keys(location: Location) -> list[str]:
    model: type[BaseModel] = Study
    for part in location:
        field = model.model_fields.get(str(part))
        if field is not None:
            inner = _model_in(field.annotation)
            model = inner or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (tuple, Union, UnionType):
        return next(filter(None, map(_model_in, get_args(annotation))), None)
    return None
