"""Sort lists into divisions: of UCF101's three, `trainlist01.txt` and `testlist01.txt` are one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from taskgrain.data.layouts.names import FRAMES, PICTURES, kind_of, split_of_file, variant_of
from taskgrain.data.manifest import Split


@dataclass(frozen=True, slots=True)
class ListVariants:
    """Lists of clips, and the divisions that they make."""

    lists: tuple[Path, ...]
    divisions: Mapping[str, tuple[Path, ...]]  # the first is the one to read; names of its files

    @property
    def is_alone(self) -> bool:
        """Whether there is one list, of no split."""
        return len(self.lists) == 1 and split_of_file(self.lists[0]) is None

    @classmethod
    def of(cls, lists: Sequence[Path], root: Path) -> ListVariants:
        """Sort lists: all are one division, or those whose names are alike but for the split."""
        splits = [split_of_file(path) for path in lists]
        if Split.TRAIN in splits and None not in splits and len(set(splits)) == len(splits):
            return cls(tuple(lists), {_called(lists): tuple(lists)})
        grouped: dict[tuple[object, ...], dict[Split, Path]] = defaultdict(dict)
        for path, split in zip(lists, splits, strict=True):
            if split is not None:
                grouped[_key(path, root)].setdefault(split, path)
        whole = {
            key: tuple(held[split] for split in Split if split in held)
            for key, held in sorted(grouped.items())
            if Split.TRAIN in held and len(held) > 1
        }
        return cls(tuple(lists), {_called(paths): paths for paths in whole.values()})


def _called(paths: Sequence[Path]) -> str:
    return " and ".join(path.name for path in paths)


def _key(path: Path, root: Path) -> tuple[object, ...]:
    """Order divisions: videos before frames before flow, then by their names and numbers."""
    modality = kind_of(path.stem).modality
    rank = 0 if modality is None else 1 if modality in PICTURES else 3
    rank += modality == FRAMES
    folder = path.parent.relative_to(root).parts
    words = (*(word for name in folder for word in variant_of(name)), *variant_of(path.stem))
    return (rank, *((word.isdecimal(), word.zfill(9)) for word in words))
