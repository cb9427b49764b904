"""METEOR 1.5 through its own jar: other programs of that name give other numbers.

The jar and its table of paraphrases come with the package pycocoevalcap (extra "meteor"); Java has
to be installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO
from urllib.parse import quote

from taskgrain.errors import ResultError
from taskgrain.metrics.corpus_scores import Tokens

# On two examples NLTK's METEOR gives .68 and .75, and the jar .42 and .43.
JAR_VARIABLE = "TASKGRAIN_METEOR_JAR"
_JAR = Path("meteor") / "meteor-1.5.jar"
_ARGUMENTS = ("-", "-", "-stdio", "-l", "en", "-norm")  # as coco-caption runs it
_SEPARATOR = "|||"
_SHOWN_LETTERS = 300  # of the error output of Java


class Meteor:
    """A running METEOR; use it in a `with`, so that Java ends with it."""

    def __init__(self, jar: Path | None = None) -> None:
        """Find Java and the jar.

        Args:
            jar: meteor-1.5.jar, with data/paraphrase-en.gz beside it. Without it, the file that
                the variable TASKGRAIN_METEOR_JAR names, else the one of pycocoevalcap.

        Raises:
            ResultError: if either is missing.
        """
        java = shutil.which("java")
        if java is None:
            raise ResultError(
                "METEOR needs Java, and no `java` was found; install a Java runtime (Debian: "
                "apt-get install default-jre-headless), or leave METEOR out"
            )
        self._java = java
        self._jar = find_jar(jar)

    def __enter__(self) -> Meteor:
        self._complaints = tempfile.TemporaryFile()
        self._elsewhere = tempfile.TemporaryDirectory()
        jar = _plain_path(self._jar, Path(self._elsewhere.name))
        self._process = subprocess.Popen(
            (self._java, "-Xmx2G", "-jar", str(jar), *_ARGUMENTS),
            cwd=jar.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            encoding="utf-8",
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._complaints):
            try:
                if stream is not None:
                    stream.close()
            except BrokenPipeError:  # what Java has not read yet is of no use
                continue
        self._elsewhere.cleanup()

    def score(self, candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> float:
        """Return METEOR of some clips together, 0 to 1.

        Args:
            candidates: the words of one caption a clip, as `ptb_words` gives them.
            references: the words of one or more captions a clip, in the same order.

        Raises:
            ResultError: if Java ends, or answers what is no score.
        """
        # One line is written and one read at a time: neither side can wait for the other.
        counts = [
            self._ask("SCORE", *map(_text, true), _text(candidate))
            for candidate, true in zip(candidates, references, strict=True)
        ]
        answer = self._ask("EVAL", *counts)
        for _ in counts:  # the score of each clip; that of all of them comes last
            answer = self._read()
        try:
            return float(answer)
        except ValueError as error:
            raise ResultError(f"METEOR answered {answer[:60]!r}; expected a score") from error

    def _ask(self, *parts: str) -> str:
        written = self._process.stdin
        assert written is not None
        try:
            written.write(f" {_SEPARATOR} ".join(parts) + "\n")
            written.flush()
        except BrokenPipeError:
            raise self._ended() from None
        return self._read()

    def _read(self) -> str:
        read: IO[str] | None = self._process.stdout
        assert read is not None
        line = read.readline()
        if not line:
            raise self._ended()
        return line.strip()

    def _ended(self) -> ResultError:
        self._process.kill()
        self._process.wait()
        self._complaints.seek(0)
        complaint = self._complaints.read().decode("utf-8", "replace").strip()
        return ResultError(
            f"{self._jar}: METEOR ended: {complaint[-_SHOWN_LETTERS:] or 'no message'}"
        )


def find_jar(jar: Path | None = None) -> Path:
    """Find the jar, and the table that it reads; see `Meteor`.

    Raises:
        ResultError: naming what is missing.
    """
    if jar is None and os.environ.get(JAR_VARIABLE):
        jar = Path(os.environ[JAR_VARIABLE])
    if jar is None:
        package = find_spec("pycocoevalcap")
        folders = list(package.submodule_search_locations or ()) if package else []
        if not folders:
            raise ResultError(
                "METEOR needs meteor-1.5.jar; pip install 'taskgrain[meteor]', or name the file by "
                f"--meteor-jar or {JAR_VARIABLE}"
            )
        jar = Path(folders[0]) / _JAR
    table = jar.parent / "data" / "paraphrase-en.gz"
    for path in (jar, table):
        if not path.is_file():
            raise ResultError(f"{path}: no such file; METEOR needs the jar and the table beside it")
    return jar.resolve()


def _text(words: Tokens) -> str:
    # As a word it would shift the fields of the line, and METEOR would score other captions.
    return " ".join(word for word in words if word != _SEPARATOR)


def _plain_path(jar: Path, elsewhere: Path) -> Path:
    """Return a path of the jar from which METEOR finds its data.

    It looks for them by the URL of the jar, in which a space or an umlaut is quoted twice; and a
    link to the jar is resolved. So the jar is copied, and its data are linked beside it.
    """
    if quote(str(jar)) == str(jar):
        return jar
    copy = elsewhere / jar.name
    shutil.copyfile(jar, copy)
    (elsewhere / "data").symlink_to(jar.parent / "data")
    return copy
