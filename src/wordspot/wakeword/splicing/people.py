"""The recordings of phrases and near misses that `new` joins from people's sentences, beside those by voices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wordspot.audio.files import write_audio
from wordspot.audio.samples import Samples, to_float32
from wordspot.config import DataConfig
from wordspot.data.folders import hash_name
from wordspot.data.speech import Speech, load_speech
from wordspot.data.voices.espeak import Espeak, find_espeak
from wordspot.files import read_json, write_json
from wordspot.labels import normalize_word
from wordspot.progress import OnNote, OnProgress, Progress
from wordspot.wakeword.project import CLIP_MS, Project, Request
from wordspot.wakeword.pronunciations import pronunciations
from wordspot.wakeword.recordings import other_texts
from wordspot.wakeword.splicing.alignment import fit_of
from wordspot.wakeword.splicing.joining import join
from wordspot.wakeword.splicing.sounds import RATE, SoundNetwork
from wordspot.wakeword.splicing.units import Units, Words, choose, units_of

#: Stages of the progress.
LISTENING, JOINING = "finding the sounds of people", "joining sounds of people"
#: Part of the names of the recordings.
SPLICED = "people"
_OF_PHRASE, _OF_NEAR_MISS = 0.65, 0.065  # recordings of each text, as parts of those by voices
_FEWEST_SOUNDS, _MOST_SOUNDS, _MOST_SPEAKERS = 1000, 6000, 40
_TRIES = 3  # for each recording of the phrase, of which the one that holds it best is kept
_LONGEST = int(RATE * CLIP_MS / 1000)


def splice_people(project: Project, request: Request, speech: Path, progress: OnProgress, on_note: OnNote) -> None:
    """Add joined recordings to the project, unless they are there already.

    Only English, and only speech by known speakers with its text. Speakers that are held out by their names are not used.
    """
    if project.spliced.is_file() and read_json(project.spliced).get("speech") == str(speech.resolve()):
        return
    _remove(project)
    espeak = find_espeak()
    if espeak is None or request.language.split("-")[0] != "en":
        return
    network = SoundNetwork()
    speakers = _listen(load_speech(speech, RATE, DataConfig()), network, espeak, progress)
    if not speakers:
        on_note(
            f"{speech}: no speaker with two minutes of recordings and their text, so only voices say the phrase; "
            "`wordspot download speech` gets 40 speakers"
        )
        return
    say = _Say(network, request.seed)
    texts = [(text, True) for text in request.phrases] + [(text, False) for text in other_texts(request)]
    for done, (text, is_phrase) in enumerate(texts):
        progress(Progress(JOINING, done, len(texts)))
        ways = [text, *(request.said or pronunciations(text, request.language))] if is_phrase else [text]
        sounds = list(dict.fromkeys(network.numbers_of(ways, espeak).values()))
        share = _OF_PHRASE if is_phrase else _OF_NEAR_MISS
        _write(project.recordings / normalize_word(text), sounds, speakers, round(share * request.n_voices), say)
    write_json(project.spliced, {"speech": str(speech.resolve()), "speakers": len(speakers)})


def _remove(project: Project) -> None:
    for path in project.recordings.glob(f"*/*_nohash_{SPLICED}*.wav"):
        path.unlink()
    project.spliced.unlink(missing_ok=True)


def _listen(speech: Speech, network: SoundNetwork, espeak: Espeak, progress: OnProgress) -> dict[str, Units]:
    """The units of every speaker who is known by name and says enough."""
    numbers = dict[str, list[int]]()
    for number, path in enumerate(speech.paths):
        if speech.texts[number] and (name := _speaker_of(path)):
            numbers.setdefault(name, []).append(number)
    sounds_of = network.numbers_of(sorted(speech.vocabulary), espeak)
    names = sorted(numbers)[:_MOST_SPEAKERS]
    found = {}
    for done, name in enumerate(names):
        progress(Progress(LISTENING, done, len(names)))
        units = units_of(_recordings(speech, numbers[name], sounds_of), network.log_posteriors)
        if len(units) >= _FEWEST_SOUNDS:
            found[name] = units
    return found


def _speaker_of(path: str) -> str:
    """The folder of a recording, or the speaker that its name holds; empty if it has neither."""
    if "/" in path:
        return path.partition("/")[0]
    return hash_name(path) if "_nohash_" in path else ""


def _recordings(
    speech: Speech, numbers: Iterable[int], sounds_of: Mapping[str, Sequence[int]]
) -> Iterator[tuple[Samples, Words]]:
    """These recordings with the sounds of their words, up to `_MOST_SOUNDS`."""
    n = 0
    for number in numbers:
        words = [sounds_of[word] for word in speech.texts[number]]
        if n < _MOST_SOUNDS:
            n += sum(map(len, words))
            yield to_float32(speech.samples(number)), words


def _write(folder: Path, ways: Sequence[Sequence[int]], speakers: Mapping[str, Units], n: int, say: _Say) -> None:
    """Write about `n` recordings of a text to its folder, as many by each speaker, or by `n` of them."""
    folder.mkdir(parents=True, exist_ok=True)
    each = max(math.ceil(n / len(speakers)), 1)
    for name in list(speakers)[:: max(len(speakers) // max(n, 1), 1)]:
        best = say(f"{folder.name}/{name}", speakers[name], ways, each)
        for number, audio in enumerate(best):
            write_audio(folder / f"{name}_nohash_{SPLICED}{number}.wav", audio, RATE)


@dataclass(frozen=True)
class _Say:
    """Has a speaker say one of several sequences of sounds `_TRIES` times as often as wanted, and keeps what fits best."""

    network: SoundNetwork
    seed: int

    def __call__(self, name: str, units: Units, ways: Sequence[Sequence[int]], n: int) -> list[Samples]:
        rng = np.random.default_rng([self.seed, *name.encode()])
        made = dict[tuple[int, ...], tuple[float, Samples]]()
        for way in itertools.islice(itertools.cycle(ways), _TRIES * n):
            chosen = choose(units, way, rng)
            if chosen is not None and len(audio := join(units, chosen)) <= _LONGEST:
                made[tuple(chosen)] = fit_of(self.network.log_posteriors(audio), way), audio
        return [audio for _, audio in sorted(made.values(), key=lambda one: -one[0])[:n]]
