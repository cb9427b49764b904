"""Many short texts in one block of memory: as a list of strings they take several times as much."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import overload


class Texts(Sequence[str]):
    """A sequence of texts that does not change; each is made anew when it is asked for."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Take the texts, in their order; any string, also one that is no valid text."""
        block = bytearray()
        self._ends = array("Q", [0])
        for text in texts:
            block += text.encode("utf-8", "surrogatepass")
            self._ends.append(len(block))
        self._block = bytes(block)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> list[str]: ...

    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        place %= len(self)
        start, end = self._ends[place], self._ends[place + 1]
        return self._block[start:end].decode("utf-8", "surrogatepass")
