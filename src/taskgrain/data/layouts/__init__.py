"""The layouts that datasets come in, each in a module of its own."""

from __future__ import annotations

from pathlib import Path

from taskgrain.data.layouts import captions, folders, kinetics, lists, something_v2
from taskgrain.data.layouts.layout import Layout, LayoutOptions
from taskgrain.data.layouts.twentybn import TwentyBn
from taskgrain.errors import ManifestError

__all__ = ["LAYOUTS", "Layout", "LayoutOptions", "recognise"]

_SOMETHING_V1 = TwentyBn("something-something-v1", "something-something-v1")
_JESTER = TwentyBn("jester-v1", "jester")

# In the order in which they are tried: what asks for the most particular names goes first.
LAYOUTS: dict[str, Layout] = {
    "something-something-v2": Layout(
        "something-something-v2",
        "labels/train.json and 20bn-something-something-v2/, as its makers pack it",
        something_v2.recognises,
        something_v2.read,
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
        "CSV: label,youtube_id,time_start,time_end,split, or path,label,split",
        kinetics.recognises,
        kinetics.read,
    ),
    "captions": Layout(
        "captions",
        "CSV or JSONL: id or file, caption, and where known category and split",
        captions.recognises,
        captions.read,
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


def recognise(root: Path) -> str | None:
    """Name the first layout that knows the files below `root`; None if none does.

    Raises:
        ManifestError: if none does, but something is there that is nearly one.
    """
    known = next((name for name, layout in LAYOUTS.items() if layout.recognises(root)), None)
    reason = None if known else _nearly(root)
    if reason is not None:
        raise ManifestError(
            f"{root}: {reason}, or the files of another layout (docs/data-format.md)"
        )
    return known


def _nearly(root: Path) -> str | None:
    found = lists.find_lists(root)
    if found:
        names = ", ".join(path.relative_to(root).as_posix() for path in found)
        return (
            f"{names}: without a header; expected one such list of each split, one of them named "
            'after "train", or the header "path,label,split" in the first line'
        )
    alone = folders.only_class(root)
    if alone is not None:
        return (
            f"train.json: no such file, and one folder alone holds clips ({alone}): one "
            "class is not enough; expected train.json, a folder for each of two classes"
        )
    return None
