"""Prepare the data of `person_words`: words by people and by synthetic voices, trimmed, levelled and mixed with noise.

People are split into sets by the hash of the speaker, and noise files by the hash of their source recording, so that noise of
testing never occurs in training. Synthetic clips are mixed both for validation and for testing, since a voice used for training
in one run is tested in another. Training words are stored without noise: the run mixes in its own noise, anew each time.
"""

from __future__ import annotations

import csv
import io
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wordspot.audio.files import read_audio, write_audio
from wordspot.audio.folder import is_audio_name
from wordspot.audio.samples import Samples
from wordspot.audio.speech import speech_bounds
from wordspot.config import SETS
from wordspot.data.folders import Recording
from wordspot.data.split import deal_names, noise_source, which_set
from wordspot.data.voices import Engine, speak_words
from wordspot.errors import DataError
from wordspot.files import read_json, write_json, write_text

RATE = 16_000
LABELS = ("person", "machine")
VALIDATION_PERCENT, TESTING_PERCENT = 20.0, 30.0
SNR_DB = (0.0, 20.0)
_WORD_DB = -26.0  # root mean square of each word against full scale
_FLOOR_DB = -70.0  # of faint noise everywhere, so that nothing is digital silence
_PEAK = 0.95
_FADE_S = 0.005
_QUIET_DB = -75.0  # noise with 50 ms below this is drawn again, since some recordings are padded with zeros
_MOST_DRAWS = 200
_COLUMNS = ("path", "label", "speaker", "generator", "split")


@dataclass(frozen=True)
class Clip:
    """One word: its speaker, and the engine that speaks it (None for a person)."""

    file: Path
    speaker: str
    engine: str | None = None

    @property
    def label(self) -> str:
        return LABELS[1] if self.engine else LABELS[0]

    @property
    def name(self) -> str:
        """A path below a folder of clips that no other clip has: ``flite/yes/...``."""
        return Path(self.engine or "people", self.file.parent.name, self.file.stem).as_posix()


def draw_people(root: Path, words: Sequence[str], n: int, seed: int) -> list[Clip]:
    """`n` clips of people, equally many of each word if possible, by as many speakers as possible.

    Raises:
        DataError: a word without a folder of recordings that name their speakers.
    """
    rng = np.random.default_rng([seed, 1])
    used: Counter[str] = Counter()
    drawn: list[Clip] = []
    for place, word in enumerate(words):
        files = sorted(path for path in (root / word).glob("*") if is_audio_name(path.name))
        known = [(path, Recording(path.name, word, 0, 0).speaker) for path in files]
        clips = [Clip(path, speaker) for path, speaker in known if speaker is not None]
        if not clips:
            raise DataError(f"{root / word}: expected recordings named SPEAKER_nohash_N, found none")
        order = [clips[i] for i in rng.permutation(len(clips))]
        share = n * (place + 1) // len(words) - n * place // len(words)
        for _ in range(min(share, len(order))):
            rarest = min(order, key=lambda clip: used[clip.speaker])
            order.remove(rarest)
            used[rarest.speaker] += 1
            drawn.append(rarest)
    return drawn


def make_machines(folder: Path, engines: Mapping[str, Engine], words: Sequence[str], per_engine: int, seed: int) -> list[Clip]:
    """The words by each engine, `per_engine` clips of each; clips already in `folder` are reused."""
    clips: list[Clip] = []
    for name, engine in engines.items():
        wanted = {"words": list(words), "per_engine": per_engine, "seed": seed}
        listed = folder / f"{name}.json"
        if not listed.is_file() or read_json(listed)["wanted"] != wanted:
            out = folder / f"{name}-{len(words)}-{per_engine}-{seed}"
            per_word = -(-per_engine // len(words))
            spoken = speak_words(words, out, per_word=per_word, seed=seed, engines={name: engine})
            rows = [[f"{out.name}/{file}", voice.speaker] for word in spoken for file, voice in word.clips]
            write_json(listed, {"wanted": wanted, "clips": rows})
        clips += [Clip(folder / file, speaker, name) for file, speaker in read_json(listed)["clips"]]
    return clips


def set_of_person(clip: Clip) -> str:
    """A person's set, by the hash of the speaker."""
    return which_set(clip.speaker, VALIDATION_PERCENT, TESTING_PERCENT)


def read_noise(folders: Sequence[Path]) -> dict[str, list[Samples]]:
    """The recordings of noise of each set: float32 [samples] at `RATE`, at least a second each.

    Raises:
        DataError: a set without noise.
    """
    found: dict[str, list[Samples]] = {name: [] for name in SETS}
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if is_audio_name(path.name)):
            audio, _ = read_audio(path, RATE)
            name = which_set(noise_source(path.name), VALIDATION_PERCENT, TESTING_PERCENT)
            found[name].append(np.resize(audio, max(len(audio), RATE)))
    if missing := [name for name in SETS if not found[name]]:
        raise DataError(f"no noise of {' and '.join(missing)} in {', '.join(map(str, folders))}; name more folders")
    return found


def name_of(noise: Mapping[str, Sequence[Samples]], seed: int) -> str:
    """The name of the folder for clips mixed with this noise."""
    check = 0
    for name in SETS:
        for sound in noise[name]:
            check = zlib.crc32(sound.tobytes(), check)
    return f"seed-{seed}-{check:08x}"


