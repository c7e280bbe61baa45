"""Every setting of a run, frozen and checked when created. Each default and each bound exists here and nowhere else.

The sections are made of `sections.setting`; `overrides.py` replaces settings by name and converts them to and from JSON;
`presets.py` has front ends and decoders by name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from wordspot.errors import ConfigError
from wordspot.feature_config import FRONT_ENDS as FRONT_ENDS
from wordspot.feature_config import MAX_SAMPLE_RATE as MAX_SAMPLE_RATE
from wordspot.feature_config import FeatureConfig as FeatureConfig
from wordspot.formats import shown
from wordspot.scene_config import ScenesConfig as ScenesConfig
from wordspot.sections import MANY, Section, check_range, setting
from wordspot.tasks import TASKS

SETS = ("training", "validation", "testing")
SCENES = ("soundscape", "classic")
OPTIMIZERS = ("sgd", "momentum", "nesterov", "adamw", "muon")
DECODERS = ("peak", "classic", "micro")  # of exported files
DEVICE_DECODER = "esphome"  # of ESPHome's manifests
ALL_DECODERS = (*DECODERS, DEVICE_DECODER)
LOSSES = ("cross_entropy", "squared_error")
MAX_STEPS = 100_000_000
_MAX_MS = 1_000_000
_NOT_IN_WORDS = frozenset("/\\\n\r\t\0").union(map(chr, range(0xD800, 0xE000)))  # the latter: bytes that are no UTF-8


def _commas(values: tuple[Any, ...]) -> str:
    return ",".join(shown(value) for value in values[:20]) + (",..." if len(values) > 20 else "")


@dataclass(frozen=True)
class DataConfig(Section):
    """Which recordings are used, and which set each one belongs to. Percentages as in the classic tutorial."""

    silence_percent: float = setting(10.0, "silence clips, as a percentage of the keyword clips", 0, 1000)
    unknown_percent: float = setting(10.0, "unknown-word clips, as a percentage of the keyword clips", 0, 1000)
    unknown_pool: str = setting(
        "all",
        "training draws unknown words from 'all' of them, or only from the 'first' N (classic)",
        choices=("all", "first"),
    )
    unknown_weight: float = setting(1.0, "sampling weight of unknown words in training, times unknown_percent", 0, 100)
    balance: float = setting(0.0, "0: sample words as often as they were recorded; 1: each word equally often", 0, 1)
    validation_percent: float = setting(10.0, "percentage of the recordings held out for validation", 0, 100)
    testing_percent: float = setting(10.0, "percentage of the recordings held out for testing", 0, 100)
    split: str = setting(
        "hash",
        "'hash' of the file name, or 'lists': validation_list.txt and testing_list.txt",
        choices=("hash", "lists"),
    )
    noise_split: str = setting(
        "held-out", "'held-out' noise for each set, or 'shared' by all sets (classic)", choices=("held-out", "shared")
    )
    seed: int = setting(59185, "random seed of the choice of unknown words and of silence clips", 0, 2**63 - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.validation_percent + self.testing_percent > 100:
            raise ConfigError(
                "validation_percent and testing_percent together must be at most 100, got "
                f"{self.validation_percent:g} + {self.testing_percent:g}; lower one of them"
            )


@dataclass(frozen=True)
class AugmentConfig(Section):
    """Random changes of training clips. Validation and testing clips are never changed."""

    time_shift_ms: float = setting(100.0, "largest time shift, in either direction", 0, _MAX_MS)
    background_volume: float = setting(0.1, "largest volume of the background noise mixed in (1: as recorded)", 0, 1)
    background_frequency: float = setting(0.8, "fraction of the clips with background noise", 0, 1)
    snr_db: tuple[float, ...] = setting(
        (), "LOW,HIGH: mix noise at a random signal-to-noise ratio instead of a volume", -60, 120, pair=True
    )
    scene_share: float = setting(0.0, "fraction of the clips cut from a scene, with the word at a random offset", 0, 1)
    reversed_share: float = setting(0.0, "fraction of the words played backward, as unknown words", 0, 1)
    made_noise: float = setting(
        0.0, "fraction of the noise that is synthetic: babble mixed from training clips, and generated sounds", 0, 0.9
    )
    gain_db: float = setting(0.0, "largest random gain, up or down", 0, 60)
    speed: float = setting(0.0, "largest random change of speed, pitch included (0.1: ten percent)", 0, 0.5)
    room_frequency: float = setting(0.0, "fraction of the clips with reverberation", 0, 1)
    room_ms: float = setting(300.0, "longest reverberation time (RT60)", 1, 5000)
    equaliser_db: float = setting(0.0, "largest gain of a random smooth equaliser, up or down", 0, 40)
    band_frequency: float = setting(0.0, "fraction of the clips that lose their lowest and highest frequencies", 0, 1)
    colour_db: float = setting(0.0, "largest deviation of a random smooth curve over frequency, applied to the features", 0, 40)
    warp: float = setting(
        0.0, "largest stretch of the frequencies of the features, another length of the vocal tract (0.1: ten percent)", 0, 0.5
    )
    codec_frequency: float = setting(0.0, "fraction of the clips that pass through an 8-bit telephone codec", 0, 1)
    time_masks: int = setting(0, "time masks in the features (SpecAugment)", 0, 10_000)
    time_mask_frames: int = setting(20, "longest time mask", 0, 10_000)
    frequency_masks: int = setting(0, "frequency masks in the features (SpecAugment)", 0, 10_000)
    frequency_mask_bands: int = setting(6, "widest frequency mask", 0, 10_000)


@dataclass(frozen=True)
class TriggerConfig(Section):
    """How the task `trigger` makes its scenes and their targets. A scene is as long as a clip of `features`."""

    positives: tuple[str, ...] = setting(("positives",), "folders of recordings of the word, below the data folder")
    negatives: tuple[str, ...] = setting(("negatives",), "folders of recordings of other words")
    backgrounds: tuple[str, ...] = setting(("backgrounds",), "folders of recordings of background noise")
    scenes: str = setting("soundscape", "'soundscape', or 'classic': the scenes of the course", choices=SCENES)
    label_ms: float = setting(250.0, "the target is 1 for this long after the end of the word", 1, 60_000)
    label_steps: int = setting(0, "if above 0: the target's length in steps of the network instead (classic: 50)", 0, MANY)
    snr_db: tuple[float, ...] = setting((0.0, 30.0), "LOW,HIGH: level of a word over its background", -60, 120, pair=True)
    gap_s: tuple[float, ...] = setting(
        (0.3, 4.0), "LOW,HIGH: seconds from the end of a word to the start of the next", 0.01, 3600, pair=True
    )
    negative_share: float = setting(0.6, "fraction of a scene's words that are negatives", 0, 1)
    fragments: float = setting(0.2, "fraction of the negatives that are truncated positives", 0, 1)
    near_misses: float = setting(0.3, "fraction of the other negatives chosen for a spelling close to the word's", 0, 1)
    babble: float = setting(0.3, "fraction of the time with voices in the background", 0, 1)
    rooms: float = setting(0.4, "fraction of the words, and of the babble, with reverberation", 0, 1)
    speed: float = setting(0.1, "largest random change of a word's speed", 0, 0.5)
    validation_minutes: float = setting(10.0, "minutes of scenes in the validation set", 0, 6000)
    testing_minutes: float = setting(20.0, "minutes of scenes in the testing set", 0, 6000)
    workers: int = setting(1, "processes that make scenes during training; 0: none", 0, 64)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.positives:
            raise ConfigError("positives must name a folder of recordings of the word, got none")


RECORDINGS_CLIP_MS = 2000.0
"""Length of a window of the networks that learn from windows of recordings."""


@dataclass(frozen=True)
class RecordingsConfig(Section):
    """How the task `recordings` cuts recordings into windows and splits them into sets. A window is a clip of `features`."""

    whole: bool = setting(False, "the network sees an entire recording as one window, cut or padded with zeros")
    stride_ms: float = setting(500.0, "from one window to the next when a recording is judged", 1, _MAX_MS)
    hold_out: tuple[str, ...] = setting((), "generators that occur only in testing")
    n_folds: int = setting(0, "0: a hash decides each speaker's set; 3 or more: speakers are split into so many folds", 0, 1000)
    fold: int = setting(0, "which fold is for testing; the next one is for validation", 0, 999)
    longest_s: float = setting(120.0, "seconds of each recording that training uses", 0.1, 36_000)
    backgrounds: tuple[str, ...] = setting(
        (), "folders of recorded sounds, relative to the manifest, mixed in while training; none: synthetic noise alone"
    )
    fit_windows: int = setting(
        0,
        "after the last step, fit the last layer of statistics by ridge regression on so many windows; 0: keep that of the steps",
        0,
    )
    ridge: float = setting(0.1, "penalty of that fit on the squared weights", 1e-6, 1e6)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(name.strip() for name in self.backgrounds):
            raise ConfigError(f"recordings.backgrounds must name folders, got {shown(self.backgrounds)}")
        if self.n_folds in (1, 2):
            raise ConfigError(f"n_folds must be 0, or at least 3 (training, validation and testing), got {self.n_folds}")
        check_range("fold", self.fold, 0, max(self.n_folds - 1, 0))


@dataclass(frozen=True)
class ModelConfig(Section):
    """Which network, and the options of its constructor beyond the sizes that follow from the data."""

    name: str = setting(TASKS["words"].default_model, "a built-in model, or my_package:make for your own")
    options: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "arguments of the model's constructor, such as rank; any JSON values"}
    )

    def __post_init__(self) -> None:
        try:
            plain = json.loads(json.dumps(self.options, allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(f"model.options must hold finite JSON values, got {shown(self.options)}") from error
        object.__setattr__(self, "options", plain)  # as JSON gives it back: a tuple becomes a list
        if not self.name.strip():
            raise ConfigError("model.name must not be empty; name a network, such as residual_1d")


@dataclass(frozen=True)
class TrainingConfig(Section):
    """The training loop. `steps` and `learning_rates` are lists of equal length, one entry a phase."""

    steps: tuple[int, ...] = setting((15_000, 3_000), "training steps of each phase", 1, MAX_STEPS)
    learning_rates: tuple[float, ...] = setting((0.001, 0.0001), "learning rate of each phase", 0, MANY)
    schedule: str = setting(
        "constant",
        "'constant' within each phase, or 'cosine': warm up, then decay to zero",
        choices=("constant", "cosine"),
    )
    warmup_steps: int = setting(0, "warm-up steps of a cosine schedule, at most a tenth of all", 0, MAX_STEPS)
    batch_size: int = setting(100, "clips per step", 1, 100_000)
    optimizer: str = setting("sgd", f"one of {', '.join(OPTIMIZERS)}", choices=OPTIMIZERS)
    weight_decay: float = setting(0.0, "weight decay", 0, 10)
    loss: str = setting("cross_entropy", "'cross_entropy', or 'squared_error' of the posteriors", choices=LOSSES)
    average: float = setting(
        0.0,
        "a moving average of the weights keeps this much of itself at each step, and is what the run gives; 0: none",
        0,
        0.99999,
    )
    label_smoothing: float = setting(0.0, "label smoothing", 0, 0.99)
    silence_bias: float = setting(
        0.0, "logit adjustment of silence in training (Menon et al. 2021), against its over-representation", -20, 20
    )
    evaluate_every: int = setting(400, "steps between evaluations on the validation set", 1, MAX_STEPS)
    found_every: int = setting(
        0, "with scenes: steps between counts of held-out clips in which the words are detected; 0: never", 0, MAX_STEPS
    )
    save_every: int = setting(100, "steps between checkpoints", 1, MAX_STEPS)
    keep_checkpoints: int = setting(3, "newest checkpoints kept, besides the best one", 1, MAX_STEPS)
    precision: str = setting(
        "float32", "'float32', 'bf16', or 'auto': bf16 if the device supports it", choices=("float32", "bf16", "auto")
    )
    body_rate: float = setting(
        1.0, "learning rate of all layers but the last, as a part of the rate; lower if what it starts from knows more", 0, 1
    )
    frozen_body: bool = setting(False, "train only the last layer; for a start from another model with few recordings")
    guidance: float = setting(
        0.0, "weight of a teacher's targets, if the folder of recordings has some, as those of `wordspot new` do", 0, 100
    )
    check_nans: bool = setting(False, "stop at the first NaN or infinity and name the layer it came from")
    seed: int = setting(0, "random seed of weights, clip order and augmentation", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        if not self.steps or len(self.steps) != len(self.learning_rates):
            raise ConfigError(
                "steps and learning_rates must be lists of the same length, got "
                f"{len(self.steps)} ({_commas(self.steps)}) and {len(self.learning_rates)} ({_commas(self.learning_rates)}); "
                "set both, with a learning rate for each number of steps, such as `steps` 300 and `learning_rates` 0.001"
            )
        super().__post_init__()

    @property
    def total_steps(self) -> int:
        return sum(self.steps)


@dataclass(frozen=True)
class DecoderConfig(Section):
    """From scores to detections. Part of an exported file's card, not of a run's configuration."""

    kind: str = setting("peak", f"the algorithm, one of {', '.join(ALL_DECODERS)}", choices=ALL_DECODERS)
    average_ms: float = setting(150.0, "a score is the mean of the posteriors over this time", 0, _MAX_MS)
    threshold: float = setting(0.6, "a detection needs a score above this, unless the word has its own threshold", 0, 1)
    thresholds: dict[str, float] = field(default_factory=dict, metadata={"help": "thresholds of single words"})
    suppression_ms: float = setting(500.0, "classic, micro: no new label so soon after the previous one", 0, _MAX_MS)
    minimum_count: int = setting(3, "classic, micro: posteriors that a mean needs", 1, MANY)
    refractory_ms: float = setting(
        750.0, "peak: no repeat of a word within this time, of other words within half; esphome: no repeat", 0, _MAX_MS
    )
    confirm_ms: float = setting(100.0, "peak: report a peak once nothing has exceeded it for this long", 0, _MAX_MS)
    stride_ms: float = setting(0.0, "use one posterior per so many milliseconds; 0: all", 0, _MAX_MS)

    def __post_init__(self) -> None:
        super().__post_init__()
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


@dataclass(frozen=True)
class RunConfig(Section):
    """The whole configuration of a run. It is stored in the run's folder and in every checkpoint."""

    words: tuple[str, ...] = field(metadata={"help": "the words to tell apart, each a folder of recordings"})
    task: str = setting(
        "words",
        "; ".join(f"'{task.name}': {task.help}" for task in TASKS.values()),
        choices=tuple(TASKS),
    )
    data: DataConfig = field(default_factory=DataConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    scenes: ScenesConfig = field(default_factory=ScenesConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    trigger: TriggerConfig = field(default_factory=TriggerConfig)
    recordings: RecordingsConfig = field(default_factory=RecordingsConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        TASKS[self.task].check_words(self.words)
        for word in self.words:
            if word != word.strip() or not word or word[0] in "._" or not _NOT_IN_WORDS.isdisjoint(word):
                raise ConfigError(
                    "a word must be UTF-8, not be empty, not start with '_' or '.' and hold no slashes, "
                    f"got {shown(word)}; a word is a folder's name"
                )
        self._check_scenes()
        repeated = sorted({word for word in self.words if self.words.count(word) > 1})
        if repeated:
            raise ConfigError(f"each word must be named once, got {', '.join(repeated)} more than once")

    def _check_scenes(self) -> None:
        length_ms = 1000 * self.scenes.length_s
        if not length_ms or self.task != "words":
            return
        if length_ms < self.features.clip_ms:
            raise ConfigError(
                f"scenes.length_s is {self.scenes.length_s:g}, shorter than a clip of {self.features.clip_ms:g} ms; raise it, or "
                "set it to 0 to train on single clips"
            )
        if not self.augment.snr_db:
            raise ConfigError("scenes.length_s needs augment.snr_db, the level of words over noise; set it, to -3,30 for example")
        if self.training.loss != "cross_entropy":
            raise ConfigError(f"scenes.length_s needs training.loss cross_entropy, got {self.training.loss}")
