"""The loss of a training batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wordspot.config import TrainingConfig
from wordspot.labels import SILENCE

#: The label of examples that training leaves out: the one that `torch.nn.functional.cross_entropy` ignores.
IGNORED = -100


def training_loss(logits: Tensor, labels: Tensor, settings: TrainingConfig) -> Tensor:
    """The mean loss of a batch.

    The squared error is summed over all posteriors and halved. With two labels it is thus that of the first label's posterior,
    as in the classic network.

    Args:
        logits: float32 [n, labels].
        labels: int64 [n]; examples labelled `IGNORED` do not contribute.
        settings: the kind of loss, label smoothing and logit adjustment of silence.

    Returns:
        float32 [].
    """
    if settings.loss == "squared_error":
        targets = nn.functional.one_hot(labels, logits.shape[1])
        return (logits.softmax(dim=1) - targets).square().sum(dim=1).mean() / 2
    return nn.functional.cross_entropy(
        _with_silence_bias(logits, settings.silence_bias),
        labels,
        ignore_index=IGNORED,
        label_smoothing=settings.label_smoothing,
    )


def _with_silence_bias(logits: Tensor, silence_bias: float) -> Tensor:
    """Logits [n, labels] with the adjustment of Menon et al. 2021 (arXiv 2007.07314) for silence."""
    if not silence_bias:
        return logits
    bias = torch.zeros_like(logits[0])
    bias[SILENCE] = silence_bias
    return logits + bias
