"""The ledger as a check leaves it: its own lines anew, and every line written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from taskgrain.data.files import write_text
from taskgrain.data.ledger import LEDGER, LedgerLine, read_ledger


@dataclass(frozen=True, slots=True)
class HeldLedger:
    """The ledger of a dataset before a check."""

    path: Path
    by_hand: Mapping[str, LedgerLine]  # clip -> its line
    is_readable: bool  # every line of it

    @classmethod
    def below(cls, root: Path) -> HeldLedger:
        """Read the ledger of a dataset; without one nothing is held."""
        lines, problems = read_ledger(root)
        by_hand = {line.clip: line for line in lines if line.by_hand}
        return cls(root / LEDGER, by_hand, not problems)

    def write(self, path: Path, found: Sequence[LedgerLine]) -> Path | None:
        """Write what a check found, after the lines written by hand; those go before its own.

        A ledger with a line that cannot be read stays as it is: that line may have been written by
        hand. One that would be empty is removed.

        Args:
            path: of the ledger, in the dataset or elsewhere.
            found: a line for each clip at fault, in the order of the dataset.

        Returns:
            The path, or None where there is no ledger afterwards.
        """
        if path == self.path and not self.is_readable:
            return path
        lines = [*self.by_hand.values(), *(x for x in found if x.clip not in self.by_hand)]
        if not lines:
            path.unlink(missing_ok=True)
            return None
        text = "".join(json.dumps(line.to_json(), ensure_ascii=False) + "\n" for line in lines)
        # A file name that is no text can stand in a problem.
        write_text(path, text.encode("utf-8", "backslashreplace").decode())
        return path
