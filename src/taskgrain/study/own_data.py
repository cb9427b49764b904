"""What a run's own data were when it began: a run never mixes the old with the new."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from taskgrain.data.companions import read_ledger
from taskgrain.data.files import write_text
from taskgrain.data.manifest import Manifest
from taskgrain.data.videos import stamp_of
from taskgrain.errors import RunError
from taskgrain.study.datasets import Dataset
from taskgrain.study.folder import RunFolder


def keep_to_data(folder: RunFolder, datasets: Mapping[str, Dataset]) -> None:
    """Note what the user's own datasets are, or check that they are what the run began with.

    Before the first cell is done nothing was computed: data may then be mended freely.

    Raises:
        RunError: naming the dataset and what of it has changed.
    """
    has_begun = any((folder.root / "cells").glob("*.done"))
    for name, dataset in datasets.items():
        if dataset.world is not None or dataset.is_held_out:
            continue
        found = _identity(dataset)
        path = folder.root / "data" / f"{name}.json"
        held = _held(path) if has_begun else None
        if held is None:
            write_text(path, json.dumps(found, indent=1) + "\n")
        elif changed := [key for key in found if found[key] != held.get(key)]:
            raise RunError(
                f"{dataset.root}: its {' and '.join(changed)} changed since this run began; "
                "choose another --out, or bring the old files back"
            )


def _held(path: Path) -> dict[str, object] | None:
    if not path.is_file():
        return None
    held: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return held


def _identity(dataset: Dataset) -> dict[str, object]:
    manifest = dataset.manifest()
    identity: dict[str, object] = {
        "annotations": _annotations_sha256(manifest),
        "exclusions by hand": _excluded_by_hand(manifest.root),
    }
    if dataset.is_packed:  # its videos are not looked at, and need not be there
        facts = (dataset.store / "store.json").read_bytes()
        return {**identity, "packed store": hashlib.sha256(facts).hexdigest()}
    return {**identity, "videos": _videos_sha256(manifest)}


def _annotations_sha256(manifest: Manifest) -> str:
    """Hash what is said of the clips, whatever files said it."""
    digest = hashlib.sha256()
    for record in manifest.records:
        said = (record.clip_id, record.split, record.template, record.placeholders)
        digest.update(json.dumps([*said, record.captions, record.file]).encode())
    taxonomy, factors = manifest.taxonomy.to_json(), dict(manifest.factors)
    digest.update(json.dumps([taxonomy, factors], sort_keys=True, default=dict).encode())
    return digest.hexdigest()


def _excluded_by_hand(root: Path) -> list[str]:
    """List the clips that the user leaves out; what `check` found, decoding finds as well."""
    lines, _ = read_ledger(root)
    return sorted(line.clip for line in lines if line.by_hand)


def _videos_sha256(manifest: Manifest) -> str:
    """Hash the sizes of the clips' files; their content is not read."""
    stamps = ((record.clip_id, stamp_of(record.path)) for record in manifest.records)
    sizes = {clip_id: None if stamp is None else stamp.bytes for clip_id, stamp in stamps}
    return hashlib.sha256(json.dumps(sizes, sort_keys=True).encode()).hexdigest()
