"""Make the data of `person_corpora`: corpora of people, machines that belong to each, and a channel drawn alike for both.

    python benchmarks/person_corpora_data.py ../shared/data --out DIR [--channel mild] [--more FOLDER] [--hifi-gan FILE.onnx]

A *corpus* has people, and machines that occur in no other corpus: engines that speak its people's sentences or words, and
`vocoders` that copy its people. With ``--hifi-gan``, the neural vocoder in that file (`mel_vocoder`) copies the people of every
corpus; `person_corpora` only trains on those copies. Every clip is trimmed, cut to the same range of lengths and brought to one
level; then its bandwidth, room, noise and codec are drawn from the same ranges whatever the class, so that only the voice
differs.
Clips that exist are kept, so a call that was interrupted goes on. The list is ``DIR/labels.csv``, with a column ``corpus``.
"""

from __future__ import annotations

import argparse
import csv
import io
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import butter, fftconvolve, sosfilt

from mel_vocoder import MelVocoder
from vocoders import RATE, VOCODERS, Vocoder
from wordspot.audio.files import read_audio, write_audio
from wordspot.audio.folder import is_audio_name
from wordspot.audio.resample import resample
from wordspot.audio.samples import Samples
from wordspot.audio.speech import speech_bounds
from wordspot.data.voices import Engine, find_engines
from wordspot.data.voices.engine import draw_voices
from wordspot.errors import WordspotError
from wordspot.files import write_text

LABELS = ("person", "machine")
COLUMNS = ("path", "label", "speaker", "generator", "corpus")
_SECONDS = (2.2, 3.2)
_LEVEL_DB = -26.0
#: The machines of each corpus. Those of real_or_synthetic are its own: fastpitch, vits and yourtts.
ENGINES = {"librispeech": ("espeak-ng", "flite", "piper"), "commands": ("festival",)}
COPIES = {
    "librispeech": ("griffin-lim", "upsampled", "world"),
    "commands": ("linear-prediction", "quantised", "sampled"),
    "arabic": ("excited-mel", "scrambled-phase", "diffused"),
}


@dataclass(frozen=True)
class Source:
    """A clip to be made: who is heard in it, and how to get its sound."""

    corpus: str
    speaker: str
    name: str
    read: Callable[[], Samples]
    generator: str = ""

    @property
    def label(self) -> str:
        return LABELS[bool(self.generator)]

    @property
    def path(self) -> Path:
        return Path(self.corpus, self.generator or "people", f"{self.speaker}-{self.name}.wav")


def people_in(data: Path, n: int) -> dict[str, list[Source]]:
    """About `n` clips of each corpus, by as many speakers as it has; short words of one speaker are joined."""
    found = {"librispeech": [*_sentences(data / "english_speech", n)], "vctk": [*_vctk(data / "real_or_synthetic")]}
    found["commands"] = [*_joined("commands", data / "speech_commands", n)]
    found["arabic"] = [*_joined("arabic", data / "arabic_commands", n)]
    phrases = [path for path in sorted((data / "wake_words").rglob("*")) if is_audio_name(path.name)]
    found["phrases"] = [_file("phrases", path.stem, path, "0") for path in _some(phrases, n)]
    return found


def copies_of(people: Sequence[Source], name: str, vocoder: Vocoder, n: int) -> Iterator[Source]:
    """Copies of `n` people's clips, drawn anew for each vocoder."""
    people = [one for one in people if not one.generator]
    order = np.random.default_rng(zlib.crc32(name.encode())).permutation(len(people))
    for one in (people[i] for i in order[:n]):

        def copy(one: Source = one) -> Samples:
            audio = _cut(one.read(), _rng("cut", one.path))
            return vocoder(audio, _rng(name, one.path))

        yield Source(one.corpus, one.speaker, f"{one.name}-copy", copy, name)


