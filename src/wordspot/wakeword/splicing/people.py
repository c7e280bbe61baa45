"""The recordings of phrases and near misses that `new` joins from people's sentences, beside those by voices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.files import write_audio
from wordspot.audio.samples import Samples
from wordspot.config import DataConfig
from wordspot.data.speech import Speech, load_speech
from wordspot.data.voices.espeak import Espeak, find_espeak
from wordspot.files import read_json, write_json
from wordspot.labels import normalize_word
from wordspot.progress import OnNote, OnProgress, Progress
from wordspot.wakeword.project import CLIP_MS, Project, Request
from wordspot.wakeword.pronunciations import pronunciations
from wordspot.wakeword.recordings import other_texts
from wordspot.wakeword.splicing import JOINED
from wordspot.wakeword.splicing.alignment import fit_of
from wordspot.wakeword.splicing.joining import join
from wordspot.wakeword.splicing.sounds import RATE, SoundNetwork
from wordspot.wakeword.splicing.units import Units, Words, choose, units_of

#: Stages of the progress.
LISTENING, JOINING = "finding the sounds of people", "joining sounds of people"
_OF_PHRASE, _OF_NEAR_MISS = 0.65, 0.065  # recordings of each text, as parts of those by voices
_FEWEST_SOUNDS, _MOST_SOUNDS, _MOST_SPEAKERS = 1000, 6000, 40
_LONGEST_SENTENCE = 60 * RATE  # alignment takes time and memory with the square of it
_TRIES = 3  # for each recording of the phrase, of which the one that holds it best is kept
_LONGEST = int(RATE * CLIP_MS / 1000)


def splice_people(project: Project, request: Request, speech: Path, progress: OnProgress, on_note: OnNote) -> None:
    """Add joined recordings to the project, unless they are there already.

    Only English, and only sentences of at most a minute with their text, by speakers who are not held out.
    """
    if project.spliced.is_file() and read_json(project.spliced).get("speech") == str(speech.resolve()):
        return
    _remove(project)
    if request.language.split("-")[0] != "en":
        return
    espeak = find_espeak()
    if espeak is None:
        on_note("without espeak-ng the phrase is not joined from people's sentences: pip install 'wordspot[voices]'")
        return
    network = SoundNetwork()
    speakers = _listen(load_speech(speech, RATE, DataConfig(), progress), network, espeak, progress)
    if not speakers:
        on_note(
            f"{speech}: no speaker with two minutes of sentences and their text, so the phrase is not joined from them; "
            "`wordspot download speech` gets 40 speakers"
        )
        return
    say = Say(network, request.seed)
    texts = [(text, True) for text in request.phrases] + [(text, False) for text in other_texts(request)]
    for done, (text, is_phrase) in enumerate(texts):
        progress(Progress(JOINING, done, len(texts)))
        ways = [text, *(request.said or pronunciations(text, request.language))] if is_phrase else [text]
        sounds = [way for way in dict.fromkeys(network.numbers_of(ways, espeak).values()) if way]
        share = _OF_PHRASE if is_phrase else _OF_NEAR_MISS
        _write(project.recordings / normalize_word(text), sounds, speakers, round(share * request.n_voices), say)
    write_json(project.spliced, {"speech": str(speech.resolve()), "speakers": len(speakers)})


def _remove(project: Project) -> None:
    for path in project.recordings.glob(f"*/*_nohash_{JOINED}*.wav"):
        path.unlink()
    project.spliced.unlink(missing_ok=True)


def _listen(speech: Speech, network: SoundNetwork, espeak: Espeak, progress: OnProgress) -> dict[str, Units]:
    """The units of speakers who say enough."""
    sounds_of = network.numbers_of(sorted(speech.vocabulary), espeak)
    sentences = dict[str, list[_Sentence]]()
    for number, (speaker, text) in enumerate(zip(speech.speakers, speech.texts, strict=True)):
        if text and len(speech.samples(number)) <= _LONGEST_SENTENCE:
            sentences.setdefault(speaker, []).append((speech.samples(number), [sounds_of[word] for word in text]))
    enough = {name: some for name in sorted(sentences) if (some := enough_of(sentences[name]))}
    found = {}
    for done, name in enumerate(names := list(enough)[:_MOST_SPEAKERS]):
        progress(Progress(LISTENING, done, len(names)))
        units = units_of(enough[name], network.log_posteriors)
        if len(units) >= _FEWEST_SOUNDS // 2:  # the others could not be aligned
            found[name] = units
    return found


_Sentence = tuple[NDArray[np.int16], Words]


def enough_of(sentences: Iterable[_Sentence]) -> list[_Sentence]:
    """The first sentences with `_MOST_SOUNDS`; none if they have fewer than `_FEWEST_SOUNDS`."""
    n, taken = 0, list[_Sentence]()
    for sentence in sentences:
        if n < _MOST_SOUNDS:
            taken.append(sentence)
            n += sum(map(len, sentence[1]))
    return taken if n >= _FEWEST_SOUNDS else []


def _write(folder: Path, ways: Sequence[Sequence[int]], speakers: Mapping[str, Units], n: int, say: Say) -> None:
    """Write about `n` recordings of a text to its folder, as many by each speaker, or by `n` of them."""
    folder.mkdir(parents=True, exist_ok=True)
    each = max(math.ceil(n / len(speakers)), 1)
    for name in list(speakers)[:: max(len(speakers) // max(n, 1), 1)]:
        best = say(f"{folder.name}/{name}", speakers[name], ways, each)
        for number, audio in enumerate(best):
            write_audio(folder / f"{name}_nohash_{JOINED}{number}.wav", audio, RATE)


@dataclass(frozen=True)
class Say:
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
