"""Labels, recordings and splits that files of features carry, or that a dataset's folder holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from taskgrain.errors import ManifestError, list_problems
from taskgrain.teaching.recordings import Links
from taskgrain.tools.compare.labels import LabelTable, check_classes, read_labels, sides_of
from taskgrain.tools.compare.sources import SourceFiles, read_named_arrays, read_texts
from taskgrain.transfer.features import FACTS


@dataclass(frozen=True, slots=True)
class Carried:
    """What a features file holds of its clips beside the features."""

    path: Path
    clip_ids: tuple[str, ...]  # of a file without ids "0", "1", ...; empty: it carries nothing
    facts: Mapping[str, tuple[str, ...]]  # entry -> text of each clip, "" where it is not known


def read_table(labels: Path | None, sources: Sequence[SourceFiles]) -> LabelTable:
    """Read the labels of a comparison, and the recordings as far as they are known.

    Args:
        labels: a table (`read_labels`), or the folder of a dataset of any layout, whose clips may
            be called by their ids, their paths, or their paths without suffix; None: those that
            the features carry.
        sources: files of features. Recordings that they carry go before those that a dataset's
            folder knows.

    Raises:
        ManifestError: if there are no labels or one class alone, naming the clips of which two
            files say different things, and as `read_labels` and `read_manifest`.
        ResultError: if a file of features cannot be read.
    """
    # Labels of theirs are not looked at beside others: they may be of any form.
    wanted = FACTS if labels is None else ("recording",)
    carried = [_read_carried(path, wanted) for source in sources for path in source.paths]
    if labels is None:
        table = _of_files(carried)
    elif labels.is_dir():
        table = _of_dataset(labels, carried)
    else:
        table = read_labels(labels)
    recordings = _recordings(carried, table.clip_ids)
    return table if recordings is None else replace(table, recordings=recordings)


def _read_carried(path: Path, wanted: Sequence[str]) -> Carried:
    arrays = read_named_arrays(path, lambda names: {"clip", *wanted} & set(names))
    facts = {name: arrays[name] for name in wanted if name in arrays}
    if not facts and "clip" not in arrays:
        return Carried(path, (), {})
    count = len(next(iter(arrays.values())).reshape(-1))
    ids = (
        read_texts(path, "clip", arrays["clip"], count)
        if "clip" in arrays
        else tuple(map(str, range(count)))
    )
    return Carried(path, ids, {name: read_texts(path, name, facts[name], count) for name in facts})


def _of_files(carried: Sequence[Carried]) -> LabelTable:
    """Join the labels of all files.

    Raises:
        ManifestError: if none has any, naming the clips that two label in different ways.
    """
    labels = _joined(carried, "label")
    if not labels:
        raise ManifestError(
            f"{carried[0].path}: no labels in it (an entry 'label' beside 'clip' and 'features', "
            "as `taskgrain features` writes of a dataset); give --labels FILE, a table "
            "clip,label, or the folder of a dataset"
        )
    path = next(each.path for each in carried if any(each.facts.get("label", ())))
    check_classes(path, tuple(labels.values()))
    splits = _joined(carried, "split")
    # Files of one split each say nothing of what is learned from in the others.
    is_divided = all(clip in splits for clip in labels) and len(set(splits.values())) > 1
    sides = sides_of([(clip, splits[clip]) for clip in labels], path) if is_divided else None
    return LabelTable(path, tuple(labels), tuple(labels.values()), sides)


def _joined(carried: Sequence[Carried], name: str) -> dict[str, str]:
    """Join an entry of all files: clip id -> text, where some file has one."""
    found: dict[str, tuple[str, Path]] = {}
    problems = []
    for each in carried:
        for clip, text in zip(each.clip_ids, each.facts.get(name, ()), strict=False):
            held, where = found.setdefault(clip, (text, each.path)) if text else (text, each.path)
            if held != text:
                problems.append(
                    f"{each.path}: the {name} of clip {clip} is {text!r}, in {where} {held!r}; "
                    "write the features of both again, or give --labels"
                )
    if problems:
        raise ManifestError(list_problems(problems))
    return {clip: text for clip, (text, _) in found.items()}


def _of_dataset(folder: Path, carried: Sequence[Carried]) -> LabelTable:
    # Not above: reading datasets takes time to load that tables do not need.
    from taskgrain.data.opening import layout_of
    from taskgrain.teaching.annotated import filmed_of, known_recordings, read_annotated

    annotated = [
        each
        for each in read_annotated(folder, layout_of(folder))
        if each.record.excluded is None  # by its ledger: nobody has features of such a clip
    ]
    if not annotated:
        raise ManifestError(
            f"{folder}: holds no clip with a label that its ledger does not exclude"
        )
    held = {clip for each in carried for clip in each.clip_ids}
    names = zip(*(each.names for each in annotated), strict=True)
    fitting = [sum(name in held for name in of_kind) for of_kind in names]
    kind = fitting.index(max(fitting))
    clip_ids = tuple(each.names[kind] for each in annotated)
    labels = tuple(each.label for each in annotated)
    check_classes(folder, labels)
    splits = [(clip, each.split) for clip, each in zip(clip_ids, annotated, strict=True)]
    is_divided = len({split for _, split in splits}) > 1
    recordings = None
    if not any("recording" in each.facts for each in carried):
        recordings = known_recordings([filmed_of(each.clip_id, each.record) for each in annotated])
    return LabelTable(
        folder, clip_ids, labels, sides_of(splits, folder) if is_divided else None, recordings
    )


def _recordings(carried: Sequence[Carried], clip_ids: Sequence[str]) -> tuple[str, ...] | None:
    """Name the recording of each clip; None where no file carries any.

    Files may call recordings by different names: what one of them puts together is together.
    """
    holding = [each for each in carried if "recording" in each.facts]
    if not holding:
        return None
    links = Links(clip_ids)
    place_of = {clip: place for place, clip in enumerate(clip_ids)}
    known = False
    for each in holding:
        groups: dict[str, list[int]] = defaultdict(list)
        for clip, recording in zip(each.clip_ids, each.facts["recording"], strict=True):
            if recording and clip in place_of:
                groups[recording].append(place_of[clip])
        for name, places in groups.items():
            known = True
            links.join("declared", places, name)
    return links.recordings() if known else None
