"""Open a dataset: find out how its files lie, read it, and refuse one with anything wrong."""

from __future__ import annotations

from pathlib import Path

from taskgrain.data.annotations import LAYOUT, read_annotations
from taskgrain.data.companions import with_companions
from taskgrain.data.files import missing_folder
from taskgrain.data.layouts import captions, columns, folders, hmdb, kinetics, lists, twentybn
from taskgrain.data.layouts.layout import Layout, LayoutOptions
from taskgrain.data.layouts.names import shown
from taskgrain.data.layouts.tree import Tree
from taskgrain.data.manifest import Manifest, Reading
from taskgrain.errors import ManifestError, list_problems, nearest

_SOMETHING_V1 = twentybn.TwentyBn("something-something-v1", "something-something-v1")
_JESTER = twentybn.TwentyBn("jester-v1", "jester")

# In the order in which they are tried: the layout with the most particular names goes first.
LAYOUTS: dict[str, Layout] = {
    # labels/train.json and 20bn-something-something-v2/, as its makers pack it
    "something-something-v2": Layout(twentybn.recognises_v2, twentybn.read_v2),
    # something-something-v1-train.csv (id;category) and folders of frames
    "something-something-v1": Layout(_SOMETHING_V1.recognises, _SOMETHING_V1.read),
    # jester-v1-train.csv (id;category) and folders of frames
    "jester": Layout(_JESTER.recognises, _JESTER.read),
    # tables: label,youtube_id,time_start,time_end,split, or path,label,split
    "kinetics": Layout(kinetics.recognises, kinetics.read),
    # tables: id or file, caption, and where known category and split
    "captions": Layout(captions.recognises, captions.read),
    # CLASS_test_split1.txt of each class: a clip and 0, 1 or 2 on each line
    "hmdb51": Layout(hmdb.recognises, hmdb.read),
    # train.txt, val.txt: a path and a label on each line, without a header
    "lists": Layout(lists.recognises, lists.read),
    # a folder of clips for each class, perhaps below train/ and validation/
    "folders": Layout(folders.recognises, folders.read),
}


def read_manifest(
    root: Path, *, layout: str | None = None, options: LayoutOptions | None = None
) -> Manifest:
    """Read the annotations below `root`; the video files themselves are not opened.

    The layout and its options are those of `read_dataset`.

    Raises:
        ManifestError: as `read_dataset`, and naming every bad row as file:line, up to ten.
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
    name = layout or _recognised(tree)
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
        ManifestError: if none fits; it says what a layout lacks that fits nearly.
    """
    return _recognised(Tree(root))


def _recognised(tree: Tree) -> str:
    root = tree.root
    # Something-Something v2 as its makers pack it may have a train.json here, too.
    if (root / "train.json").is_file() and not twentybn.has_makers_videos(root):
        return LAYOUT
    for name, layout in LAYOUTS.items():
        if layout.recognises(tree):
            return name
    lacks = f"{root}: train.json: no such file, and the folder has none of the other layouts"
    reasons = _nearly(tree)
    if not reasons:
        raise ManifestError(f"{lacks} ({', '.join(LAYOUTS)}; docs/data-format.md)")
    raise ManifestError(
        f"{lacks}: {'; '.join(reasons)}; expected one folder per action, a table with the header "
        '"path,label,split", or a list of each split (docs/data-format.md)'
    )


def _nearly(tree: Tree) -> list[str]:
    """Phrase what is missing, for each layout that the files nearly fit."""
    reasons = []
    unpaired = lists.find_lists(tree)
    if unpaired:
        names = ", ".join(map(tree.name_of, unpaired))
        reasons.append(
            f"{names}: without a header; expected one such list of each split, one of them named "
            'after "train", or the header "path,label,split" in the first line'
        )
    for path, head in tree.tables.items():
        text = columns.lacking(head.columns)
        if path not in unpaired and len(head.columns) > 1 and text:
            reasons.append(f"{tree.name_of(path)}: {text}")
    others = [name for name in tree.unread(tree.tables) if not name.endswith(".yaml")]
    if others:
        reasons.append(f"{shown(others)} cannot be read: write CSV or JSON lines")
    why = folders.lacking(tree)
    if why is None and (not reasons or not tree.below.clips):
        return []
    return [*reasons, why] if why else reasons
