"""A run folder as the report reads it; a run may be unfinished.

Only results.jsonl has to be there. Every other file may be absent, and the page says so. A file
that is there and does not fit is refused with its name, line and key. Of provenance.json the report
shows what it finds, whatever its form: it is written for people, and no number follows from it.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
)
from safetensors import SafetensorError, safe_open

from taskgrain.config.checked import faults_of
from taskgrain.config.load import load_study
from taskgrain.config.settings import Study
from taskgrain.errors import ConfigError, ResultError
from taskgrain.report.words import printable, whole_letters
from taskgrain.results import ResultRow, read_rows

Json = Mapping[str, object]
Kind = TypeVar("Kind")
WEIGHTS = "model.safetensors"
ENCODER = "encoder."  # what the names of its weights begin with
NOT_LEARNED = ("running_mean", "running_var", "num_batches_tracked")  # of BatchNorm
SHOWN_BY = "encoder.inputs."  # the scale of pixels: measured, not learned
FLOATS = ("F64", "F32", "F16", "BF16")
NUMBER_OF = re.compile(r"([0-9]+) of ([0-9]+)")  # how provenance.json counts seals
EBML_MAGIC = b"\x1a\x45\xdf\xa3"  # the first bytes of every WebM file


def _or_empty(stored: object) -> object:
    return "" if stored is None else stored


def _present(stored: object) -> object:
    """Drop the keys whose stored value is null: a run writes null for absent numbers."""
    if not isinstance(stored, dict):
        return {} if stored is None else stored
    return {key: value for key, value in stored.items() if value is not None}


Text = Annotated[str, AfterValidator(printable)]  # without letters that XML refuses
Numbers = Annotated[Mapping[str, float], BeforeValidator(_present)]


class Ranked(NamedTuple):
    """A class and how probable a model holds it, 0 to 1."""

    name: Text
    probability: float


def _most_probable_first(ranked: tuple[Ranked, ...]) -> tuple[Ranked, ...]:
    return tuple(sorted(ranked, key=lambda each: -each.probability))


Ranking = Annotated[tuple[Ranked, ...], AfterValidator(_most_probable_first)]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One epoch of one source; its mappings name only the tasks that the source has."""

    source: Text
    seed: int
    epoch: int
    shares: Numbers
    validation: Numbers


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A clip that could not be used as it stands."""

    clip: Text
    dataset: Text
    split: Text
    problem: Text


@dataclass(frozen=True, slots=True)
class Prediction:
    """The predictions of one source's model for a clip, most probable class first."""

    source: Text
    seed: int | None
    classes: Ranking
    level: Annotated[Text, BeforeValidator(_or_empty)]  # "" of a source without classes
    caption: Text | None
    truth: Text | None = None  # the true caption in this source's form, where the run wrote it
    true_class: Text | None = None  # the right class at this level, likewise


def _video_of(name: object, info: ValidationInfo) -> object:
    folder = info.context
    return _read_video(folder, name) if isinstance(name, str) and folder is not None else name


@dataclass(frozen=True, slots=True)
class Example:
    """A clip shown in the report; `video` is None where the file is absent or no WebM."""

    clip: Text
    dataset: Text
    category: Text
    caption: Text
    # examples.json has the file's name, and lies in the same folder.
    video: Annotated[bytes | None, Field(validation_alias="file"), BeforeValidator(_video_of)]
    predictions: tuple[Prediction, ...]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The categories that were kept from every source of a seed."""

    seed: int | None  # None for all seeds
    siblings: tuple[Text, ...]  # their group has other categories that were learned
    groups: tuple[Text, ...]  # of whole groups
    others: tuple[Text, ...]  # of a dataset without groups


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Everything that the report is made of."""

    study: Study | None  # None where the folder has no study.toml
    rows: tuple[ResultRow, ...]
    settings: tuple[tuple[str, str], ...] = ()  # every key of study.toml, dotted, in file order
    curves: tuple[CurvePoint, ...] = ()
    ledger: tuple[LedgerEntry, ...] | None = None  # None where the run wrote no ledger
    provenance: Json = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    held_out: tuple[HeldOut, ...] = ()  # of each seed, or one for all; studies may hold out none
    parameters: int | None = None  # that the encoder of the primary source learned
    seal: str | None = None  # its place among those of the study, "1 of 2"; None without a seal


