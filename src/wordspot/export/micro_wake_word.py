"""Run wake words for ESPHome that others made, by the package pymicro-wakeword: their networks are not built as ours are."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.errors import CardError

#: The package, as it is imported.
PACKAGE = "pymicro_wakeword"


def can_run_others() -> bool:
    """Whether the extra `bench` is installed, which brings the package."""
    return importlib.util.find_spec(PACKAGE) is not None


class OtherRunner:
    """Scores of a stream by another project's network; as `wordspot.export.esphome_model.DeviceRunner`, one row for each call.

    Args:
        manifest: the JSON file; the network is beside it.
        window_samples, hop_samples: of a frame of features, for the places of the rows.

    Raises:
        CardError: the package cannot load the network.
    """

    def __init__(self, manifest: Path, window_samples: int, hop_samples: int) -> None:
        from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures

        self._window_samples, self._hop_samples = window_samples, hop_samples
        try:
            self._network: Any = MicroWakeWord.from_config(manifest)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise CardError(f"{manifest}: {PACKAGE} cannot load its network ({error})") from error
        self._network.sliding_window_size = 1  # the decoder takes the mean
        self._front_end: Any = MicroWakeWordFeatures()
        self.stride = int(self._network.stride)
        self.reset()

    def reset(self) -> None:
        """Return to the state before the stream."""
        self._network._probabilities = self._network._probabilities.__class__(maxlen=1)
        self._network.reset()
        self._front_end.reset()
        self._n_frames = 0

    def feed(self, audio: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Feed float32 [samples]; return scores [n, 2] of silence and the word, and where the audio of each row ends."""
        scores, ends = list[float](), list[int]()
        samples = np.clip(np.rint(32768 * audio), -32768, 32767).astype(np.int16)
        for features in self._front_end.process_streaming(samples.tobytes()):
            score = self._network.process_streaming_prob(features)
            self._n_frames += 1
            if self._n_frames % self.stride == 0:
                scores.append(score)
                ends.append(self._window_samples + (self._n_frames - 1) * self._hop_samples)
        word = np.array(scores, np.float32)
        return np.stack([1 - word, word], axis=1), np.array(ends, np.int64)
