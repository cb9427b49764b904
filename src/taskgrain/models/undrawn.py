"""Networks whose weights are read from a file next: their first weights are not drawn.

Drawing takes most of the time of building a large network, and all of it is overwritten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

# What those functions of torch.nn.init call that do not show themselves to the mode.
DRAWS = frozenset({Tensor.uniform_, Tensor.normal_, Tensor.erfinv_})


class FirstWeightsLeftOut(TorchFunctionMode):
    """While entered, `torch.nn.init` draws no number for a parameter.

    Parameters then hold whatever the memory held, and must all be loaded. Buffers are filled as
    ever: some of them are no part of a checkpoint.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Compute a torch function, unless it would fill a parameter with first weights."""
        named = kwargs or {}
        if func in DRAWS or getattr(func, "__module__", None) == "torch.nn.init":
            filled = named.get("tensor", args[0] if args else None)
            if isinstance(filled, nn.Parameter):
                return filled
        return func(*args, **named)