_CURVES, _LEDGER = TypeAdapter(CurvePoint), TypeAdapter(LedgerEntry)
_EXAMPLES, _HELD_OUT = TypeAdapter(tuple[Example, ...]), TypeAdapter(tuple[HeldOut, ...])


def read_run_folder(run_dir: Path) -> RunFolder:
    """Read a run folder.

    Raises:
        ResultError: if results.jsonl is absent or malformed, or another file does not fit.
    """
    results, curves, ledger = (
        run_dir / name for name in ("results.jsonl", "curves.jsonl", "ledger.jsonl")
    )
    if not results.is_file():
        raise ResultError(f"{results}: not found; is {run_dir} a run folder? Run the study first")
    study, provenance = read_study(run_dir / "study.toml"), read_provenance(run_dir)
    opened = _as_mapping(provenance.get("seal")).get("opened")
    return RunFolder(
        study=study,
        rows=tuple(map(_printable_row, read_rows(results))),
        settings=_settings(run_dir / "study.toml"),
        curves=_read_lines(_CURVES, curves) if curves.is_file() else (),
        ledger=_read_lines(_LEDGER, ledger) if ledger.is_file() else None,
        provenance=provenance,
        examples=_read_whole(_EXAMPLES, run_dir / "examples" / "examples.json") or (),
        held_out=_read_whole(_HELD_OUT, run_dir / "held-out.json") or (),
        parameters=encoder_parameters(run_dir, study.primary.source) if study else None,
        seal=seal_words(run_dir, study.name, str(opened)) if study else None,
    )


def read_study(path: Path) -> Study | None:
    """Read the study file of a run; return None where the run folder has none.

    Raises:
        ResultError: naming the file and each key that does not fit.
    """
    try:
        return load_study(path) if path.is_file() else None
    except ConfigError as error:
        raise ResultError(str(error)) from None


def _settings(path: Path) -> tuple[tuple[str, str], ...]:
    if not path.is_file():
        return ()
    return tuple(flatten(tomllib.loads(path.read_text(encoding="utf-8-sig"))))


def _printable_row(row: ResultRow) -> ResultRow:
    names = ("source", "versus", "target", "metric", "readout", "probe")
    texts: dict[str, Any] = {name: getattr(row, name) for name in names}
    written: dict[str, Any] = {name: printable(text) for name, text in texts.items() if text}
    return replace(row, **written)


