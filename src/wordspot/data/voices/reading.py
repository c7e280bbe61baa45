"""Voices read sentences aloud: speech for models that have none by people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from wordspot.audio.files import write_audio
from wordspot.audio.resample import resample
from wordspot.audio.speech import trim
from wordspot.config import FeatureConfig
from wordspot.data.voices.clips import place
from wordspot.data.voices.engine import Engine, draw_voices
from wordspot.data.voices.speech_cache import speak_ahead
from wordspot.files import write_text
from wordspot.labels import normalize_word

_OTHERS = "en"
_LANGUAGES = ("de", "en", "zh")
_AROUND_S = 0.6  # of faint noise before and after a sentence, together


@dataclass(frozen=True)
class Text:
    """Sentences, and the language that they are written in."""

    language: str
    sentences: tuple[str, ...]


def text_for(language: str, avoid: Iterable[str] = ()) -> Text:
    """The bundled sentences of a language, English ones if it has none, without those that hold a phrase of `avoid`.

    Args:
        language: ``en``, ``de``, ``zh``, ``fr``, ...
        avoid: words or phrases.
    """
    base = language.split("-")[0]
    name = base if base in _LANGUAGES else _OTHERS
    text = resources.files("wordspot.data.voices").joinpath(f"sentences_{name}.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    unwanted = [_plain(phrase) for phrase in avoid]
    kept = tuple(line for line in lines if not any(phrase in _plain(line) for phrase in unwanted))
    return Text(language if name == base else _OTHERS, kept)


def _plain(text: str) -> str:
    """A text in lower case between spaces, with a space for each mark; of Chinese, which has no spaces, without them."""
    words = "".join(one if one.isalnum() or one in "'’" else " " for one in normalize_word(text)).split()
    return "".join(words) if any("\u4e00" <= one <= "\u9fff" for one in text) else f" {' '.join(words)} "


def read_aloud(
    text: Text,
    out: Path,
    *,
    n: int,
    seed: int,
    engines: Mapping[str, Engine],
    n_speakers: int | None = None,
    jobs: int = 1,
    sample_rate: int = FeatureConfig.sample_rate,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Write `n` sentences as ``out/SPEAKER/ENGINE-NUMBER.wav``, each with its text beside it: a folder of speech.

    Each sentence is read about as often as any other, and each speaker reads about as much. `wordspot.data.speech` reads such
    folders.

    Args:
        text: what to read.
        out: the folder; files that are there stay.
        seed: of the voices and their order.
        engines: the voices.
        n_speakers: how many speakers read (default: all).
        jobs: threads for the engines that can use several.
        sample_rate: of the recordings, in Hz.
        progress: called after each sentence with its text.

    Raises:
        ConfigError: no engine speaks the language.
        DataError: the cache of speech cannot be written.
    """
    for engine in engines.values():
        engine.reset()
    rng = np.random.default_rng([seed, n])
    voices = draw_voices(engines.values(), text.language, n, rng, n_speakers)
    sentences = _shuffled(text.sentences, n, rng)
    with speak_ahead(engines, list(zip(sentences, voices, strict=True)), jobs) as wait_for:
        for number, (sentence, voice) in enumerate(zip(sentences, voices, strict=True)):
            wait_for(number)
            sound, rate = engines[voice.engine].speak(sentence, voice, int(rng.integers(2**31)))
            speech = trim(resample(sound, rate, sample_rate), sample_rate)
            path = out / voice.speaker / f"{voice.engine}-{number:05d}.wav"
            write_audio(path, place(speech, len(speech) + int(_AROUND_S * sample_rate), sample_rate, rng), sample_rate)
            write_text(path.with_suffix(".txt"), sentence)
            if progress is not None:
                progress(sentence)


def _shuffled(sentences: Sequence[str], n: int, rng: np.random.Generator) -> list[str]:
    """`n` sentences: all in random order, again and again."""
    rounds = [rng.permutation(len(sentences)) for _ in range(-(-n // len(sentences)))]
    return [sentences[number] for number in np.concatenate(rounds)[:n]]
