"""Choose each word's threshold on validation streams, and write it into the exported file.

Hits are counted on clips at 0 and -30 dB and on realistic streams, false accepts on sentences without the words, on sounds and
on background noise. No threshold falls below 0.5.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cache import RATE, arguments
from hearing import bench_of
from hearing_streams import Stream, clips, scenes, sentences, sounds
from wordspot.audio.files import read_audio
from wordspot.config import DecoderConfig
from wordspot.data.scenes.material import StreamMaterial, load_material
from wordspot.evaluation.bench import Bench
from wordspot.evaluation.curves import THRESHOLDS, sweep
from wordspot.evaluation.matching import words_of
from wordspot.evaluation.thresholds import choose_thresholds
from wordspot.metrics import StreamCurve
from wordspot.runtime.model import Model, open_model
from wordspot.runtime.modelfile.card import with_card

_SPLIT, _SCENE_MINUTES, _STRIDE_MS = "validation", 30.0, 10.0
_LEAST, _UNTUNED = 0.5, 0.6


def spoken_streams(material: StreamMaterial) -> Iterator[Stream]:
    """Streams in which the words are spoken."""
    for decibels in (0.0, -30.0):
        yield clips(material, decibels, np.random.default_rng(5))
    yield from scenes(material, (1, 2), _SCENE_MINUTES)


def other_streams(data: Path, material: StreamMaterial, words: list[str]) -> Iterator[Stream]:
    """Streams in which they are not."""
    yield sentences(data, _SPLIT, words, np.random.default_rng(11))[0]
    yield sounds(data, _SPLIT)
    noise = [read_audio(material.root / path, RATE)[0][start:stop] for path, start, stop in material.noise]
    yield np.concatenate(noise), ()


def choose(spoken: Bench, others: Bench, decoder: DecoderConfig, per_hour: float) -> dict[str, float]:
    """The threshold of each word for at most `per_hour` false accepts over all words."""
    hits = np.stack(list(sweep(spoken, decoder)))[:, :, 0]
    accepts = np.stack(list(sweep(others, decoder)))[:, :, 1]
    curves = {
        word: StreamCurve(np.array(THRESHOLDS), hits[:, at], accepts[:, at], spoken.n_spoken[word], others.hours)
        for at, word in enumerate(spoken.words)
    }
    found = choose_thresholds(curves, int(per_hour * others.hours + 1e-9), dict.fromkeys(spoken.words, _UNTUNED))
    return {word: max(threshold, _LEAST) for word, threshold in found.items()}


def tuned(model: Model, data: Path, per_hour: float) -> DecoderConfig:
    """The model's decoder with thresholds from validation."""
    words = list(words_of(model.card.labels))
    material = load_material(data / "speech_commands", words, _SPLIT)
    spoken = bench_of(model, spoken_streams(material), _STRIDE_MS)
    others = bench_of(model, other_streams(data, material, words), _STRIDE_MS)
    return dataclasses.replace(model.card.decoder, thresholds=choose(spoken, others, model.card.decoder, per_hour))


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("model", type=Path, help="an exported file; its thresholds are replaced")
    parser.add_argument("--per-hour", type=float, default=1, help="false accepts an hour")
    args = parser.parse_args()
    model = open_model(args.model)
    decoder = tuned(model, args.data, args.per_hour)
    args.model.write_bytes(with_card(args.model.read_bytes(), dataclasses.replace(model.card, decoder=decoder)))
    print(json.dumps(decoder.thresholds, indent=1))


if __name__ == "__main__":
    main()
