"""What training and export need of networks that stream, as protocols: a network does not inherit from them."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class StreamingNetwork(Protocol):
    """A network with a step form beside its clip form.

    It may have an attribute ``hop_frames``, the number of frames that a step consumes (default 1). A state is a tensor or a
    tuple of them; it starts as zeros.
    """

    def __call__(self, features: Tensor) -> Tensor:
        """features: [batch, n_frames, n_features] → logits: [batch, n_labels] of the clip."""

    def initial_state(self, batch: int) -> Any:
        """The state before a stream begins."""

    def step(self, features: Tensor, state: Any) -> tuple[Tensor, Any]:
        """features: [batch, k · hop_frames, n_features], state → logits: [batch, k, n_labels], state."""


@runtime_checkable
class SceneNetwork(Protocol):
    """A network that classifies every window of a scene in one pass, for less than a pass for each window."""

    def windows(self, features: Tensor, stride: int) -> Tensor:
        """The logits of the windows that end at frame n_frames - 1 of a scene, and every `stride` frames later.

        Args:
            features: [batch, frames, n_features], at least the n_frames of a clip.
            stride: a multiple of ``hop_frames``.

        Returns:
            [batch, windows, n_labels]; in evaluation those of the clip form for each window.
        """


@runtime_checkable
class StepNetwork(Protocol):
    """A network of the task trigger: it gives logits at every step of a scene, and its attribute ``per_step`` is true."""

    def __call__(self, features: Tensor) -> Tensor:
        """features: [batch, n_frames, n_features] → logits: [batch, n_steps, 2] from the zero state."""

    def n_steps(self, n_frames: int) -> int:
        """Steps of a scene of so many frames."""

    def step_ends(self, n_frames: int) -> Tensor:
        """The last frame that each step sees: int64 [n_steps]."""

    def early_steps(self, early_frames: int) -> int:
        """Steps at the beginning of a stream whose logits see early frames and are meaningless."""

    def initial_state(self, batch: int, early_frames: int) -> Any:
        """The state before a stream whose first frames reach back before its first sample."""

    def step(self, features: Tensor, state: Any) -> tuple[Tensor, Any]:
        """features: [batch, k · hop_frames, n_features], state → logits: [batch, k, 2], state."""


def initial_state(network: StreamingNetwork | StepNetwork, batch: int, early_frames: int) -> Any:
    """The state before a stream whose front end gives so many early frames, for either kind of network."""
    if isinstance(network, StepNetwork):
        return network.initial_state(batch, early_frames)
    return network.initial_state(batch)