def spoken_by(engine: Engine, corpus: str, texts: Sequence[str], n: int) -> Iterator[Source]:
    """`n` of the texts by the voices of an engine."""
    rng = np.random.default_rng(zlib.crc32(engine.name.encode()))
    for number, voice in enumerate(draw_voices([engine], "en", n, rng)):
        text = texts[number * len(texts) // n % len(texts)]

        def speak(text: str = text, voice: object = voice) -> Samples:
            audio, rate = engine.speak(text, voice)
            return resample(audio, rate, RATE)

        yield Source(corpus, voice.speaker, f"{number:04}", speak, engine.name)


def texts_of(data: Path) -> dict[str, list[str]]:
    """What each corpus's people say, about three seconds at a time."""
    lines = [line for path in sorted((data / "english_speech").rglob("*.trans.txt")) for line in path.read_text().splitlines()]
    sentences = [" ".join(line.split()[1:11]).lower() for line in lines[::7]]
    words = sorted(path.name for path in (data / "speech_commands").iterdir() if path.name[0] != "_")
    rng = np.random.default_rng(0)
    return {"librispeech": sentences, "commands": [", ".join(rng.choice(words, 4)) for _ in range(300)]}


def finish(audio: Samples, rng: np.random.Generator, channel: str) -> Samples:
    """Bring a clip to its level, and send it through a channel that is drawn whatever the class.

    The channel ``harsh`` has rooms, narrow bands, noise at 18 to 55 dB and codecs of all rates; ``mild`` only removes what
    would give a class away: everything above 7 kHz, silence, and what Opus removes.
    """
    harsh = channel == "harsh"
    sound = audio * np.float32(10 ** (_LEVEL_DB / 20) / max(float(np.sqrt(np.mean(audio**2))), 1e-6))
    if harsh and rng.random() < 0.3:
        tail = rng.standard_normal(int(RATE * 0.3)) * np.exp(-np.arange(int(RATE * 0.3)) / RATE * 6.9 / rng.uniform(0.1, 0.5))
        impulse = np.concatenate([[1.0], 0.03 * rng.uniform(0.2, 1) * tail])
        sound = fftconvolve(sound, impulse)[: len(audio)]
    if not harsh or rng.random() < 0.5:
        edge = float(rng.choice([3400, 4000, 5500, 7000])) if harsh else 7000.0
        sound = sosfilt(butter(6, edge, fs=RATE, output="sos"), sound)
    noise = np.cumsum(rng.standard_normal(len(sound))) if rng.random() < 0.5 else rng.standard_normal(len(sound))
    noise = sosfilt(butter(1, 60, "high", fs=RATE, output="sos"), noise)
    level = 10 ** ((_LEVEL_DB - (rng.uniform(18, 55) if harsh else 55)) / 20)
    sound = np.asarray(sound + noise * level / np.sqrt(np.mean(noise**2)), np.float32)
    return _code(np.clip(sound, -0.99, 0.99), rng, harsh)


def make(sources: Sequence[Source], out: Path, channel: str) -> list[tuple[str, ...]]:
    """Write the clips that are missing; the rows of the list."""
    rows = []
    for one in sources:
        path = out / one.path
        if not path.is_file():
            try:
                audio = _cut(one.read(), _rng("cut", one.path))
            except WordspotError as error:
                print(f"left out: {one.path}: {error}")
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            write_audio(path, finish(audio, _rng("channel", one.path), channel), RATE)
        rows.append((one.path.as_posix(), one.label, one.speaker, one.generator, one.corpus))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path, help="the folder of english_speech, real_or_synthetic, speech_commands, ...")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--people", type=int, default=150, help="clips of people in each corpus (150)")
    parser.add_argument("--per-machine", type=int, default=60, help="clips of each machine (60)")
    parser.add_argument("--channel", choices=("harsh", "mild"), default="harsh")
    parser.add_argument("--more", type=Path, help="CORPUS/GENERATOR/SPEAKER_nohash_N.wav: recordings by other machines")
    parser.add_argument(
        "--hifi-gan", metavar="FILE", type=Path, help="an ONNX file of a neural vocoder that copies all clips of people"
    )
    args = parser.parse_args()
    people, texts = people_in(args.data, args.people), texts_of(args.data)
    sources = [one for corpus in people.values() for one in corpus]
    for corpus, names in COPIES.items():
        for name in names:
            if name == "world" and not find_spec("pyworld"):
                print("left out: world: install pyworld")
                continue
            sources += copies_of(people[corpus], name, VOCODERS[name], args.per_machine)
    if args.hifi_gan:
        hifi_gan = MelVocoder(args.hifi_gan)
        for spoken in people.values():
            sources += copies_of(spoken, "hifi-gan", hifi_gan, args.people)
    for corpus, names in ENGINES.items():
        for name in names:
            try:
                sources += spoken_by(find_engines(name)[name], corpus, texts[corpus], args.per_machine)
            except WordspotError as error:
                print(f"left out: {name}: {error}")
    for path in sorted(args.more.rglob("*.wav")) if args.more else ():
        corpus, generator = path.relative_to(args.more).parts[:2]
        sources.append(_file(corpus, path.stem.split("_nohash_")[0], path, zlib.crc32(path.stem.encode()), generator))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *make(sources, args.out, args.channel)])
    write_text(args.out / "labels.csv", text.getvalue())


