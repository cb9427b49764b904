"""Find the clip that a row or a line of a list means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from taskgrain.data.annotations import BadRowError
from taskgrain.data.videos import is_video_name, split_name, suffix_rank, unicode_forms

VIDEOS = "videos"


class ClipIndex:
    """Find a clip by its path, its file name, or its file name without suffix.

    A name is found in whatever Unicode form the file system keeps it.
    """

    def __init__(self, clips: Iterable[str], files: Iterable[str]) -> None:
        """Take the clips, and every other form of them too, which only a whole path names."""
        self._files = set(files)
        self._by_name: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for file in sorted(clips):
            name = file.rpartition("/")[2]
            self._by_name.setdefault(name, []).append(file)
            if is_video_name(name):
                self._by_stem.setdefault(split_name(name)[0], []).append(file)

    def holds(self, file: str) -> bool:
        """Whether a path, relative to the root, is that of a clip."""
        return file in self._files

    def at(self, path: str, folders: Sequence[str] = ("", VIDEOS)) -> str | None:
        """Find the clip of a written path, tried below each of some folders of the root.

        A path without the suffix, or with that of another kind of video, is found too.
        """
        for form in (path, *unicode_forms(path)):
            for folder in folders:
                file = f"{folder}/{form}" if folder else form
                if file in self._files:
                    return file
        stem = _stem(path)
        for form in (stem, *unicode_forms(stem)):
            alike = self._alike(form.rpartition("/")[2])
            for folder in folders if alike else ():
                whole = f"{folder}/{form}" if folder else form
                found = [file for file in alike if _stem(file) == whole]
                if found:
                    return _only(path, found)
        return None

    def below(self, path: str) -> str | None:
        """Find the clip whose path ends as a written path of several folders does.

        Raises:
            BadRowError: if several are as good.
        """
        stem = _stem(path)
        for form in (stem, *unicode_forms(stem)):
            alike = self._alike(form.rpartition("/")[2])
            found = [file for file in alike if f"/{_stem(file)}".endswith(f"/{form}")]
            if found:
                return _only(path, found)
        return None

    def _alike(self, stem: str) -> list[str]:
        return [*self._by_stem.get(stem, ()), *self._by_name.get(stem, ())]

    def named(self, name: str) -> str | None:
        """Find the clip of a name, with or without its suffix, in whatever folder it lies.

        Of several those in `videos/` go first, and of those in one folder WebM, as in
        `index_videos`. None where there is none.

        Raises:
            BadRowError: if several are as good.
        """
        for form in (name, *unicode_forms(name)):
            # A whole file name is one clip; otherwise a video goes before a folder of frames.
            found = self._by_name.get(form, [])
            if not is_video_name(form):
                found = [*self._by_stem.get(form, []), *found]
            if found:
                return _only(name, found)
        return None


def _only(name: str, files: Sequence[str]) -> str:
    best: Sequence[str] = files
    for chosen in (
        [file for file in files if file.rpartition("/")[0] == VIDEOS],
        [file for file in files if file.startswith(f"{VIDEOS}/")],
    ):
        if chosen:
            best = chosen
            break
    first_in = {file.rpartition("/")[0]: file for file in reversed(best)}
    if len(first_in) > 1:
        some, other = sorted(first_in.values())[:2]
        raise BadRowError(
            f"{name[:60]!r} is ambiguous: {some} and {other} are called so; expected the path of "
            "one"
        )
    return min(best, key=lambda file: (suffix_rank(file), file))


def _stem(path: str) -> str:
    """Return a path without the suffix of a video."""
    return split_name(path)[0] if is_video_name(path.rpartition("/")[2]) else path
