"""The ten words by the training readers of sentences: cut out of their sentences, and joined from the sounds of these.

    python dev/hearing/readers.py --data DATA --out DIR

Rare words have few speakers; these are 26 more. Writes clips of a second for `voices.py --words`:
DIR/cut/WORD/SPEAKER_nohash_N.wav and DIR/joined/WORD/...
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bank import read_words
from cache import RATE, WORDS
from hearing_streams import SPEAKERS, recordings, set_of_speakers
from wordspot.audio.effects import soften_ends
from wordspot.audio.files import read_audio, write_audio
from wordspot.audio.samples import Samples, to_int16
from wordspot.data.voices.espeak import Espeak, find_espeak
from wordspot.wakeword.pronunciations import pronunciations
from wordspot.wakeword.splicing.people import Say, enough_of
from wordspot.wakeword.splicing.sounds import SoundNetwork
from wordspot.wakeword.splicing.units import Units, units_of

#: Other words that resemble the ten.
OTHERS = (
    "gone", "dome", "town", "stock", "yet", "guess", "lift", "loft", "cup", "pup", "top", "step", "though", "low", "all", "four",
    "forward", "tree", "two", "dog", "bird", "three", "nine", "ride", "cough",
)  # fmt: skip
_EACH, _EACH_OTHER = 7, 1  # joined clips of a word by a speaker
_SHORTEST_MS, _MARGIN = 130.0, 320  # of a word that is cut out; samples kept on either side
_LONGEST = RATE - 1000  # samples


class Sentence(NamedTuple):
    """A recording and its words: text, first and last millisecond."""

    name: str
    audio: Samples
    words: list[tuple[str, float, float]]


def read_sentences(data: Path) -> dict[str, list[Sentence]]:
    """The sentences of each training speaker."""
    words, paths = read_words(data / "english_speech" / "words.csv"), recordings(data / "english_speech")
    sets = set_of_speakers((path.parts[-3] for path in paths), *SPEAKERS["english_speech"])
    found = dict[str, list[Sentence]]()
    for path in paths:
        if sets[path.parts[-3]] == "training" and path.stem in words:
            audio = read_audio(path, RATE, channel=0)[0]
            found.setdefault(path.parts[-3], []).append(Sentence(path.stem, audio, words[path.stem]))
    return found


def cut_out(sentence: Sentence) -> Iterator[tuple[str, str, Samples]]:
    """The ten words of a sentence: word, name and clip."""
    for number, (word, first_ms, stop_ms) in enumerate(sentence.words):
        first, stop = (int(ms * RATE / 1000) for ms in (first_ms, stop_ms))
        part = sentence.audio[max(first - _MARGIN, 0) : stop + _MARGIN].copy()
        if word in WORDS and stop_ms - first_ms > _SHORTEST_MS and len(part) <= _LONGEST:
            yield word, f"{sentence.name}-{number}", in_a_second(soften_ends(part, RATE))


def in_a_second(part: Samples) -> Samples:
    """float32 [16000] with the part in the middle."""
    before = (RATE - len(part)) // 2
    return np.pad(part, (before, RATE - len(part) - before))


def units_of_speakers(speakers: Mapping[str, list[Sentence]], network: SoundNetwork, espeak: Espeak) -> dict[str, Units]:
    """All sounds of each speaker who says enough."""
    vocabulary = sorted({word for some in speakers.values() for one in some for word, _, _ in one.words})
    sounds = network.numbers_of(vocabulary, espeak)

    def pairs(sentences: list[Sentence]) -> Iterator[tuple[NDArray[np.int16], list[tuple[int, ...]]]]:
        return ((to_int16(one.audio), [sounds[word] for word, _, _ in one.words]) for one in sentences)

    enough = {name: some for name, sentences in speakers.items() if (some := enough_of(pairs(sentences)))}
    return {name: units_of(some, network.log_posteriors) for name, some in enough.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of english_speech, with words.csv")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    network, espeak, speakers = SoundNetwork(), find_espeak(), read_sentences(args.data)
    assert espeak, "needs espeak-ng: pip install 'wordspot[voices]'"
    for speaker, sentences in speakers.items():
        for word, name, clip in (one for sentence in sentences for one in cut_out(sentence)):
            write(args.out / "cut" / word, f"{speaker}_nohash_{name}", clip)
    say, units = Say(network, 11), units_of_speakers(speakers, network, espeak)
    for word in (*WORDS, *OTHERS):
        spoken = network.numbers_of([word, *pronunciations(word, "en")], espeak)
        ways = [way for way in dict.fromkeys(spoken.values()) if way]
        for speaker, own in units.items():
            for number, part in enumerate(say(f"{word}/{speaker}", own, ways, _EACH if word in WORDS else _EACH_OTHER)):
                if len(part) <= RATE:
                    write(args.out / "joined" / word, f"{speaker}_nohash_{number}", in_a_second(part))


def write(folder: Path, name: str, clip: Samples) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_audio(folder / f"{name}.wav", clip, RATE)


if __name__ == "__main__":
    main()
