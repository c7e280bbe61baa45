"""A synthetic `_background_noise_` folder: coloured noises, mains hum, and the babble of many voices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from wordspot.audio.files import write_audio
from wordspot.audio.noise import BROWN, PINK, WHITE, coloured_noise, from_db, mains_hum, to_unit
from wordspot.audio.resample import resample
from wordspot.audio.samples import Samples
from wordspot.audio.speech import trim
from wordspot.config import DataConfig, FeatureConfig
from wordspot.data.folders import NOISE_FOLDER
from wordspot.data.split import which_set
from wordspot.data.voices.clips import open_folder
from wordspot.data.voices.engine import Engine, Voice, draw_voices
from wordspot.errors import ConfigError
from wordspot.labels import normalize_word

_LEVEL_DB = -20.0
_PEAK = 0.95
_N_TALKERS = 8
_TALKER_DB = (-6.0, 6.0)
_PAUSE_S = (0.1, 0.8)

#: The spoken sentences. None contains a word of Google's Speech Commands.
SENTENCES = (
    "The kettle was boiling when my sister came home from the market.",
    "Please remember to water the tomatoes before the weekend.",
    "We took an early train and watched the fields roll past the window.",
    "Her grandfather used to repair old radios in the garden shed.",
    "There is plenty of bread in the kitchen, but hardly any butter.",
    "After the meeting everybody wanted coffee and a breath of fresh air.",
    "The children built a castle from wet sand and broken shells.",
    "My neighbour plays the trumpet whenever the weather turns cold.",
    "Nobody could explain why the lights in the hallway kept flickering.",
    "She wrote a long letter to the landlord about the leaking pipes.",
    "They sell fresh fish at the harbour until the middle of the morning.",
    "Our teacher showed us how volcanoes push islands out of the sea.",
    "The library closes early in summer because hardly anyone visits.",
    "He forgot his umbrella again and arrived completely soaked.",
    "Have you ever tasted the soup they make in that tiny restaurant?",
    "The mechanic says that the engine needs a different kind of oil.",
    "Most of the guests were dancing by the time the band took a break.",
    "I would rather walk along the river than sit in traffic.",
    "The doctor asked whether the medicine made any difference.",
    "Some of the oldest bridges in this town were made of timber.",
    "Could somebody close the curtains, because the sun is blinding me?",
    "The bakery around the corner smells wonderful every single morning.",
    "A thunderstorm rolled across the valley shortly after dinner.",
    "My cousin is learning to paint with watercolours and cheap brushes.",
)


def make_noise(
    out: Path,
    *,
    seed: int,
    seconds: float,
    engines: Mapping[str, Engine],
    sample_rate: int = FeatureConfig.sample_rate,
    avoid: Iterable[str] = (),
) -> list[Path]:
    """Write white, pink and brown noise, a mains hum and babble, `seconds` each, into ``out/_background_noise_``.

    Each has a root mean square of -20 dB of full scale. The babble is English sentences by eight voices at once; only
    voices whose own clips are for training speak in it, and no sentence with a word of `avoid` is spoken. Over 20 s
    long, each file gives every set a part of its own (`wordspot.data.split.split_noise`).

    Raises:
        ConfigError: `seconds` or `sample_rate` out of range.
    """
    check_seconds(seconds)
    for engine in engines.values():
        engine.reset()
    rng = np.random.default_rng([seed, int(seconds * 1000), sample_rate])
    n_samples = int(seconds * sample_rate)
    noises = {
        "white_noise": coloured_noise(rng, n_samples, WHITE, sample_rate),
        "pink_noise": coloured_noise(rng, n_samples, PINK, sample_rate),
        "brown_noise": coloured_noise(rng, n_samples, BROWN, sample_rate),
        "mains_hum": mains_hum(rng, n_samples, sample_rate),
        "babble": babble(rng, n_samples, sample_rate, engines, avoid),
    }
    with open_folder(out) as staging:
        for name, noise in noises.items():
            level = min(from_db(_LEVEL_DB), _PEAK / float(np.abs(noise).max()))
            write_audio(staging / NOISE_FOLDER / f"{name}.wav", noise * np.float32(level), sample_rate)
    return [out / NOISE_FOLDER / f"{name}.wav" for name in noises]


def check_seconds(seconds: float) -> None:
    """Raise `ConfigError` if noise cannot be this long."""
    if not 1 <= seconds <= 3600:
        raise ConfigError(f"the seconds of noise must lie between 1 and 3600, got {seconds:g}")


def babble(
    rng: np.random.Generator, n_samples: int, sample_rate: int, engines: Mapping[str, Engine], avoid: Iterable[str] = ()
) -> Samples:
    """Many voices talking at once: float32 [n_samples] with a root mean square of 1."""
    talkers = [voice for voice in draw_voices(engines.values(), "en", 200, rng) if _is_for_training(voice)]
    unwanted = {normalize_word(word) for word in avoid}
    sentences = [text for text in SENTENCES if not unwanted & set(split_sentence(text))] or list(SENTENCES)
    mix = np.zeros(n_samples, np.float32)
    for voice in talkers[:_N_TALKERS]:
        talk = _talk(rng, voice, engines[voice.engine], sentences, n_samples, sample_rate)
        mix += to_unit(talk) * np.float32(from_db(rng.uniform(*_TALKER_DB)))
    return to_unit(mix)


def split_sentence(sentence: str) -> list[str]:
    """The words of a sentence, lower case, without punctuation."""
    return [normalize_word(word.strip(".,?!")) for word in sentence.split()]


def _is_for_training(voice: Voice) -> bool:
    defaults = DataConfig()
    return which_set(voice.speaker, defaults.validation_percent, defaults.testing_percent) == "training"


def _talk(
    rng: np.random.Generator, voice: Voice, engine: Engine, sentences: list[str], n_samples: int, sample_rate: int
) -> Samples:
    """One voice, sentence after sentence, begun in the middle: float32 [n_samples]."""
    skipped = int(rng.integers(3 * sample_rate))
    parts, n_spoken = [], 0
    while n_spoken < n_samples + skipped:
        text = sentences[rng.integers(len(sentences))]
        speech = trim(resample(*engine.speak(text, voice, int(rng.integers(2**31))), sample_rate), sample_rate)
        pause = np.zeros(int(rng.uniform(*_PAUSE_S) * sample_rate), np.float32)
        parts += [speech, pause]
        n_spoken += len(speech) + len(pause)
    return np.concatenate(parts)[skipped : skipped + n_samples]
