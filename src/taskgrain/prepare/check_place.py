"""Where a check keeps its state and its ledger: in the dataset, or in a folder claimed for it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from taskgrain.data.files import write_text
from taskgrain.data.ledger import LEDGER
from taskgrain.errors import RunError
from taskgrain.jobs.workspace import LOCK, reading_mark

STATE = Path(".taskgrain", "check")  # below a dataset, or a folder of the user's
CLAIM = "claim.json"
ADVICE = "choose with --out a folder for what the check keeps and for its ledger"


@dataclass(frozen=True, slots=True)
class CheckPlace:
    """The files of one check. Nothing outside `state` is removed, but a ledger that it wrote."""

    state: Path
    ledger: Path
    source: str | None  # the dataset that the folder is claimed for; None in the dataset itself

    @classmethod
    def of(cls, root: Path, out: Path | None) -> CheckPlace:
        """Name the files of a dataset's check, in the dataset or in the folder `out`."""
        if out is None or out.resolve() == root.resolve():
            return cls(root / STATE, root / LEDGER, None)
        return cls(out / STATE, out / LEDGER, str(root.resolve()))

    def refuse_foreign(self) -> None:
        """Refuse the folder of another dataset, before anything is written into it.

        Raises:
            RunError: where `claim` raises it.
        """
        self._claimed()

    def claim(self) -> None:
        """Take the folder, which is locked, for the dataset.

        Raises:
            RunError: if another dataset's check is there, or a ledger that this one did not write.
        """
        if self.source is not None:
            self._write_claim(self._claimed())

    def write_ledger(self, text: str) -> Path | None:
        """Write the ledger; one that would be empty is removed.

        Returns:
            Its path, or None where there is none afterwards.
        """
        if self.source is not None:
            # Before the ledger: a process killed in between knows either one for its own.
            held = [_digest(self.ledger.read_bytes())] if self.ledger.is_file() else []
            self._write_claim([*held, _digest(text.encode())])
        if not text:
            self.ledger.unlink(missing_ok=True)
            return None
        write_text(self.ledger, text)
        return self.ledger

    def _claimed(self) -> list[str]:
        """Give the hashes of the ledgers that this dataset's check wrote here."""
        if self.source is None:
            return []
        path = self.state / CLAIM
        folder = self.ledger.parent
        ledgers: list[str] = []
        if path.is_file():
            with reading_mark(path):
                held = json.loads(path.read_text(encoding="utf-8"))
                source, ledgers = str(held["data"]), [str(each) for each in held["ledgers"]]
            if source != self.source:
                raise RunError(
                    f"{folder} holds the check of {source}; choose another folder for {self.source}"
                )
        elif self.state.is_dir() and any(each.name != LOCK for each in self.state.iterdir()):
            raise RunError(f"{folder} holds a check of its own; choose another folder with --out")
        if self.ledger.exists() and (
            not self.ledger.is_file() or _digest(self.ledger.read_bytes()) not in ledgers
        ):
            raise RunError(
                f"{self.ledger} is not as a check of {self.source} wrote it; move it away, or "
                "choose another folder with --out"
            )
        return ledgers

    def _write_claim(self, ledgers: list[str]) -> None:
        claim = {"data": self.source, "ledgers": ledgers}
        write_text(self.state / CLAIM, json.dumps(claim) + "\n")


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
