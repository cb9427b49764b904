"""The layouts that datasets come in, each in a module of its own."""

from __future__ import annotations

from taskgrain.data.layouts import (
    captions,
    columns,
    folders,
    hmdb,
    kinetics,
    lists,
    twentybn,
)
from taskgrain.data.layouts.layout import Layout, LayoutOptions
from taskgrain.data.layouts.tree import Tree, shown
from taskgrain.errors import ManifestError

__all__ = ["LAYOUTS", "Layout", "LayoutOptions", "recognise"]

_SOMETHING_V1 = twentybn.TwentyBn("something-something-v1", "something-something-v1")
_JESTER = twentybn.TwentyBn("jester-v1", "jester")

# In the order in which they are tried: the layout with the most particular names goes first.
LAYOUTS: dict[str, Layout] = {
    "something-something-v2": Layout(
        "something-something-v2",
        "labels/train.json and 20bn-something-something-v2/, as its makers pack it",
        twentybn.recognises_v2,
        twentybn.read_v2,
    ),
    "something-something-v1": Layout(
        "something-something-v1",
        "something-something-v1-train.csv (id;category) and folders of frames",
        _SOMETHING_V1.recognises,
        _SOMETHING_V1.read,
    ),
    "jester": Layout(
        "jester",
        "jester-v1-train.csv (id;category) and folders of frames",
        _JESTER.recognises,
        _JESTER.read,
    ),
    "kinetics": Layout(
        "kinetics",
        "tables: label,youtube_id,time_start,time_end,split, or path,label,split",
        kinetics.recognises,
        kinetics.read,
    ),
    "captions": Layout(
        "captions",
        "tables: id or file, caption, and where known category and split",
        captions.recognises,
        captions.read,
    ),
    "hmdb51": Layout(
        "hmdb51",
        "CLASS_test_split1.txt of each class: a clip and 0, 1 or 2 on each line",
        hmdb.recognises,
        hmdb.read,
    ),
    "lists": Layout(
        "lists",
        "train.txt, val.txt: a path and a label on each line, without a header",
        lists.recognises,
        lists.read,
    ),
    "folders": Layout(
        "folders",
        "a folder of clips for each class, perhaps below train/ and validation/",
        folders.recognises,
        folders.read,
    ),
}


def recognise(tree: Tree) -> str | None:
    """Name the first layout that knows the files of a folder; None if none does.

    Raises:
        ManifestError: if none does, but something is there that is nearly one.
    """
    known = next((name for name, layout in LAYOUTS.items() if layout.recognises(tree)), None)
    reasons = [] if known else _nearly(tree)
    if reasons:
        raise ManifestError(
            f"{tree.root}: train.json: no such file, and the folder has none of the other layouts: "
            f"{'; '.join(reasons)}; expected one folder per action, a table with the header "
            '"path,label,split", or a list of each split (docs/data-format.md)'
        )
    return known


def _nearly(tree: Tree) -> list[str]:
    """Phrase what is missing, for each layout that the files nearly fit."""
    reasons = []
    found = lists.find_lists(tree)
    if found:
        names = ", ".join(path.relative_to(tree.root).as_posix() for path in found)
        reasons.append(
            f"{names}: without a header; expected one such list of each split, one of them named "
            'after "train", or the header "path,label,split" in the first line'
        )
    for path, head in tree.tables.items():
        text = columns.lacking(head.columns)
        if path not in found and len(head.columns) > 1 and text:
            reasons.append(f"{path.relative_to(tree.root).as_posix()}: {text}")
    others = [name for name in tree.unread(tree.tables) if not name.endswith(".yaml")]
    if others:
        reasons.append(f"{shown(others)} cannot be read: write CSV or JSON lines")
    why = folders.lacking(tree)
    if why is None and (not reasons or not tree.found.clips):
        return []
    return [*reasons, why] if why else reasons