def flatten(settings: Json, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield every setting as a dotted key and its value, as TOML would write it."""
    for key, value in settings.items():
        dotted = f"{prefix}{printable(key)}"
        nested = [each for each in _items(value) if isinstance(each, Mapping)]
        if isinstance(value, Mapping):
            yield from flatten(value, f"{dotted}.")
        elif nested:
            for index, item in enumerate(nested):
                yield from flatten(item, f"{dotted}[{index}].")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield dotted, printable(text)


def _items(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def read_provenance(run_dir: Path) -> Json:
    """Read provenance.json of a run; empty where the run is unfinished and has none.

    Raises:
        ResultError: if the file is not JSON.
    """
    path = run_dir / "provenance.json"
    try:
        return _as_mapping(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
    except ValueError as error:
        raise ResultError(f"{path}: not JSON: {error}") from error


def processors_of(provenance: Json) -> tuple[str, ...]:
    """Return the kinds of processor that a run was computed on; () where none was recorded."""
    kinds = _as_mapping(provenance.get("same_bits")).get("processors")
    return tuple(printable(str(each)) for each in _items(kinds))


def held_out_words(held_out: Iterable[HeldOut]) -> str:
    """Return in one line the categories held out under each seed; "" where none were."""
    return "; ".join(words for each in held_out if (words := _words(each)))


def _words(held: HeldOut) -> str:
    parts = (
        ("siblings", held.siblings),
        ("whole groups", held.groups),
        ("categories", held.others),
    )
    listed = [f"{name}: {', '.join(each)}" for name, each in parts if each]
    seed = "every seed" if held.seed is None else f"seed {held.seed}"
    return f"{seed} ({'. '.join(listed)})" if listed else ""


def _read_video(folder: Path, name: str) -> bytes | None:
    # A name is data: it may not lead out of the folder, by dots, by a root or by a link.
    if not name or "\0" in name:
        return None
    path = (folder / Path(name).name).resolve()
    if path.parent != folder.resolve() or not path.is_file():
        return None
    content = path.read_bytes()
    return content if content.startswith(EBML_MAGIC) else None


def _read_whole(kind: TypeAdapter[Kind], path: Path) -> Kind | None:
    """Read a file that holds one JSON value; None where there is no such file."""
    if not path.is_file():
        return None
    return _parse(kind, path.read_text(encoding="utf-8"), str(path), path.parent)


def _read_lines(kind: TypeAdapter[Kind], path: Path) -> tuple[Kind, ...]:
    # Not splitlines: a caption may hold one of the other characters that end a line there.
    lines = path.read_text(encoding="utf-8").split("\n")
    return tuple(
        _parse(kind, line, f"{path}:{number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    )


def _parse(kind: TypeAdapter[Kind], text: str, where: str, folder: Path | None = None) -> Kind:
    """Read one JSON value; `folder` is that of the videos that it names.

    Raises:
        ResultError: naming the place and each key that does not fit.
    """
    try:
        return kind.validate_json(whole_letters(text), strict=True, context=folder)
    except ValidationError as error:
        raise ResultError(f"{where}: {'; '.join(faults_of(error))}") from None


def _as_mapping(value: object) -> Json:
    """Return a JSON object; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def encoder_parameters(run_dir: Path, source: str) -> int | None:
    """Count the learned parameters of a source's encoder, from names and shapes alone.

    Returns:
        None where the run folder holds no checkpoint of the source.
    """
    # Only the header of a checkpoint is read, and that of half a file is passed over.
    for path in sorted((run_dir / "checkpoints").glob(f"{source}-seed-*/*/{WEIGHTS}")):
        try:
            with safe_open(path, framework="np") as weights:
                slices = {name: weights.get_slice(name) for name in weights.keys()}  # noqa: SIM118
                return sum(
                    prod(each.get_shape())
                    for name, each in slices.items()
                    if _is_learned(name) and each.get_dtype() in FLOATS
                )
        except (OSError, SafetensorError):
            continue
    return None


def _is_learned(name: str) -> bool:
    is_state = name.startswith(SHOWN_BY) or name.rpartition(".")[2] in NOT_LEARNED
    return name.startswith(ENCODER) and not is_state


def seal_words(run_dir: Path, study: str, opened: str) -> str | None:
    """Return the place of a run's seal among those of its study, "1 of 2"; None without a seal.

    The total is the larger of two: the seals that the run knew of when it ended, and those listed
    beside the run folder now.

    Args:
        run_dir: the run folder.
        study: its study's name.
        opened: how provenance.json counts the seals, "1 of 1 of this study"; "" where it does not.
    """
    seal = run_dir / "seal.json"
    number = _object(seal.read_text(encoding="utf-8") if seal.is_file() else "").get("number")
    if not isinstance(number, int):
        return None
    # Either may be less: a run does not know of later seals, and may have been moved without the
    # file beside it.
    known = NUMBER_OF.match(opened)
    path = run_dir.resolve().parent / "seals.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    beside = sum(_object(line).get("study") == study for line in lines)
    return f"{number} of {max(number, beside, int(known[2]) if known else 0)}"


def _object(text: str) -> Json:
    """Parse a JSON object; an empty one for anything else, as a run may be unfinished."""
    try:
        return _as_mapping(json.loads(text))
    except ValueError:
        return {}
