"""False accepts per hour on audio outside the training set without the words, one line per kind.

    python benchmarks/false_accepts.py DATA [MODEL.onnx] [--minutes 60] [--json OUT]

DATA holds the folders environment, wake_words, arabic_commands and real_or_synthetic. The recordings of a kind follow
each other as one stream, each used once, since repeating them would add hours but no information. The sentences of
real_or_synthetic have no transcripts; if one contains one of the words, detecting it counts as a false accept. The
last kind is a long text (Python's own help, without sentences that contain one of the words), each sentence read once
by one of many synthetic voices.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np

from results import write_result
from wordspot.audio.files import read_audio
from wordspot.audio.folder import is_audio_name
from wordspot.audio.resample import resample
from wordspot.audio.samples import Samples
from wordspot.commands import console
from wordspot.data.voices import draw_voices, find_engines
from wordspot.errors import DataError
from wordspot.intervals import EventRate
from wordspot.labels import UNKNOWN_LABEL
from wordspot.runtime.detector import Detector
from wordspot.runtime.model import Model, open_model

KINDS = {
    "sounds of 10 kinds (environment)": "environment",
    "another wake word (athena)": "wake_words/athena",
    "Arabic words": "arabic_commands",
    "English sentences, people and machines": "real_or_synthetic",
}
PAUSE_S = (0.2, 1.0)


def recordings(folder: Path, sample_rate: int) -> Iterator[Samples]:
    paths = [path for path in sorted(folder.rglob("*")) if is_audio_name(path.name) and path.is_file()]
    if not paths:
        raise DataError(f"{folder}: expected recordings, found none")
    for path in paths:
        yield read_audio(path, sample_rate)[0]


def sentences(words: list[str]) -> Iterator[str]:
    """Sentences of the text without symbols or any of `words`."""
    spoken_words = re.compile(rf"\b({'|'.join(map(re.escape, words))})\b", re.IGNORECASE)
    known = set()
    for text in topics.values():
        for sentence in re.split(r"(?<=[.:;])\s+", " ".join(text.split())):
            plain = re.sub(r"[^A-Za-z0-9,.;:' -]", " ", sentence)
            plain = " ".join(plain.split())
            if plain not in known and plain.count(" ") >= 5 and len(plain) <= 300 and not spoken_words.search(plain):
                known.add(plain)
                yield plain


def read_aloud(words: list[str], sample_rate: int, minutes: float, seed: int, avoid: str = "") -> Iterator[Samples]:
    """Each sentence once, by a voice drawn for it, with pauses, until the minutes are full or the text is at its end."""
    engines, rng = find_engines(), np.random.default_rng(seed)
    if len(engines) > 1:
        engines.pop(avoid, None)
    voices = draw_voices(engines.values(), "en", 300, rng)
    left = int(minutes * 60 * sample_rate)
    for number, sentence in enumerate(sentences(words)):
        voice = voices[number % len(voices)]
        speech, rate = engines[voice.engine].speak(sentence, voice)
        pause = np.zeros(int(rng.uniform(*PAUSE_S) * sample_rate), np.float32)
        audio = np.concatenate([resample(speech, rate, sample_rate), pause])
        yield audio[:left]
        left -= len(audio)
        if left <= 0:
            return


def count(model: Model, audio: Iterator[Samples]) -> tuple[Counter[str], float]:
    """The words detected in a stream of these recordings, and its hours."""
    detector, found, n_samples = Detector(model), Counter[str](), 0
    for samples in audio:
        found.update(detection.label for detection in detector.feed(samples))
        n_samples += len(samples)
    found.update(detection.label for detection in detector.flush())
    del found[UNKNOWN_LABEL]  # the classic decoders emit it; it is not an accept
    return found, n_samples / detector.card.sample_rate / 3600


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path, nargs="?", help="default: the model that comes with wordspot")
    parser.add_argument("--minutes", type=float, default=60, help="of the text read aloud (default: 60)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--avoid",
        metavar="ENGINE",
        default="espeak-ng",
        help="voices that the model was trained on; the others read, if there are any (default: espeak-ng)",
    )
    parser.add_argument("--json", type=Path, help="write the result to this file")
    args = parser.parse_args()
    model = open_model(args.model)
    words = [label for label in model.card.labels if not label.startswith("_")]
    rate = model.card.sample_rate
    streams = {kind: recordings(args.data / folder, rate) for kind, folder in KINDS.items()}
    streams["long text, synthetic voices"] = read_aloud(words, rate, args.minutes, args.seed, args.avoid)
    rows = []
    for kind, audio in streams.items():
        found, hours = count(model, audio)
        events = EventRate(sum(found.values()), hours)
        low, high = events.interval
        most = ", ".join(f"{label} {n}" for label, n in found.most_common(3))
        rows.append([kind, f"{hours:.3f}", events.n, f"{events.per_hour:.1f}", f"{low:.1f} to {high:.1f}", most])
    columns = ["sound", "hours", "false accepts", "per hour", "95 % interval (Poisson)", "most often"]
    console.print_table("False accepts", columns, rows)
    if args.json:
        write_result(args.json, [dict(zip(columns, row, strict=True)) for row in rows], columns, rows)


if __name__ == "__main__":
    main()
