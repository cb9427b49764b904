"""The probes that are small networks. Torch is imported when one is fitted, not before.

Shapes: S problems, N support clips, T' encoder steps, D width, K classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from taskgrain.transfer.probes.clips import Floats, Labels, Support, softmax
from taskgrain.transfer.probes.probe import Probe

if TYPE_CHECKING:
    from taskgrain.transfer.probes.networks import Form, TrainedNetworks

# Fixed in advance for every source and every number of shots.
NUM_STEPS = 200
LEARNING_RATE = 0.003
WEIGHT_DECAY = 0.1


class NetworkProbe(Probe):
    """A small network trained by AdamW for a fixed number of updates; torch, float32.

    Its hyper-parameters are fixed in advance: folds would cost tens of trainings a draw.
    """

    form: ClassVar[Form]
    scales_queries: ClassVar[bool] = True

    def __init__(
        self, hidden_width: int = 128, num_steps: int = NUM_STEPS, random_state: int = 0
    ) -> None:
        """Take the width of the hidden layer, the updates, and the seed of the first weights."""
        self.hidden_width = hidden_width
        self.num_steps = num_steps
        self.random_state = random_state

    def fit_support(self, support: Support, labels: Labels, *, num_classes: int) -> TrainedNetworks:
        """Train a network for every problem, all of them together."""
        from taskgrain.transfer.probes.networks import Schedule, train

        schedule = Schedule(
            self.hidden_width, self.num_steps, LEARNING_RATE, WEIGHT_DECAY, self.random_state
        )
        return train(
            self.form, support.features, labels, num_classes=num_classes, schedule=schedule
        )

    def probabilities(self, scores: Floats) -> Floats:
        """Compute the modelled probabilities."""
        return softmax(scores)


class Mlp(NetworkProbe):
    """A network with one hidden layer (GELU)."""

    form = "mlp"


class Recurrent(NetworkProbe):
    """An LSTM over the encoder's steps, read at the mean of its outputs.

    Takes features (N, T', D); (N, D) count as one step.
    """

    form = "recurrent"
    reads_steps: ClassVar[bool] = True

    def __init__(
        self, hidden_width: int = 64, num_steps: int = NUM_STEPS, random_state: int = 0
    ) -> None:
        """Take the width of the LSTM, the updates, and the seed of the first weights."""
        super().__init__(hidden_width, num_steps, random_state)


class Attentive(NetworkProbe):
    """Four learned queries that weigh the encoder's steps, then a layer.

    Takes features (N, T', D); (N, D) count as one step. The width of what is pooled is a
    multiple of 4.
    """

    form = "attentive"
    reads_steps: ClassVar[bool] = True
