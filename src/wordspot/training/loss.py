"""The loss of a training batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wordspot.config import TrainingConfig
from wordspot.labels import SILENCE, UNKNOWN

#: The label of examples that training leaves out: the one that `torch.nn.functional.cross_entropy` ignores.
IGNORED = -100
#: The label of examples that may be silence or unknown, whichever the network prefers: a part of a word.
SILENCE_OR_UNKNOWN = -101


def training_loss(logits: Tensor, labels: Tensor, settings: TrainingConfig) -> Tensor:
    """The mean loss of a batch.

    The squared error is summed over all posteriors and halved. With two labels it is thus that of the first label's posterior,
    as in the classic network.

    Args:
        logits: float32 [n, labels].
        labels: int64 [n]; examples labelled `IGNORED` do not contribute. For `SILENCE_OR_UNKNOWN` the loss is
            -log(p(silence) + p(unknown)).
        settings: the kind of loss, label smoothing and logit adjustment of silence.

    Returns:
        float32 [].
    """
    if settings.loss == "squared_error":
        targets = nn.functional.one_hot(labels, logits.shape[1])
        return (logits.softmax(dim=1) - targets).square().sum(dim=1).mean() / 2
    logits = _with_silence_bias(logits, settings.silence_bias)
    either = labels == SILENCE_OR_UNKNOWN
    if not either.any():
        return nn.functional.cross_entropy(logits, labels, ignore_index=IGNORED, label_smoothing=settings.label_smoothing)
    certain = nn.functional.cross_entropy(
        logits,
        labels.masked_fill(either, IGNORED),
        ignore_index=IGNORED,
        label_smoothing=settings.label_smoothing,
        reduction="sum",
    )
    both = [SILENCE, UNKNOWN]
    uncertain = logits[either].logsumexp(dim=1) - logits[either][:, both].logsumexp(dim=1)
    return (certain + uncertain.sum()) / (labels != IGNORED).sum()


def guidance_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """The mean Huber loss, quadratic below 1, of the log odds of each word against all other labels.

    Args:
        logits: float32 [n, labels].
        targets: float32 [n, words], the teacher's log odds.

    Returns:
        float32 [].
    """
    first = logits.shape[1] - targets.shape[1]  # after silence and unknown
    others = [logits[:, [label for label in range(logits.shape[1]) if label != word]] for word in range(first, logits.shape[1])]
    odds = logits[:, first:] - torch.stack([each.logsumexp(dim=1) for each in others], dim=1)
    return nn.functional.smooth_l1_loss(odds, targets)


def _with_silence_bias(logits: Tensor, silence_bias: float) -> Tensor:
    """Logits [n, labels] with the adjustment of Menon et al. 2021 (arXiv 2007.07314) for silence."""
    if not silence_bias:
        return logits
    bias = torch.zeros_like(logits[0])
    bias[SILENCE] = silence_bias
    return logits + bias
