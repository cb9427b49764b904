"""The layouts that datasets come in, each in a module of its own."""

from __future__ import annotations

from pathlib import Path

from taskgrain.data.layouts import captions, folders, kinetics, something_v2
from taskgrain.data.layouts.layout import Layout, LayoutOptions
from taskgrain.data.layouts.twentybn import TwentyBn

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
    "folders": Layout(
        "folders",
        "a folder of clips for each class, perhaps below train/ and validation/",
        folders.recognises,
        folders.read,
    ),
}


def recognise(root: Path) -> str | None:
    """Name the first layout that knows the files below `root`; None if none does."""
    return next((name for name, layout in LAYOUTS.items() if layout.recognises(root)), None)
