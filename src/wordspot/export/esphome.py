"""`wordspot export --target esphome`: a wake word for ESPHome's micro_wake_word, such as on Home Assistant Voice PE."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from wordspot import __version__
from wordspot.config import DecoderConfig, FeatureConfig
from wordspot.errors import ExportError
from wordspot.export.tflite.graph import ESPHOME_OPERATORS
from wordspot.export.tflite.heads import find_word
from wordspot.export.tflite.making import Loss, load_source
from wordspot.export.tflite_target import calibrated
from wordspot.files import atomic_path, check_out, write_json, write_text
from wordspot.presets import ESPHOME_RESERVED

FEATURES = FeatureConfig(kind="micro", hop_ms=10, low_hz=125, high_hz=7500)
_OLDEST = "2024.7.0"  # the first ESPHome with manifests of version 2
#: Who made it, as its manifest says.
AUTHOR = "wordspot"


@dataclass(frozen=True)
class ExportedEsphome:
    """What `export_esphome` wrote.

    Attributes:
        folder: where the files are.
        name: of the files, without suffix.
        word: the wake word.
        bytes: size of the network.
        arena_bytes: memory that it needs on the device.
        stride: frames of 10 ms in a call of the network.
        cutoff: the word is detected if the mean of its scores exceeds this.
        window: number of scores in that mean.
        multiply_adds: of the network for each frame.
        loss: what 8 bits change.
    """

    folder: Path
    name: str
    word: str
    bytes: int
    arena_bytes: int
    stride: int
    cutoff: float
    window: int
    multiply_adds: int
    loss: Loss

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return {**vars(self), "folder": str(self.folder), "loss": self.loss.to_json()}


def export_esphome(
    source: Path | str,
    out: Path | str,
    *,
    calibrate: Path | str | Sequence[Path | str] | None = None,
    data: Path | str | None = None,
    word: str | None = None,
    stride: int = 3,
    checkpoint: int | None = None,
    max_loss: float = 1.0,
    force: bool = False,
) -> ExportedEsphome:
    """Write a wake word for ESPHome: the network in 8 bits, its manifest, and the lines for the device's configuration.

    Args:
        source: the folder of a run, or an exported file, of `residual_1d` or `trigger_1d` on the front end `micro` with a hop of
            10 ms.
        out: the folder to write.
        calibrate, data, checkpoint, max_loss: as in `export_tflite`.
        word: the wake word; needed if the model has several.
        stride: frames of 10 ms in a call of the network; a device needs least time with 3.
        force: write into a folder that holds files already.

    Raises:
        ConfigError: `out` holds files and `force` is off, or the recordings are not named exactly once.
        NotFoundError, DataError: no such source, or too few recordings.
        ExportError: another network or front end, several words and none named, or 8 bits cost too much; nothing is written.
    """
    folder = Path(out)
    check_out(folder, force=force)
    loaded = load_source(Path(source), checkpoint)
    _check_features(loaded.name, loaded.config.features)
    word = find_word(loaded.labels, word)
    if word == ESPHOME_RESERVED:
        raise ExportError(f"ESPHome takes a model with the wake word {word!r} for a voice activity detector; train another word")
    made = calibrated(loaded, Path(source), calibrate, data, word=word, stride=stride, max_loss=max_loss)
    assert set(made.operators) <= ESPHOME_OPERATORS
    exported = ExportedEsphome(
        folder=folder,
        name=file_name(word),
        word=word,
        bytes=len(made.content),
        arena_bytes=made.arena_bytes,
        stride=stride,
        cutoff=round(loaded.decoder.threshold_of(word), 3),
        window=window_of(loaded.decoder, stride),
        multiply_adds=loaded.network.multiply_adds,
        loss=made.loss,
    )
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / f"{exported.name}.tflite") as temporary:
        temporary.write_bytes(made.content)
    write_json(folder / f"{exported.name}.json", manifest(exported))
    write_text(folder / f"{exported.name}.yaml", _YAML.substitute(name=exported.name, version=__version__))
    return exported


def manifest(exported: ExportedEsphome) -> dict[str, Any]:
    """The manifest, version 2, as ESPHome and pymicro-wakeword read it."""
    return {
        "type": "micro",
        "wake_word": exported.word,
        "author": AUTHOR,
        "model": f"{exported.name}.tflite",
        "trained_languages": [],
        "version": 2,
        "micro": {
            "probability_cutoff": exported.cutoff,
            "feature_step_size": int(FEATURES.hop_ms),
            "sliding_window_size": exported.window,
            "tensor_arena_size": exported.arena_bytes,
            "minimum_esphome_version": _OLDEST,
        },
    }


def window_of(decoder: DecoderConfig, stride: int) -> int:
    """How many scores the mean over a decoder's `average_ms` has, the first and the last included."""
    return int(decoder.average_ms / (FEATURES.hop_ms * stride) + 1e-6) + 1


def file_name(word: str) -> str:
    """A word as the name of a file: lower-case ASCII, with _ between parts.

    >>> file_name("Hé, Röbot"), file_name("麦克")
    ('he_robot', 'wake_word')
    """
    plain = unicodedata.normalize("NFKD", word).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_") or "wake_word"


def _check_features(name: str, features: FeatureConfig) -> None:
    """Raises ExportError for a front end that is not ESPHome's."""
    wanted = {
        key: getattr(FEATURES, key) for key in ("kind", "sample_rate", "hop_ms", "window_ms", "n_mels", "low_hz", "high_hz")
    }
    for key, value in wanted.items():
        if (given := getattr(features, key)) != value:
            raise ExportError(
                f"{name}: features.{key} is {given}, but ESPHome's devices compute features with {value}; train with "
                "--task trigger --preset esphome"
            )


_YAML = Template("""\
# Made by `wordspot export --target esphome`, wordspot $version. Put $name.json and $name.tflite beside the configuration
# of the device, or on a web server: then `model` is the address of $name.json.
micro_wake_word:
  models:
    - model: $name.json
  on_wake_word_detected:
    - voice_assistant.start:
        wake_word: !lambda return wake_word;
""")
