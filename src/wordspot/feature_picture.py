"""Draw a recording as a front end transforms it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.audio.files import read_audio
from wordspot.audio.spool import local_file
from wordspot.errors import ConfigError
from wordspot.feature_config import FeatureConfig
from wordspot.presets import FEATURES
from wordspot.reports import pictures


@dataclass(frozen=True)
class SpectrogramPicture:
    """A picture that was drawn: its file, and the front end, ``classic`` for the original's layout."""

    out: Path
    features: str

    def to_json(self) -> dict[str, Any]:
        return {"out": str(self.out), "features": self.features}


def spectrogram(
    recording: str | Path,
    out: str | Path,
    *,
    features: str | FeatureConfig = "spectrogram",
    classic: bool = False,
) -> SpectrogramPicture:
    """Draw a recording's features over time as a PNG.

    Args:
        recording: a sound file, or a pipe (``-`` is standard input); its first channel is drawn.
        out: the picture, a name that ends in .png.
        features: a front end by name, see `FEATURES`, or its settings.
        classic: draw the layout of TensorFlow's example instead: grey, time downward, no axes.

    Raises:
        NotFoundError, AudioError: the recording cannot be read.
        ConfigError: no such front end, or `out` is not a PNG.
        MissingExtraError: torch or matplotlib is not installed.
    """
    recording, out = Path(recording), Path(out)
    if out.suffix.lower() != ".png":
        raise ConfigError(f"{out}: expected a name that ends in .png")
    if classic:
        with local_file(recording) as file:
            pictures.save_classic_spectrogram(out, read_audio(file)[0])
        return SpectrogramPicture(out, "classic")
    if isinstance(features, str):
        if features not in FEATURES or features == "samples":
            known = ", ".join(name for name in FEATURES if name != "samples")
            raise ConfigError(f"`features` must be one of {known}, got {features!r}")
        features = FEATURES[features]
    with local_file(recording) as file:
        _draw(file, out, features)
    return SpectrogramPicture(out, features.kind)


def _draw(recording: Path, out: Path, config: FeatureConfig) -> None:
    import numpy as np
    import torch

    from wordspot.features import make_front_end

    audio, _ = read_audio(recording, config.sample_rate)
    if len(audio) < config.window_samples:
        audio = np.pad(audio, (0, config.window_samples - len(audio)))
    with torch.inference_mode():
        values = make_front_end(config)(torch.from_numpy(audio)[None])[0].numpy()
    pictures.save_features(out, values, config, f"{recording.name}, {config.kind}")
