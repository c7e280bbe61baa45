"""Front ends and decoders by name, each with its usual settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from wordspot.config import DecoderConfig, FeatureConfig, RunConfig
from wordspot.tasks import TASKS

#: Front ends by name, each with its usual settings.
FEATURES: dict[str, FeatureConfig] = {
    "logmel": FeatureConfig(),
    "mfcc": FeatureConfig(kind="mfcc", low_hz=20, high_hz=4000),
    "average": FeatureConfig(kind="average"),
    "micro": FeatureConfig(kind="micro", hop_ms=20, low_hz=125, high_hz=7500),
    "spectrogram": FeatureConfig(kind="spectrogram"),
    "psf_mfcc": FeatureConfig(
        kind="psf_mfcc", sample_rate=22_050, window_ms=25, fft_size=2048, n_mels=26, n_coefficients=13,
        low_hz=0, high_hz=11_025,
    ),
    "specgram": FeatureConfig(
        kind="specgram", sample_rate=44_100, clip_ms=10_000, window_ms=200_000.5 / 44_100, hop_ms=80_000.5 / 44_100,
        fft_size=200,
    ),
    "samples": FeatureConfig(kind="samples"),
}  # fmt: skip


@dataclass(frozen=True)
class Preset:
    """A size of a task's default network, as settings over its recipe."""

    help: str
    settings: dict[str, Any] = field(default_factory=dict)
    task: str = "words"


_ESPHOME_FEATURES: dict[str, Any] = {
    "features.kind": "micro", "features.hop_ms": 10.0, "features.low_hz": 125.0, "features.high_hz": 7500.0,
}  # fmt: skip

#: By name: sizes of `residual_1d`, with the number of parameters for ten words, of `trigger_1d` and of `statistics`.
PRESETS: dict[str, Preset] = {
    "default": Preset("238,204 parameters"),
    "best": Preset("599,868 parameters, twice as slow", {"model.n_channels": 160}),
    "microcontroller": Preset("56,124 parameters", {"model.n_channels": 48, "model.n_local": 0}),
    "esphome": Preset(
        "55,634 parameters, a trigger on the features of ESPHome's devices",
        {**_ESPHOME_FEATURES, "model.n_channels": 48},
        task="trigger",
    ),
    "many_recordings": Preset(
        "1,748 parameters, for a thousand recordings and more: statistics, its last layer fitted in closed form",
        {
            "model.texture": True,
            "training.steps": (1,),
            "recordings.fit_windows": 8000,
            "augment.background_frequency": 0.5,
            "augment.snr_db": (12.0, 45.0),
            "augment.speed": 0.15,
            "augment.room_frequency": 0.25,
        },
        task="recordings",
    ),
}

#: What `new` trains, by name, as settings over its recipe: the network of the body in the package, from whose weights training
#: starts; or a small one on the features of ESPHome's devices, from random weights.
WAKE_WORD_PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "microcontroller": {**PRESETS["microcontroller"].settings, **_ESPHOME_FEATURES},
}


def is_for_esphome(config: RunConfig) -> bool:
    """Whether a run was trained with the task and the front end of the preset ``esphome``, which its devices need."""
    preset = PRESETS["esphome"]
    settings = {name.removeprefix("features."): value for name, value in preset.settings.items() if name.startswith("features.")}
    return config.task == preset.task and all(getattr(config.features, name) == value for name, value in settings.items())


#: RecognizeCommands of TensorFlow's speech_commands example.
CLASSIC_DECODER = DecoderConfig(kind="classic", average_ms=1000, threshold=0.2)
#: The same with the stricter settings of that example's streaming test, one row per 30 ms.
CLASSIC_TEST_DECODER = DecoderConfig(kind="classic", average_ms=500, threshold=0.7, suppression_ms=1500, stride_ms=30)
#: Its variant for microcontrollers, with the settings from there: a repeated word is detected again.
MICRO_DECODER = DecoderConfig(kind="micro", average_ms=1000, threshold=200 / 255, suppression_ms=1500)
#: ESPHome's `micro_wake_word`: the mean of five scores, one every 30 ms; a word is not detected again for a second.
ESPHOME_DECODER = DecoderConfig(kind="esphome", average_ms=120, threshold=0.5, refractory_ms=1000)
#: ESPHome takes a model with this wake word for its voice activity detector.
ESPHOME_RESERVED = "vad"
#: For a network that gives a posterior at every step.
TRIGGER_DECODER = DecoderConfig(**TASKS["trigger"].decoder)


#: How long after a word's end a detection still counts as a hit.
TIME_TOLERANCE_MS = 750.0

#: False accepts per hour that a comparison allows unless the user says otherwise.
FALSE_ACCEPTS_PER_HOUR = 0.5
