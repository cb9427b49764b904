"""The ledger as a check leaves it: its own lines anew, and every line written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from taskgrain.data.ledger import LedgerLine, read_ledger


@dataclass(frozen=True, slots=True)
class HeldLedger:
    """The ledger of a dataset before a check."""

    by_hand: Mapping[str, LedgerLine]  # clip -> its line
    is_readable: bool  # every line of it

    @classmethod
    def below(cls, root: Path) -> HeldLedger:
        """Read the ledger of a dataset; without one nothing is held."""
        lines, problems = read_ledger(root)
        return cls({line.clip: line for line in lines if line.by_hand}, not problems)

    def text(self, found: Sequence[LedgerLine]) -> str:
        """Say what a check found, after the lines written by hand; those go before its own.

        Args:
            found: a line for each clip at fault, in the order of the dataset.

        Returns:
            The ledger to write; empty where no clip is in it.
        """
        lines = [*self.by_hand.values(), *(x for x in found if x.clip not in self.by_hand)]
        return "".join(json.dumps(line.to_json(), ensure_ascii=False) + "\n" for line in lines)
