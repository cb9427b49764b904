"""Find the tables of a dataset, and read which clip, class and split each row names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from taskgrain.data.annotations import BadRowError, check_clip_id
from taskgrain.data.layouts.names import split_named, split_of_file
from taskgrain.data.layouts.tree import Tree
from taskgrain.data.manifest import Problem, Split
from taskgrain.data.tables import Row, read_table
from taskgrain.data.videos import is_video_name

# The first columns go first, also where two name equally many clips.
FILES = (
    *("file", "file_name", "filename", "file_path", "filepath", "path", "video_path", "clip_path"),
    *("relative_path", "video_file", "video", "video_name", "vid_name", "clip_name", "name"),
)
IDS = ("clip_id", "clip", "video_id", "videoid", "vid", "youtube_id", "id")
CLASSES = (
    *("template", "category", "class_name", "label_name", "action_name", "label", "class"),
    *("action", "action_label", "activity", "gesture"),
)
CAPTIONS = ("caption", "captions")
TEXTS = ("text", "sentence", "sentences", "description")  # captions where no column is a class
SPLITS = ("split", "subset", "partition")
SEGMENT = frozenset({"youtube_id", "time_start", "time_end"})
NOT_READ = re.compile(r"(?:t_|time_)?(?:start|end|begin|stop)(?:_(?:time|sec|seconds|frame))?")
# A model's predictions are a table of clips and classes too.
ANSWERS = re.compile(r"(?:^|[\W_])(?:pred(?:iction)?s?|results?|scores|submission)(?:$|[\W_])")
SAMPLED = 50  # rows by which a column is chosen


@dataclass(frozen=True, slots=True)
class ClipTable:
    """The rows of one table, and the columns of clip, class and split."""

    path: Path
    rows: Sequence[Row]
    clip: str | None  # the column that names the clip
    category: str | None  # the column of the class
    split: Split | None  # of all its rows, by its name or its folder
    beside: str  # the folder that it lies in, relative to the root

    def split_of(self, row: Row) -> Split | None:
        """Return the split of a row; None where nothing says it.

        Raises:
            BadRowError: if the row names a split that is unknown.
        """
        written = row.text(*SPLITS)
        if written is None:
            return self.split
        split = split_named(written)
        if split is None:
            raise BadRowError(f'split "{written[:60]}"; expected train, validation or test')
        return split

    def category_of(self, row: Row) -> str | None:
        """Return the class of a row; None without one."""
        text = None if self.category is None else row.text(self.category)
        return row.text(*CLASSES) if text is None else text

    def place_of(self, row: Row, tree: Tree) -> tuple[str | None, str]:
        """Return the id that a row gives its clip (None: made from its path), and its file.

        Raises:
            BadRowError: if the row names no clip, or several clips have the name.
        """
        column = self.clip
        written = None if column is None else row.text(column)
        if written is None:  # JSON's rows may differ in their keys
            column = next((name for name in (*FILES, *IDS) if row.text(name)), None)
            written = None if column is None else row.text(column)
        if written is None:
            raise BadRowError(
                f"no {self.clip or 'id'}, so no clip; expected one of the columns "
                f"{', '.join((*IDS, *FILES))}"
            )
        if column in IDS and not _is_path(written):
            clip_id = check_clip_id(written)
            return clip_id, tree.index.named(clip_id) or f"videos/{clip_id}.webm"
        return None, tree.clip_path(written, self.beside)


def open_tables(tree: Tree, paths: Iterable[Path], problems: list[Problem]) -> list[ClipTable]:
    """Read tables, and choose the columns that name clips and classes."""
    tables = []
    for path in paths:
        rows = list(read_table(path, problems))
        columns = {name for row in rows for name in row.cells}  # JSON: not of the first row alone
        beside = tree.folder_of(path)
        clip = _clip_column(tree, rows, columns, beside)
        category, split = _class_column(rows, columns), _split_of(path, tree.root)
        tables.append(ClipTable(path, rows, clip, category, split, beside))
    return tables


def names_clips(columns: Iterable[str]) -> bool:
    """Whether one of some columns names a clip."""
    return not {*FILES, *IDS}.isdisjoint(columns)


def names_classes(columns: Iterable[str]) -> bool:
    """Whether one of some columns names a class."""
    return not set(CLASSES).isdisjoint(columns)


def names_captions(columns: Iterable[str]) -> bool:
    """Whether one of some columns holds captions."""
    names = set(columns)
    return bool(names & set(CAPTIONS)) or (bool(names & set(TEXTS)) and not names_classes(names))


def names_splits(columns: Iterable[str]) -> bool:
    """Whether one of some columns names a split."""
    return not set(SPLITS).isdisjoint(columns)


def holds_answers(path: Path) -> bool:
    """Return whether a table is called as predictions are, which are no annotations."""
    return ANSWERS.search(path.stem.lower()) is not None


def unread_columns(table: ClipTable) -> str | None:
    """Phrase which columns would cut a part out of a video; None without such columns.

    Kinetics' own columns name clips that are cut out already: `ID_000010_000020.mp4`.
    """
    first = table.rows[0].cells if table.rows else {}
    names = [name for name in first if NOT_READ.fullmatch(name)]
    if not names or SEGMENT.issubset(first):
        return None
    return f"{table.path.name}: {', '.join(names)} are not read: each clip is its whole file"


def lacking(columns: Sequence[str]) -> str | None:
    """Phrase which column a table lacks to say the classes of clips; None if it lacks none."""
    shown = ", ".join(columns[:20])
    if not names_clips(columns):
        return f"columns are {shown}; none names a clip (as path, file_name, id)"
    if not names_classes(columns) and not names_captions(columns):
        return f"columns are {shown}; none is a class or a caption (as label, category, caption)"
    return None


def _is_path(written: str) -> bool:
    return "/" in written or "\\" in written or is_video_name(written)


def _split_of(path: Path, root: Path) -> Split | None:
    """Read the split off the name of a table, or of the nearest folder that is called so."""
    folders = path.relative_to(root).parts[:-1]
    named = (split_of_file(path), *(split_named(name) for name in reversed(folders)))
    return next((split for split in named if split is not None), None)


def _clip_column(
    tree: Tree, rows: Sequence[Row], columns: Collection[str], beside: str
) -> str | None:
    """Choose the column under which most rows name a clip that is there; of equals, a file's.

    "id" may number the rows and not the clips, as in COCO's files.
    """
    here = [name for name in (*FILES, *IDS) if name in columns]
    sample = rows[:SAMPLED]
    if len(here) < 2:
        return here[0] if here else None
    scores = {name: sum(_is_there(tree, row.text(name), beside) for row in sample) for name in here}
    return max(here, key=lambda name: scores[name])


def _is_there(tree: Tree, written: str | None, beside: str) -> bool:
    if written is None:
        return False
    try:
        return tree.index.holds(tree.clip_path(written, beside))
    except BadRowError as error:
        # A name that several clips have shows as well that this column names clips.
        return "ambiguous" in str(error)


def _class_column(rows: Sequence[Row], columns: Collection[str]) -> str | None:
    """Choose the column of the class: of several, the first that holds words and no numbers."""
    here = [name for name in CLASSES if name in columns]
    for name in here:
        # Beside a column of words one of numbers is their index.
        texts = [text for row in rows[:SAMPLED] if (text := row.text(name)) is not None]
        if texts and not all(text.isdecimal() for text in texts):
            return name
    return here[0] if here else None