def mix_clip(word: Samples, noise: Sequence[Samples], rng: np.random.Generator) -> Samples:
    """A word, trimmed and levelled, at a random position in a second of noise or near silence: float32 [`RATE`].

    Args:
        word: float32 [samples] at `RATE`; of a longer word than a second, the beginning is kept.
        noise: recordings of at least a second, one of which is drawn at random; if empty, only a faint noise floor is added.
        rng: draws the noise, the position and the signal-to-noise ratio (of mean powers).
    """
    start, stop = speech_bounds(word, RATE)
    spoken = _fade(word[start : min(stop, start + RATE)].copy())
    spoken *= _from_db(_WORD_DB) / _rms(spoken)
    mixed = _from_db(_FLOOR_DB) * rng.standard_normal(RATE)
    if noise:
        snr_db = rng.uniform(*SNR_DB)
        second = _draw_noise(noise, rng)
        mixed += second * (_from_db(_WORD_DB - snr_db) / _rms(second))
    place = int(rng.integers(RATE - len(spoken) + 1))
    mixed[place : place + len(spoken)] += spoken
    return np.asarray(mixed * min(1.0, _PEAK / float(np.abs(mixed).max())), np.float32)


def write_mixed(clips: Sequence[Clip], folder: Path, noise: Mapping[str, Sequence[Samples]], seed: int, copies: int = 1) -> None:
    """Write the files of `mixed_paths`: of a person's clip for its set, of a synthetic clip for all. Existing files are kept.

    The noise of training goes to `noise_of`, not into the words.
    """
    noise_of(folder).mkdir(parents=True, exist_ok=True)
    for number, sound in enumerate(noise["training"]):
        if not (path := noise_of(folder) / f"{number:04}.wav").is_file():
            write_audio(path, sound, RATE)
    for clip in clips:
        own = zlib.crc32(clip.name.encode())
        for number, name in enumerate(SETS):
            if clip.engine is None and set_of_person(clip) != name:
                continue
            for copy, path in enumerate(mixed_paths(folder, clip, name, copies)):
                if not path.is_file():
                    word, _ = read_audio(clip.file, RATE)
                    rng = np.random.default_rng([seed, 2, own, number, copy])
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_audio(path, mix_clip(word, noise[name] if name != "training" else (), rng), RATE)


def mixed_paths(folder: Path, clip: Clip, name: str, copies: int) -> list[Path]:
    """The paths of a clip for this set: in training several copies at different positions in the second, else one."""
    count = copies if name == "training" else 1
    return [folder / name / f"{clip.name}-{copy}.wav" for copy in range(count)]


def noise_of(folder: Path) -> Path:
    """The folder of the noise that training mixes in."""
    return folder / "noise"


def assign_clips(people: Sequence[Clip], machines: Sequence[Clip], held_out: str) -> list[tuple[Clip, str]]:
    """Each clip's set in the run that holds out an engine. All of its clips are for testing; the others' voices are dealt
    to training and validation, an engine's only voice and what two of them share to training.

    A voice that the held-out engine shares with another (kal is the same man in flite and festival) is removed from testing if
    other voices remain there, else from training.
    """
    by_engine: dict[str, set[str]] = {}
    for clip in machines:
        by_engine.setdefault(str(clip.engine), set()).add(clip.speaker)
    own = by_engine.pop(held_out)
    shared = own & set().union(*by_engine.values())
    untested = shared if own - shared else set()
    untrained = shared - untested
    shares = {"training": 100 - VALIDATION_PERCENT, "validation": VALIDATION_PERCENT, "testing": 0.0}
    counts = Counter(voice for voices in by_engine.values() for voice in voices)
    dealt = {}
    for name, voices in by_engine.items():
        alone = {voice for voice in voices - untrained if counts[voice] == 1}
        dealt[name] = dict.fromkeys(voices - untrained - alone, "training") | deal_names(alone, shares)
    dealt |= {held_out: dict.fromkeys(own - untested, "testing")}
    assigned = [(clip, set_of_person(clip)) for clip in people]
    return assigned + [(c, dealt[str(c.engine)][c.speaker]) for c in machines if c.speaker in dealt[str(c.engine)]]


def write_rows(path: Path, assigned: Sequence[tuple[Clip, str]], mixed: Path | None, copies: int = 1) -> None:
    """Write a list for ``--task recordings``: of the original clips, or of the copies that `write_mixed` made in `mixed`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for clip, name in assigned:
        for file in mixed_paths(mixed, clip, name, copies) if mixed else [clip.file]:
            writer.writerow([file.resolve(), clip.label, clip.speaker, clip.engine or "", name])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text.getvalue())


def _draw_noise(noise: Sequence[Samples], rng: np.random.Generator) -> Samples:
    """A random second of noise without silent parts."""
    for _ in range(_MOST_DRAWS):
        audio = noise[int(rng.integers(len(noise)))]
        start = int(rng.integers(len(audio) - RATE + 1))
        second = audio[start : start + RATE]
        if np.square(second.reshape(20, -1)).mean(axis=1).min() > _from_db(_QUIET_DB) ** 2:
            return np.asarray(second, np.float32)
    raise DataError("expected noise, but the recordings of it are silent in nearly every second; name other folders")


def _fade(audio: Samples) -> Samples:
    n = min(round(_FADE_S * RATE), len(audio) // 2)
    ramp = np.linspace(0, 1, n, endpoint=False, dtype=np.float32)
    audio[:n] *= ramp
    audio[len(audio) - n :] *= ramp[::-1]
    return audio


def _rms(audio: Samples) -> np.float32:
    return np.float32(max(float(np.sqrt(np.square(audio, dtype=np.float64).mean())), 1e-9))


def _from_db(decibels: float) -> np.float32:
    return np.float32(10 ** (decibels / 20))
