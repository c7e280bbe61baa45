"""Keep the speech of neural voices: a word takes seconds to synthesize and milliseconds to read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from wordspot.audio.files import read_audio, write_audio
from wordspot.audio.samples import Samples, to_float32, to_int16
from wordspot.cache_folder import cache_root
from wordspot.data.voices.engine import Engine, Voice
from wordspot.errors import AudioError, DataError

_LAYOUT = 1


class Cacheable(Engine, Protocol):
    """An engine whose speech can be kept."""

    def fingerprint(self, voice: Voice) -> str:
        """A hash of the files that the sound of a voice depends on."""
        ...


class CachedEngine:
    """An engine that speaks each text once: by (engine and its files, text, voice with its manner), as 16-bit files.

    Args:
        engine: the engine.
        folder: where to keep speech (default: ``speech`` in the cache folder).
    """

    def __init__(self, engine: Cacheable, folder: Path | None = None) -> None:
        self._engine = engine
        self._folder = folder or cache_root() / "speech"
        self.name, self.manners, self.concurrent = engine.name, engine.manners, engine.concurrent

    def voices(self, language: str) -> list[Voice]:
        return self._engine.voices(language)

    def languages(self) -> list[str]:
        return self._engine.languages()

    def reads(self, text: str, language: str) -> bool:
        return self._engine.reads(text, language)

    def reset(self) -> None:
        self._engine.reset()

    def speak(self, text: str, voice: Voice, seed: int = 0) -> tuple[Samples, int]:
        """As the engine does, rounded to 16 bits.

        Raises:
            DataError: the cache cannot be written.
        """
        path = self._path(text, voice, seed)
        try:
            return read_audio(path)
        except (OSError, AudioError):
            speech, sample_rate = self._engine.speak(text, voice, seed)
        try:
            write_audio(path, speech, sample_rate)
        except OSError as error:
            raise DataError(
                f"{path.parent}: speech cannot be kept here ({error.strerror or 'no space left'}); free some space, or set "
                "WORDSPOT_CACHE to another folder"
            ) from error
        return to_float32(to_int16(speech)), sample_rate

    def _path(self, text: str, voice: Voice, seed: int) -> Path:
        """An engine that several threads may call does not depend on the seed."""
        manner = [voice.variant, voice.accent, voice.pitch, voice.rate, voice.intonation, voice.ending]
        parts = [_LAYOUT, self.name, self._engine.fingerprint(voice), text, manner, 0 if self.concurrent else seed]
        digest = hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()
        return self._folder / digest[:2] / f"{digest[2:34]}.wav"


@contextmanager
def speak_ahead(
    engines: Mapping[str, Engine], requests: Sequence[tuple[str, Voice]], jobs: int
) -> Iterator[Callable[[int], None]]:
    """Fill the cache of concurrent engines with `jobs` threads while the caller goes through `requests` in order.

    Yields:
        A function that waits until the request of this number is spoken.
    """
    if jobs < 2:
        yield lambda number: None
        return
    pool = ThreadPoolExecutor(jobs)
    waiting = {
        number: pool.submit(_speak, engines[voice.engine], text, voice)
        for number, (text, voice) in enumerate(requests)
        if engines[voice.engine].concurrent
    }
    try:
        yield lambda number: waiting.pop(number).result() if number in waiting else None
    finally:
        pool.shutdown(cancel_futures=True)


def _speak(engine: Engine, text: str, voice: Voice) -> None:
    engine.speak(text, voice)
