"""Every setting of a run: frozen, checked when made. A default exists here and nowhere else.

`overrides.py` replaces settings by their names, and takes them to and from JSON.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import Any

from wordspot.errors import ConfigError
from wordspot.tasks import TASKS

SETS = ("training", "validation", "testing")
FRONT_ENDS = ("logmel", "mfcc", "average", "micro", "spectrogram", "psf_mfcc", "specgram", "samples")
SCENES = ("soundscape", "classic")
OPTIMIZERS = ("sgd", "momentum", "nesterov", "adamw")
DECODERS = ("peak", "classic", "micro")
LOSSES = ("cross_entropy", "squared_error")
MAX_SAMPLE_RATE = 192_000
MAX_CLIP_SAMPLES = 10_000_000
MAX_STEPS = 100_000_000
_NOT_IN_WORDS = frozenset("/\\\n\r\t\0").union(map(chr, range(0xD800, 0xE000)))  # the latter: bytes that are no UTF-8


def _field(default: Any, help: str) -> Any:  # noqa: A002 - the same word as argparse's
    return field(default=default, metadata={"help": help})


def _check_range(section: Any, name: str, low: float, high: float) -> None:
    value = getattr(section, name)
    if not low <= value <= high:
        raise ConfigError(f"{name} must lie between {low:g} and {high:g}, got {shown(value)}")


def _check_choice(section: Any, name: str, choices: tuple[str, ...]) -> None:
    value = getattr(section, name)
    if value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}, got {shown(value)}")


def shown(value: Any) -> str:
    """`value` as an error message shows it: short, whatever it is."""
    try:
        text = f"{value:g}" if isinstance(value, float) else repr(value)
    except (ValueError, RecursionError):  # Python prints no whole number of more than 4300 digits
        return "a value too large to show"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _commas(values: tuple[Any, ...]) -> str:
    return ",".join(shown(value) for value in values[:20]) + (",..." if len(values) > 20 else "")


@dataclass(frozen=True)
class DataConfig:
    """Which recordings are used, and in which set each is. Percentages as in the classic tutorial."""

    silence_percent: float = _field(10.0, "silence clips, as a percentage of the keyword clips")
    unknown_percent: float = _field(10.0, "unknown-word clips, as a percentage of the keyword clips")
    unknown_pool: str = _field(
        "all", "training draws unknown words from 'all' of them, or only the 'first' N (classic)"
    )
    unknown_weight: float = _field(1.0, "training draws unknown words so many times as often as unknown_percent says")
    balance: float = _field(0.0, "0: draw words as often as they were recorded; 1: each word equally often")
    validation_percent: float = _field(10.0, "part of the recordings held out for validation")
    testing_percent: float = _field(10.0, "part of the recordings held out for testing")
    split: str = _field("hash", "'hash' of the file name, or 'lists': validation_list.txt and testing_list.txt")
    noise_split: str = _field("held-out", "'held-out' noise for each set, or 'shared' between the sets (classic)")
    seed: int = _field(59185, "seed of the choice of unknown words and of the silence clips")

    def __post_init__(self) -> None:
        for name in ("silence_percent", "unknown_percent"):
            _check_range(self, name, 0, 1000)
        for name in ("validation_percent", "testing_percent"):
            _check_range(self, name, 0, 100)
        _check_range(self, "unknown_weight", 0, 100)
        _check_range(self, "balance", 0, 1)
        _check_range(self, "seed", 0, 2**63 - 1)
        if self.validation_percent + self.testing_percent > 100:
            raise ConfigError(
                "validation_percent and testing_percent together must be at most 100, got "
                f"{self.validation_percent:g} + {self.testing_percent:g}; lower one of them"
            )
        _check_choice(self, "split", ("hash", "lists"))
        _check_choice(self, "noise_split", ("held-out", "shared"))
        _check_choice(self, "unknown_pool", ("all", "first"))


@dataclass(frozen=True)
class FeatureConfig:
    """The front end: from samples to a [frames, coefficients] picture of the clip."""

    kind: str = _field("logmel", f"front end, one of {', '.join(FRONT_ENDS)}")
    sample_rate: int = _field(16_000, "Hz; recordings at other rates are resampled to it")
    clip_ms: float = _field(1000.0, "length of a clip")
    window_ms: float = _field(30.0, "length of an analysis window")
    hop_ms: float = _field(10.0, "from one window's start to the next one's")
    n_mels: int = _field(40, "mel channels")
    n_coefficients: int = _field(40, "cepstral coefficients kept (mfcc, psf_mfcc)")
    low_hz: float = _field(60.0, "lower edge of the mel channels")
    high_hz: float = _field(7600.0, "upper edge of the mel channels")
    fft_size: int = _field(0, "length of the Fourier transform; 0: the next power of two above the window")

    def __post_init__(self) -> None:
        _check_choice(self, "kind", FRONT_ENDS)
        _check_range(self, "sample_rate", 1000, MAX_SAMPLE_RATE)
        for name in ("clip_ms", "window_ms", "hop_ms"):
            _check_range(self, name, 0.1, 1e7)
        if self.clip_samples > MAX_CLIP_SAMPLES:
            raise ConfigError(
                f"a clip must be at most {MAX_CLIP_SAMPLES} samples, got {self.clip_samples}; lower clip_ms"
            )
        if self.hop_samples < 1:
            raise ConfigError(f"hop_ms must be at least one sample long, got {self.hop_ms:g} ms; raise it")
        if not 2 <= self.window_samples <= self.clip_samples:
            name = "hop_ms" if self.kind == "samples" else "window_ms"
            raise ConfigError(
                f"{name} must lie between two samples and the clip's {self.clip_ms:g} ms, got {getattr(self, name):g}"
            )
        _check_range(self, "n_mels", 1, 512)
        _check_range(self, "n_coefficients", 1, self.n_mels if self.kind in ("mfcc", "psf_mfcc") else 512)
        _check_range(self, "fft_size", 0, 2**20)
        has_spectrum = self.kind != "samples"
        if has_spectrum and self.fft_size and (self.fft_size < self.window_samples or self.fft_size % 2):
            raise ConfigError(
                f"fft_size must be 0, or even and at least the window's {self.window_samples} samples, got {self.fft_size}"
            )
        if has_spectrum and not 0 <= self.low_hz < self.high_hz <= self.sample_rate / 2:
            raise ConfigError(
                f"low_hz < high_hz <= half the sample rate ({self.sample_rate / 2:g}) expected, "
                f"got {self.low_hz:g} and {self.high_hz:g}"
            )
        if self.kind == "micro" and self.sample_rate * self.window_ms / 1000 > 4096:
            raise ConfigError("the micro front end takes windows of at most 4096 samples; lower window_ms")

    @property
    def clip_samples(self) -> int:
        return int(self.sample_rate * self.clip_ms / 1000)

    @property
    def window_samples(self) -> int:
        """A window's; `samples` has none of its own: it cuts the sound into hops."""
        return self.hop_samples if self.kind == "samples" else self._in_samples(self.window_ms)

    @property
    def hop_samples(self) -> int:
        return self._in_samples(self.hop_ms)

    @property
    def n_fft(self) -> int:
        """`fft_size`, or the next power of two that holds the window."""
        return self.fft_size or 1 << (self.window_samples - 1).bit_length()

    @property
    def n_bins(self) -> int:
        """Bins of the spectrum, from 0 Hz to half the sample rate."""
        return self.n_fft // 2 + 1

    @property
    def n_frames(self) -> int:
        """Frames of a clip. Only `psf_mfcc` pads the end to a whole window, as its definition says."""
        beyond = self.clip_samples - self.window_samples
        return 1 + (-(-beyond // self.hop_samples) if self.kind == "psf_mfcc" else beyond // self.hop_samples)

    @property
    def n_features(self) -> int:
        """Values of a frame."""
        if self.kind in ("mfcc", "psf_mfcc"):
            return self.n_coefficients
        if self.kind in ("spectrogram", "specgram"):
            return self.n_bins
        if self.kind == "average":
            return -(-self.n_bins // self.average_width)
        if self.kind == "samples":
            return self.hop_samples
        return self.n_mels

    @property
    def average_width(self) -> int:
        """Bins that `average` takes together."""
        return max(self.n_bins // self.n_mels, 1)

    def _in_samples(self, milliseconds: float) -> int:
        """Down to a whole sample, as TensorFlow does; python_speech_features rounds, halves upward."""
        return int(self.sample_rate * milliseconds / 1000 + (0.5 if self.kind == "psf_mfcc" else 0))


#: Front ends by name, with the settings each of them is known for.
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
class AugmentConfig:
    """What chance does to a training clip. Validation and testing clips are never changed."""

    time_shift_ms: float = _field(100.0, "clips move by up to this much, either way")
    background_volume: float = _field(0.1, "loudest background noise mixed in, 1: as recorded")
    background_frequency: float = _field(0.8, "part of the clips with background noise")
    snr_db: tuple[float, ...] = _field((), "LOW,HIGH: mix noise at such a signal-to-noise ratio instead of at a volume")
    scene_share: float = _field(0.0, "part of the clips that are windows cut from a scene, the word at any offset")
    reversed_share: float = _field(0.0, "part of the words that are played backward, as unknown words")
    made_noise: float = _field(0.0, "part of training's noise that is made: babble of its clips, and drawn sounds")
    gain_db: float = _field(0.0, "clips are made louder or softer by up to this much")
    speed: float = _field(0.0, "clips play up to this part faster or slower (0.1: ten percent)")
    room_frequency: float = _field(0.0, "part of the clips that sound as in a room")
    room_ms: float = _field(300.0, "longest reverberation time (RT60) of such rooms")
    equaliser_db: float = _field(0.0, "clips are coloured by a smooth filter of up to this much, either way")
    band_frequency: float = _field(0.0, "part of the clips that lose their highest and lowest frequencies")
    codec_frequency: float = _field(0.0, "part of the clips that went through a telephone's 8 bits")
    time_masks: int = _field(0, "stretches of time blanked in the features")
    time_mask_frames: int = _field(20, "longest such stretch")
    frequency_masks: int = _field(0, "bands of coefficients blanked in the features")
    frequency_mask_bands: int = _field(6, "widest such band")

    def __post_init__(self) -> None:
        _check_range(self, "time_shift_ms", 0, 1e6)
        _check_range(self, "background_volume", 0, 1)
        _check_range(self, "background_frequency", 0, 1)
        _check_range(self, "scene_share", 0, 1)
        _check_range(self, "reversed_share", 0, 1)
        _check_range(self, "made_noise", 0, 0.9)
        _check_range(self, "gain_db", 0, 60)
        _check_range(self, "speed", 0, 0.5)
        _check_range(self, "room_frequency", 0, 1)
        _check_range(self, "room_ms", 1, 5000)
        _check_range(self, "equaliser_db", 0, 40)
        _check_range(self, "band_frequency", 0, 1)
        _check_range(self, "codec_frequency", 0, 1)
        for name in ("time_masks", "time_mask_frames", "frequency_masks", "frequency_mask_bands"):
            _check_range(self, name, 0, 10_000)
        if self.snr_db and (len(self.snr_db) != 2 or not -60 <= self.snr_db[0] <= self.snr_db[1] <= 120):
            raise ConfigError(f"snr_db must be LOW,HIGH with -60 <= LOW <= HIGH <= 120, got {self.snr_db}")


@dataclass(frozen=True)
class TriggerConfig:
    """What the task `trigger` makes its scenes of, and what the answer to them is. A scene is as long as a clip of `features`."""

    positives: tuple[str, ...] = _field(("positives",), "folders of recordings of the word, below the data folder")
    negatives: tuple[str, ...] = _field(("negatives",), "folders of recordings of other words")
    backgrounds: tuple[str, ...] = _field(("backgrounds",), "folders of recordings of rooms, streets and other noise")
    scenes: str = _field("soundscape", "'soundscape', or 'classic': the course's scenes")
    label_ms: float = _field(250.0, "the answer is yes for so long after the end of the word")
    label_steps: int = _field(0, "where above 0: for so many of the network's steps instead (classic: 50)")
    snr_db: tuple[float, ...] = _field((0.0, 30.0), "LOW,HIGH: a word's level over its background's")
    gap_s: tuple[float, ...] = _field((0.3, 4.0), "LOW,HIGH: from a word's end to the next one's start")
    negative_share: float = _field(0.6, "part of a scene's words that are negatives")
    fragments: float = _field(0.2, "part of the negatives that are parts of positives without the whole word")
    near_misses: float = _field(0.3, "part of the other negatives chosen for being spelled nearly like the word")
    babble: float = _field(0.3, "part of the time in which voices speak in the background")
    rooms: float = _field(0.4, "part of the words, and of the babble, that sound as in a room")
    speed: float = _field(0.1, "each word is played up to this part faster or slower")
    validation_minutes: float = _field(10.0, "minutes of scenes of the validation set")
    testing_minutes: float = _field(20.0, "minutes of scenes of the testing set")
    workers: int = _field(1, "processes that make scenes beside training; 0: none")

    def __post_init__(self) -> None:
        _check_choice(self, "scenes", SCENES)
        if not self.positives:
            raise ConfigError("positives must name a folder of recordings of the word, got none")
        for name, low, high in (("snr_db", -60, 120), ("gap_s", 0.01, 3600)):
            pair = getattr(self, name)
            if len(pair) != 2 or not low <= pair[0] <= pair[1] <= high:
                raise ConfigError(f"{name} must be LOW,HIGH with {low:g} <= LOW <= HIGH <= {high:g}, got {shown(pair)}")
        for name in ("negative_share", "fragments", "near_misses", "babble", "rooms"):
            _check_range(self, name, 0, 1)
        _check_range(self, "label_ms", 1, 60_000)
        _check_range(self, "label_steps", 0, 1_000_000)
        _check_range(self, "speed", 0, 0.5)
        for name in ("validation_minutes", "testing_minutes"):
            _check_range(self, name, 0, 6000)
        _check_range(self, "workers", 0, 64)


RECORDINGS_CLIP_MS = 2000.0
"""A window of the networks that learn from windows of recordings."""


@dataclass(frozen=True)
class RecordingsConfig:
    """How the task `recordings` cuts recordings into windows, and which of them are held out. A window is a clip of `features`."""

    whole: bool = _field(False, "the network takes a recording as one window, cut or followed by zeros")
    stride_ms: float = _field(500.0, "from one window to the next when a recording is judged")
    hold_out: tuple[str, ...] = _field((), "generators that stand in testing only")
    n_folds: int = _field(0, "above 0: speakers are dealt into so many parts; 0: their sets follow from a hash")
    fold: int = _field(0, "which of the parts is for testing; the next one is for validation")
    longest_s: float = _field(120.0, "seconds of each recording that training takes")
    backgrounds: tuple[str, ...] = _field(
        (), "folders of recorded sounds, beside the list, that training mixes in; none: made noise alone"
    )

    def __post_init__(self) -> None:
        _check_range(self, "stride_ms", 1, 1e6)
        _check_range(self, "longest_s", 0.1, 36_000)
        if not all(name.strip() for name in self.backgrounds):
            raise ConfigError(f"recordings.backgrounds must name folders, got {shown(self.backgrounds)}")
        _check_range(self, "n_folds", 0, 1000)
        if self.n_folds in (1, 2):
            raise ConfigError(
                f"n_folds must be 0, or at least 3 (training, validation and testing), got {self.n_folds}"
            )
        _check_range(self, "fold", 0, max(self.n_folds - 1, 0))


@dataclass(frozen=True)
class ModelConfig:
    """Which network, and the options its constructor takes beyond the sizes that follow from the data."""

    name: str = _field(TASKS["words"].default_model, "a built-in model, or my_package:make for your own")
    options: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "arguments of the model's constructor, such as rank; any JSON values"}
    )

    def __post_init__(self) -> None:
        try:
            plain = json.loads(json.dumps(self.options, allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(f"model.options must hold finite JSON values, got {shown(self.options)}") from error
        object.__setattr__(self, "options", plain)  # as a run's folder gives it back: a tuple is a list there
        if not self.name.strip():
            raise ConfigError("model.name must not be empty; see `wordspot train --help` for the models")


@dataclass(frozen=True)
class TrainingConfig:
    """The training loop. `steps` and `learning_rates` are lists of equal length, one entry a phase."""

    steps: tuple[int, ...] = _field((15_000, 3_000), "training steps of each phase")
    learning_rates: tuple[float, ...] = _field((0.001, 0.0001), "learning rate of each phase")
    schedule: str = _field("constant", "'constant' within each phase, or 'cosine': warm up, then fall to zero")
    warmup_steps: int = _field(0, "steps over which a cosine schedule warms up; at most a tenth of all")
    batch_size: int = _field(100, "clips a step")
    optimizer: str = _field("sgd", f"one of {', '.join(OPTIMIZERS)}")
    weight_decay: float = _field(0.0, "weight decay")
    loss: str = _field("cross_entropy", "'cross_entropy', or 'squared_error' between posteriors and truth")
    label_smoothing: float = _field(0.0, "part of each label's weight spread over all labels")
    silence_bias: float = _field(
        0.0, "added to the logit of silence in training only: what training has more of it than use is not learned"
    )
    evaluate_every: int = _field(400, "steps between evaluations on the validation set")
    save_every: int = _field(100, "steps between checkpoints")
    keep_checkpoints: int = _field(3, "newest checkpoints kept, beside the best one")
    precision: str = _field("float32", "'float32', 'bf16', or 'auto': bf16 where the processor has it")
    frozen_body: bool = _field(False, "only the last layer learns; for --init with few recordings")
    check_nans: bool = _field(False, "stop at the first NaN or infinity and name the layer it came from")
    seed: int = _field(0, "seed of the weights, the order of the clips, and all other chance")

    def __post_init__(self) -> None:
        if not self.steps or len(self.steps) != len(self.learning_rates):
            raise ConfigError(
                "steps and learning_rates must be lists of the same length, got "
                f"{len(self.steps)} ({_commas(self.steps)}) and {len(self.learning_rates)} ({_commas(self.learning_rates)})"
            )
        for step in self.steps:
            if not 1 <= step <= MAX_STEPS:
                raise ConfigError(f"each of steps must be a whole number from 1 to {MAX_STEPS}, got {shown(step)}")
        for rate in self.learning_rates:
            if not (math.isfinite(rate) and rate >= 0):
                raise ConfigError(f"each of learning_rates must be a number of at least 0, got {rate}")
        _check_choice(self, "schedule", ("constant", "cosine"))
        _check_choice(self, "optimizer", OPTIMIZERS)
        _check_choice(self, "precision", ("float32", "bf16", "auto"))
        _check_choice(self, "loss", LOSSES)
        _check_range(self, "warmup_steps", 0, MAX_STEPS)
        _check_range(self, "batch_size", 1, 100_000)
        _check_range(self, "weight_decay", 0, 10)
        _check_range(self, "label_smoothing", 0, 0.99)
        _check_range(self, "silence_bias", -20, 20)
        for name in ("evaluate_every", "save_every", "keep_checkpoints"):
            _check_range(self, name, 1, MAX_STEPS)
        _check_range(self, "seed", 0, 2**31 - 1)

    @property
    def total_steps(self) -> int:
        return sum(self.steps)


@dataclass(frozen=True)
class DecoderConfig:
    """From scores to detections. Travels in an exported file's card; it is no part of a run's configuration."""

    kind: str = _field("peak", f"the rule, one of {', '.join(DECODERS)}")
    average_ms: float = _field(150.0, "a score is the mean of the posteriors of so much time")
    threshold: float = _field(0.6, "what a score must exceed, for words without a threshold of their own")
    thresholds: dict[str, float] = field(default_factory=dict, metadata={"help": "threshold of single words"})
    suppression_ms: float = _field(500.0, "classic, micro: no new label so soon after the one before")
    minimum_count: int = _field(3, "classic, micro: posteriors that a mean needs")
    refractory_ms: float = _field(750.0, "peak: a word is given once in so much time, other words in half of it")
    confirm_ms: float = _field(100.0, "peak: a peak is given out once it has not been exceeded for so long")
    stride_ms: float = _field(0.0, "0: every posterior counts; else one of each so many milliseconds")

    def __post_init__(self) -> None:
        _check_choice(self, "kind", DECODERS)
        for name in ("average_ms", "suppression_ms", "refractory_ms", "confirm_ms", "stride_ms"):
            _check_range(self, name, 0, 1e6)
        _check_range(self, "threshold", 0, 1)
        _check_range(self, "minimum_count", 1, 1_000_000)
        for word, threshold in self.thresholds.items():
            number = isinstance(threshold, (int, float)) and not isinstance(threshold, bool)
            if not isinstance(word, str) or not number or not 0 <= threshold <= 1:
                raise ConfigError(
                    f"each of thresholds must be a word and a number from 0 to 1, got {shown(word)}: {shown(threshold)}"
                )
        object.__setattr__(self, "thresholds", {word: float(value) for word, value in self.thresholds.items()})

    def threshold_of(self, label: str) -> float:
        """The threshold of a label: its own, or the one for all."""
        return self.thresholds.get(label, self.threshold)

    def with_threshold(self, threshold: float | None) -> DecoderConfig:
        """The same settings with one threshold for every word; None changes nothing.

        Raises:
            ConfigError: a threshold outside 0 to 1.
        """
        return self if threshold is None else replace(self, threshold=threshold, thresholds={})


#: RecognizeCommands as in TensorFlow's speech_commands example.
CLASSIC_DECODER = DecoderConfig(kind="classic", average_ms=1000, threshold=0.2)
#: The same as the example's test on streams sets it: stricter, a row each 30 ms.
CLASSIC_TEST_DECODER = DecoderConfig(kind="classic", average_ms=500, threshold=0.7, suppression_ms=1500, stride_ms=30)
#: Its variant for microcontrollers, with the settings it has there: a repeated word is heard again.
MICRO_DECODER = DecoderConfig(kind="micro", average_ms=1000, threshold=200 / 255, suppression_ms=1500)
#: For a network that gives a posterior at every step.
TRIGGER_DECODER = DecoderConfig(**TASKS["trigger"].decoder)


@dataclass(frozen=True)
class RunConfig:
    """Everything a run is made of. Travels in the run's folder and inside every checkpoint."""

    words: tuple[str, ...] = field(metadata={"help": "the words to tell apart, each a folder of recordings"})
    task: str = _field(
        "words",
        "; ".join(f"'{task.name}': {task.help}" for task in TASKS.values()),
    )
    data: DataConfig = field(default_factory=DataConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    trigger: TriggerConfig = field(default_factory=TriggerConfig)
    recordings: RecordingsConfig = field(default_factory=RecordingsConfig)

    def __post_init__(self) -> None:
        _check_choice(self, "task", tuple(TASKS))
        TASKS[self.task].check_words(self.words)
        for word in self.words:
            if word != word.strip() or not word or word[0] in "._" or not _NOT_IN_WORDS.isdisjoint(word):
                raise ConfigError(
                    "a word must be UTF-8, not be empty, not start with '_' or '.' and hold no slashes, "
                    f"got {shown(word)}; a word is a folder's name"
                )
        repeated = sorted({word for word in self.words if self.words.count(word) > 1})
        if repeated:
            raise ConfigError(f"each word must be named once, got {', '.join(repeated)} more than once")
