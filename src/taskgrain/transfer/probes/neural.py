"""The probes that are small networks. Torch is imported when one is fitted, not before.

Shapes: S problems, N support clips, T' encoder steps, D width, K classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from taskgrain.transfer.probes.arrays import Floats, Labels, softmax
from taskgrain.transfer.probes.estimator import Probe

if TYPE_CHECKING:
    from taskgrain.transfer.probes.networks import Form, TrainedNetworks

# Fixed in advance for every source and every number of shots.
NUM_STEPS = 200
LEARNING_RATE = 0.003
WEIGHT_DECAY = 0.1


class Mlp(Probe):
    """A network with one hidden layer (GELU), trained by AdamW; torch, float32.

    Its hyper-parameters are fixed in advance: folds would cost tens of trainings a draw.
    """

    def __init__(
        self, hidden_width: int = 128, num_steps: int = NUM_STEPS, random_state: int = 0
    ) -> None:
        """Take the width of the hidden layer, the updates, and the seed of the first weights."""
        self.hidden_width = hidden_width
        self.num_steps = num_steps
        self.random_state = random_state

    def fit_many(self, features: Floats, labels: Labels, *, num_classes: int) -> TrainedNetworks:
        """Train a network for every problem, all of them together."""
        return _trained("mlp", self, features, labels, num_classes)

    def probabilities(self, scores: Floats) -> Floats:
        """Give the modelled probabilities."""
        return softmax(scores)


class Recurrent(Probe):
    """An LSTM over the encoder's steps, read at the mean of its outputs; torch, float32.

    Takes features (N, T', D); (N, D) count as one step. Trained as `Mlp` is.
    """

    reads_steps: ClassVar[bool] = True

    def __init__(
        self, hidden_width: int = 64, num_steps: int = NUM_STEPS, random_state: int = 0
    ) -> None:
        """Take the width of the LSTM, the updates, and the seed of the first weights."""
        self.hidden_width = hidden_width
        self.num_steps = num_steps
        self.random_state = random_state

    def fit_many(self, features: Floats, labels: Labels, *, num_classes: int) -> TrainedNetworks:
        """Train a network for every problem, all of them together."""
        return _trained("recurrent", self, features, labels, num_classes)

    def probabilities(self, scores: Floats) -> Floats:
        """Give the modelled probabilities."""
        return softmax(scores)


class Attentive(Probe):
    """Four learned questions that weigh the encoder's steps, then a layer; torch, float32.

    Takes features (N, T', D); (N, D) count as one step. Trained as `Mlp` is.
    """

    reads_steps: ClassVar[bool] = True

    def __init__(
        self, hidden_width: int = 128, num_steps: int = NUM_STEPS, random_state: int = 0
    ) -> None:
        """Take the width of what is pooled (a multiple of 4), the updates, and the seed."""
        self.hidden_width = hidden_width
        self.num_steps = num_steps
        self.random_state = random_state

    def fit_many(self, features: Floats, labels: Labels, *, num_classes: int) -> TrainedNetworks:
        """Train a network for every problem, all of them together."""
        return _trained("attentive", self, features, labels, num_classes)

    def probabilities(self, scores: Floats) -> Floats:
        """Give the modelled probabilities."""
        return softmax(scores)


def _trained(
    form: Form,
    probe: Mlp | Recurrent | Attentive,
    features: Floats,
    labels: Labels,
    num_classes: int,
) -> TrainedNetworks:
    from taskgrain.transfer.probes.networks import Schedule, train

    schedule = Schedule(
        probe.hidden_width, probe.num_steps, LEARNING_RATE, WEIGHT_DECAY, probe.random_state
    )
    return train(form, features, labels, num_classes=num_classes, schedule=schedule)
