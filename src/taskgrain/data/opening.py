"""Open a dataset: find out how its files lie, read it, and refuse one with anything wrong."""

from __future__ import annotations

from pathlib import Path

from taskgrain.data.annotations import LAYOUT, read_annotations
from taskgrain.data.companions import with_companions
from taskgrain.data.files import missing_folder
from taskgrain.data.layouts import LAYOUTS, LayoutOptions, recognise, twentybn
from taskgrain.data.layouts.tree import Tree
from taskgrain.data.manifest import Manifest, Reading
from taskgrain.errors import ManifestError, list_problems, nearest


def read_manifest(
    root: Path, *, layout: str | None = None, options: LayoutOptions | None = None
) -> Manifest:
    """Read the annotations below `root`; the video files themselves are not opened.

    Args:
        root: of the dataset.
        layout: as in `read_dataset`.
        options: as in `read_dataset`.

    Raises:
        ManifestError: naming every bad row as file:line, up to ten.
    """
    return manifest_of(read_dataset(root, layout=layout, options=options))


def manifest_of(reading: Reading) -> Manifest:
    """Return the dataset of a reading without problems.

    Raises:
        ManifestError: if it has problems; it names up to ten.
    """
    if reading.problems:
        raise ManifestError(list_problems([str(problem) for problem in reading.problems]))
    return Manifest(
        reading.root,
        reading.records,
        reading.test_ids,
        reading.taxonomy(),
        reading.factors,
        reading.test_files,
    )


def read_dataset(
    root: Path, *, layout: str | None = None, options: LayoutOptions | None = None
) -> Reading:
    """Read all that can be read of a dataset; what is wrong with its rows is listed.

    Args:
        root: of the dataset.
        layout: "taskgrain" or a name of LAYOUTS; None looks at the files: our own format where
            there is a train.json, otherwise the first layout that recognises them.
        options: for the layouts, which have to choose a validation split; the usual ones if None.

    Raises:
        ManifestError: if there is no such folder, no such layout, or none that fits.
    """
    if not root.is_dir():
        raise ManifestError(
            f"{root}: {missing_folder(root)}; expected a dataset with train.json, "
            "validation.json and videos/, or a folder of clips for each class (docs/data-format.md)"
        )
    tree = Tree(root)
    name = layout or _layout_of(tree)
    if name == LAYOUT:
        return with_companions(read_annotations(root))
    if name not in LAYOUTS:
        known = (LAYOUT, *LAYOUTS)
        raise ManifestError(
            f"no layout {name!r}; there are {', '.join(known)}{nearest(name, known)}"
        )
    return with_companions(LAYOUTS[name].read(tree, options or LayoutOptions()))


def layout_of(root: Path) -> str:
    """Name the layout of the files below `root`.

    Raises:
        ManifestError: if the layout is unknown.
    """
    return _layout_of(Tree(root))


def _layout_of(tree: Tree) -> str:
    root = tree.root
    # Something-Something v2 as its makers pack it may have a train.json here, too.
    if (root / "train.json").is_file() and not twentybn.has_makers_videos(root):
        return LAYOUT
    name = recognise(tree)
    if name is None:
        raise ManifestError(
            f"{root}: train.json: no such file, and the folder has none of the other layouts "
            f"({', '.join(LAYOUTS)}; docs/data-format.md)"
        )
    return name
