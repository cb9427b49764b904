"""Counts what a network does with one clip; nothing is computed.

Networks run on tensors without content, and what they would do is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.flop_counter import FlopCounterMode

from taskgrain.config.clips import Video
from taskgrain.labels.vocabulary import MAX_TOKENS
from taskgrain.models.model import SourceModel

# Of all kernels for attention torch's counter knows those of a GPU alone.
CPU_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


@dataclass(slots=True)
class Counted:
    """What one clip takes in one forward pass."""

    model: SourceModel
    flops: int  # a product and its sum are two
    saved_bytes: int  # kept for the backward pass, float32


def count_forward(make: Callable[[], SourceModel], video: Video) -> Counted:
    """Run a model on one clip without content; count its arithmetic and what it keeps.

    Args:
        make: gives the model.
        video: how large a clip is.
    """
    made = make()  # with content: some networks ask for numbers while they are built
    empty = FakeTensorMode(allow_non_fake_inputs=True)
    with FakeCopyMode(empty):
        model = deepcopy(made)
    with empty:
        clip = torch.empty((1, video.num_frames, video.height, video.width, 3), dtype=torch.uint8)
        caption = torch.ones((1, MAX_TOKENS + 1), dtype=torch.long)
        weights = {_storage(each) for each in (*model.parameters(), *model.buffers())}
        saved: dict[StorageWeakRef, Tensor] = {}

        def keep(tensor: Tensor) -> Tensor:
            if _storage(tensor) not in weights:  # a layer saves views of its weights too
                saved[_storage(tensor)] = tensor
            return tensor

        recurrent = _RecurrentFlops(model)
        counter = FlopCounterMode(display=False, custom_mapping={CPU_ATTENTION: _attention_flops})
        with counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            model(clip, caption)
        recurrent.remove()
        saved_bytes = sum(tensor.untyped_storage().nbytes() for tensor in saved.values())
    return Counted(model, counter.get_total_flops() + recurrent.flops, saved_bytes)


def _storage(tensor: Tensor) -> StorageWeakRef:
    return StorageWeakRef(tensor.untyped_storage())


def _attention_flops(
    query: torch.Size, key: torch.Size, value: torch.Size, *rest: object, **named: object
) -> int:
    """Count both products of attention, of queries (B, H, Q, D), keys and values (B, H, K, D)."""
    return 2 * query.numel() * key[-2] + 2 * query[:-1].numel() * key[-2] * value[-1]


class _RecurrentFlops:
    """Counts the products of LSTMs, which torch's counter passes over where they are one kernel."""

    def __init__(self, model: nn.Module) -> None:
        self.flops = 0
        self._hooks = [
            module.register_forward_hook(self._add)
            for module in model.modules()
            if isinstance(module, nn.LSTM)
        ]

    def _add(self, module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        num_steps = inputs[0].shape[0] * inputs[0].shape[1]
        weights = sum(each.numel() for each in module.parameters() if each.ndim == 2)
        self.flops += 2 * weights * num_steps

    def remove(self) -> None:
        """Take the hooks off again."""
        for hook in self._hooks:
            hook.remove()
