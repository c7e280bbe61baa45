"""Run wake words for ESPHome that others made, by the package pymicro-wakeword: their networks are not built as ours are."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.errors import CardError
from wordspot.files import write_json

#: The package, as it is imported.
PACKAGE = "pymicro_wakeword"


def can_run_others() -> bool:
    """Whether the extra `bench` is installed, which brings the package."""
    return importlib.util.find_spec(PACKAGE) is not None


class OtherRunner:
    """Scores of a stream by another project's network; as `wordspot.export.esphome_model.DeviceRunner`, one row for each call.

    Args:
        model: the network, a `.tflite` file.
        window_samples, hop_samples: of a frame of features, for the places of the rows.

    Raises:
        CardError: the package cannot load the network.
    """

    def __init__(self, model: Path, window_samples: int, hop_samples: int) -> None:
        from pymicro_wakeword import MicroWakeWordFeatures

        self._window_samples, self._hop_samples = window_samples, hop_samples
        self._network = _load(model)
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


def _load(model: Path) -> Any:
    """The network in the package's interpreter, which it finds if it reads a manifest; our decoder has the real settings."""
    from pymicro_wakeword import MicroWakeWord

    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "manifest.json"
        settings = {"probability_cutoff": 0.5, "sliding_window_size": 1}
        write_json(manifest, {"wake_word": model.stem, "model": str(model.resolve()), "micro": settings})
        try:
            return MicroWakeWord.from_config(manifest)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise CardError(f"{model}: {PACKAGE} cannot load this network ({error})") from error
