"""Find the video file, or the folder of frames, of each clip."""

from __future__ import annotations

import os
from pathlib import Path

VIDEO_SUFFIXES = (".webm", ".mp4", ".mkv", ".avi", ".mov", ".m4v", ".gif")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")

_RANK = {suffix: rank for rank, suffix in enumerate(VIDEO_SUFFIXES)}
_FOLDER_RANK = len(_RANK)  # a video file goes before a folder of frames


def is_video_name(name: str) -> bool:
    """Whether a file is called as a video is; hidden files are none."""
    return not name.startswith(".") and split_name(name)[1] in _RANK


def is_image_name(name: str) -> bool:
    """Whether a file is called as an image is; hidden files are none."""
    return not name.startswith(".") and split_name(name)[1] in IMAGE_SUFFIXES


def split_name(name: str) -> tuple[str, str]:
    """Split a file name into stem and lower-case suffix: "a.b.MP4" -> ("a.b", ".mp4")."""
    stem, dot, suffix = name.rpartition(".")
    return (stem, f".{suffix.lower()}") if stem and dot else (name, "")


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or leads to one; a link that leads nowhere is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def index_videos(folder: Path) -> dict[str, str]:
    """Find what each clip id of a folder is stored in: id -> name of a video file or a folder.

    Where one id has several, WebM goes first, then the order of `VIDEO_SUFFIXES`, then a folder
    of frames. Nothing is opened; a folder that does not exist holds nothing.
    """
    found: dict[str, str] = {}
    ranks: dict[str, int] = {}
    if not folder.is_dir():
        return found
    with os.scandir(folder) as entries:
        for entry in entries:
            stem, suffix = split_name(entry.name)
            rank = _RANK.get(suffix)
            # Hundreds of thousands of entries: only what is not called a video is asked for more.
            if rank is None:
                if entry.name.startswith(".") or not is_folder(entry):
                    continue
                stem, rank = entry.name, _FOLDER_RANK
            if (rank, entry.name) < (ranks.get(stem, _FOLDER_RANK + 1), found.get(stem, "")):
                found[stem], ranks[stem] = entry.name, rank
    return found
