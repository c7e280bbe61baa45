"""The losses of the student: labels with the teacher's posteriors, and the error of the teacher's frames."""

from __future__ import annotations

import torch
from torch import Tensor

from cache import UNKNOWN

_IMPOSSIBLE = -1e4


def label_loss(logits: Tensor, labels: Tensor, rows: Tensor, posteriors: Tensor | None, soft: float) -> tuple[Tensor, float]:
    """Cross-entropy over all windows with a label, and the accuracy of those with a certain one.

    Args:
        logits: [batch, windows, n].
        labels: [batch, windows]; n stands for silence or unknown, whichever the model prefers, a negative one for no label.
        rows: [batch, windows], the clip whose posteriors count too, or -1.
        posteriors: the teacher's [clips, n].
        soft: their weight, 1 - soft that of the label.
    """
    counts = labels >= 0
    logits, labels, rows = logits[counts], labels[counts], rows[counts]
    n = logits.shape[1]
    log_p = torch.log_softmax(logits, dim=1)
    allowed = torch.full((n + 1, n), _IMPOSSIBLE)
    allowed[:n].fill_diagonal_(0)
    allowed[n, : UNKNOWN + 1] = 0
    loss = -torch.logsumexp(log_p + allowed[labels], dim=1)
    if posteriors is not None:
        softened = (1 - soft) * loss - soft * (posteriors[rows.clamp(min=0)] * log_p).sum(dim=1)
        loss = torch.where(rows >= 0, softened, loss)
    certain = labels < n
    return loss.mean(), float((logits.argmax(dim=1) == labels)[certain].float().mean())


def masked_error(found: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """The squared error [..., components], summed over components, its mean where the mask [...] is true."""
    return (found - wanted).square().sum(dim=2)[mask].mean()
