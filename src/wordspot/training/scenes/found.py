"""In how many held-out clips a network in training detects its words, as in a stream: the progress that a user can see.

A network that is trained on scenes gives a word's label to the windows in which the word has just ended. A clip's only window,
which ends some time after its word, is none of them, so the accuracy on clips says little about such a network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wordspot.config import FeatureConfig
from wordspot.data.cache import DecodedClips
from wordspot.labels import UNKNOWN
from wordspot.progress import CHECKING, OnProgress, Progress, ignore

#: A mean posterior above this counts as a detection; the thresholds of the finished model are chosen later.
DETECTED = 0.5
_AVERAGE_MS = 150.0
_AFTER_MS = 500.0  # of silence after a clip, in which a word at its end is still detected
_HISS = 1e-4
_BATCH, _MOST = 16, 400


@dataclass(frozen=True)
class Found:
    """The held-out clips in which a network detects a word.

    Attributes:
        n_found: clips of `n_words` of the words in which the right word is detected.
        n_wrong: clips of `n_others` of other words in which any word is detected.
    """

    step: int
    n_found: int
    n_words: int
    n_wrong: int
    n_others: int
    kind: str = "found"

    def summary(self) -> str:
        wrong = f", and a word in {self.n_wrong} of {self.n_others} clips of other words" if self.n_others else ""
        return f"Step {self.step}: detected in {self.n_found} of {self.n_words} held-out clips{wrong}"


class HeldOutClips:
    """Clips of the validation set, at most 400 of the words and 400 of others.

    Args:
        decoded: the recordings.
        rows, labels: int64 [n], which of them, and the position of each one's label.
        features: of the network's input.
        stride: frames from one window to the next.
        device: of the network.
    """

    def __init__(
        self,
        decoded: DecodedClips,
        rows: NDArray[np.int64],
        labels: NDArray[np.int64],
        features: FeatureConfig,
        stride: int,
        device: torch.device,
    ) -> None:
        words, others = (_some(np.flatnonzero(which)) for which in (labels > UNKNOWN, labels == UNKNOWN))
        chosen = np.concatenate([words, others])
        self._decoded, self._rows, self._labels = decoded, rows[chosen], labels[chosen]
        self._features, self._stride, self._device = features, stride, device
        self._n_words, self._n_others = len(words), len(others)

    def count(self, network: nn.Module, front_end: nn.Module, step: int, progress: OnProgress = ignore) -> Found | None:
        """The clips in which `network`, which is put into evaluation mode, detects a word; None without clips of the words."""
        if not self._n_words:
            return None
        network.eval()
        batches = []
        for start in range(0, len(self._rows), _BATCH):
            batches.append(self._detected(network, front_end, start))
            progress(Progress(CHECKING, min(start + _BATCH, len(self._rows)), len(self._rows)))
        detected = np.concatenate(batches)
        is_word = self._labels > UNKNOWN
        n_found = int((detected == self._labels)[is_word].sum())
        return Found(step, n_found, self._n_words, int((detected[~is_word] > UNKNOWN).sum()), self._n_others)

    def _detected(self, network: nn.Module, front_end: nn.Module, start: int) -> NDArray[np.int64]:
        """int64 [batch]: the position of the label that is detected in each clip, or -1."""
        with torch.inference_mode():
            logits = network.windows(front_end(self._audio(start)), self._stride)  # type: ignore[operator]
            posteriors = torch.softmax(logits.float(), dim=-1)[..., UNKNOWN + 1 :]
            n = max(round(_AVERAGE_MS / (self._features.hop_ms * self._stride)), 1)
            scores, words = posteriors.unfold(1, n, 1).mean(dim=-1).amax(dim=1).max(dim=-1)
            return torch.where(scores > DETECTED, words + UNKNOWN + 1, -1).cpu().numpy()

    def _audio(self, start: int) -> Tensor:
        """float32 [batch, samples]: each clip between silence, so that its first window ends before it begins."""
        clips = self._decoded.clips[self._rows[start : start + _BATCH]]
        after = int(_AFTER_MS * self._features.sample_rate / 1000)
        audio = np.random.default_rng(0).standard_normal((len(clips), 2 * clips.shape[1] + after)).astype(np.float32)
        audio *= _HISS
        audio[:, clips.shape[1] : -after] += clips / np.float32(32768)
        return torch.from_numpy(audio).to(self._device)


def _some(places: NDArray[np.intp]) -> NDArray[np.intp]:
    """At most `_MOST` of these places, evenly."""
    return places[:: max(-(-len(places) // _MOST), 1)]