def _sentences(root: Path, n: int) -> Iterator[Source]:
    speakers = sorted(path for path in root.iterdir() if path.is_dir())
    for speaker in speakers:
        files = sorted(speaker.rglob("*.opus"))
        for path in _some(files, -(-n // len(speakers))):
            yield _file("librispeech", f"libri{speaker.name}", path, path.stem)


def _vctk(root: Path) -> Iterator[Source]:
    with (root / "labels.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            generator = row["generator"] if row["label"] != "real" else ""
            yield _file("vctk", row["speaker"], root / row["path"], Path(row["path"]).stem, generator)


def _joined(corpus: str, root: Path, n: int, together: int = 4) -> Iterator[Source]:
    """Words of one speaker, `together` at a time."""
    by_speaker: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(root.glob("*/*_nohash_*")):
        by_speaker[path.name.split("_nohash_")[0]].append(path)
    able = {speaker: paths for speaker, paths in by_speaker.items() if len(paths) >= together}
    each = max(1, n // len(able))
    for speaker in _some(sorted(able), n):
        order = np.random.default_rng(zlib.crc32(speaker.encode())).permutation(len(able[speaker]))
        for take in range(min(each, len(order) // together)):
            files = [able[speaker][i] for i in order[take * together : (take + 1) * together]]
            yield Source(corpus, f"{corpus}{speaker}", f"{take:02}", lambda files=files: _join(files))


def _join(files: Sequence[Path]) -> Samples:
    parts = []
    for path in files:
        audio, _ = read_audio(path, RATE)
        start, stop = speech_bounds(audio, RATE)
        parts.append(audio[max(start - 800, 0) : stop + 800])
    return np.concatenate(parts)


def _file(corpus: str, speaker: str, path: Path, name: object, generator: str = "") -> Source:
    return Source(corpus, speaker, str(name), lambda: read_audio(path, RATE)[0], generator)


def _cut(audio: Samples, rng: np.random.Generator) -> Samples:
    start, stop = speech_bounds(audio, RATE)
    audio = audio[start:stop]
    n = int(rng.uniform(*_SECONDS) * RATE)
    begin = int(rng.integers(max(len(audio) - n, 0) + 1))
    return audio[begin : begin + n]


def _code(sound: Samples, rng: np.random.Generator, harsh: bool) -> Samples:
    """Through Opus or MP3 of a drawn rate, or as it is; mild: Opus, since most people's recordings here were coded by it."""
    kind = rng.choice(["OPUS", "OPUS", "MP3", ""]) if harsh else "OPUS"
    if not kind:
        return sound
    file = io.BytesIO()
    container, subtype = ("OGG", "OPUS") if kind == "OPUS" else ("MP3", "MPEG_LAYER_III")
    soundfile.write(
        file, sound, RATE, format=container, subtype=subtype, compression_level=float(rng.uniform(0.3, 0.95)) if harsh else 0.9
    )
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0][: len(sound)]


def _some(items: Sequence[Path] | Sequence[str], n: int) -> list:
    """`n` of the items, evenly."""
    return [items[i * len(items) // n] for i in range(n)] if n < len(items) else list(items)


def _rng(what: str, path: Path) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(what.encode()), zlib.crc32(path.as_posix().encode())])


if __name__ == "__main__":
    main()
