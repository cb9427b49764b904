"""Read a JSON list of rows whole; the line of a row is found only when a problem asks for it."""

from __future__ import annotations

import json
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from functools import cached_property
from pathlib import Path

from taskgrain.data.manifest import Problem
from taskgrain.errors import ManifestError

_SPACE = " \t\r\n"


class MalformedFileError(ManifestError):
    """A file of annotations of which nothing can be read."""

    def __init__(self, where: str, text: str) -> None:
        """Name the place, what was found and what was expected."""
        self.problem = Problem("malformed", where, text)
        super().__init__(str(self.problem))


class JsonRows:
    """The rows of one file, and where each of them begins."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            MalformedFileError: naming file and line, if it is no list in JSON.
        """
        self.path = path
        text = read_text(path)
        rows = parse_json(text, path)
        if not isinstance(rows, list):
            raise MalformedFileError(f"{path}:1", "expected a JSON list of rows")
        self.rows: list[object] = rows
        # Half of a surrogate pair can only have been written as an escape; without one in the
        # file no string needs to be looked at.
        self.may_hold_surrogates = "\\ud" in text or "\\uD" in text

    def where(self, index: int) -> str:
        """Return where row `index` begins, as "file:line"."""
        return f"{self.path}:{self._lines[index]}"

    @cached_property
    def _lines(self) -> list[int]:
        # The text is read again: kept for a problem that seldom comes, it would cost memory.
        return row_lines(read_text(self.path))


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, or in UTF-16 with a byte order mark; line ends become "\\n".

    Raises:
        MalformedFileError: if it is neither.
    """
    try:
        # Decoding all at once takes a third of the time that the incremental decoder takes.
        return decode_text(path.read_bytes())
    except UnicodeDecodeError as error:
        raise MalformedFileError(
            str(path),
            f"not {error.encoding.upper()} at byte {error.start}: {error.reason}; save the file "
            "as UTF-8",
        ) from error


def decode_text(content: bytes, *, errors: str = "strict") -> str:
    """Decode the bytes of a text file as `read_text` does.

    Raises:
        UnicodeDecodeError: if they are neither UTF-8 nor UTF-16, unless `errors` is "replace".
    """
    if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):  # as Windows saves "Unicode text"
        text = content.decode("utf-16", errors)
    else:
        text = content.removeprefix(BOM_UTF8).decode("utf-8", errors)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def parse_json(text: str, path: Path) -> object:
    """Read the one JSON value of a file.

    Raises:
        MalformedFileError: naming file and line.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise MalformedFileError(f"{path}:{error.lineno}", f"not JSON: {error}") from error
    except (ValueError, RecursionError) as error:  # a number of too many digits; too deep
        line = (row_lines(text) or [1])[-1]
        raise MalformedFileError(f"{path}:{line}", f"not JSON: {error}") from error


def row_lines(text: str) -> list[int]:
    """Return the line on which each row of a JSON list begins; up to the first that cannot be read.

    Time grows with the length of the text, not with its square.
    """
    decoder = json.JSONDecoder()
    lines: list[int] = []
    position = _skip(text, 0)
    line = 1 + text.count("\n", 0, position)
    if text[position : position + 1] != "[":
        return lines
    counted = position
    position = _skip(text, position + 1)
    while position < len(text) and text[position] != "]":
        line += text.count("\n", counted, position)
        counted = position
        lines.append(line)
        try:
            _, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            break
        position = _skip(text, end)
        if text[position : position + 1] == ",":
            position = _skip(text, position + 1)
    return lines


def is_text(text: str) -> bool:
    """Whether a text can be written as UTF-8: JSON may hold half of a surrogate pair."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in _SPACE:
        position += 1
    return position
