"""Choose each word's threshold on validation streams, and write it into the exported file.

Hits are counted on clips at 0 and -30 dB and on realistic streams. False accepts are counted on sentences without the words
and on sounds, and at a third of the weight on realistic streams and words of another language: few hours with far more words in
them than a home has. No threshold falls below 0.5.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cache import arguments
from hearing import bench_of
from hearing_streams import Stream, clips, foreign_words, scenes, sentences, sounds
from wordspot.config import DecoderConfig
from wordspot.data.scenes.material import load_material
from wordspot.evaluation.bench import Bench
from wordspot.evaluation.curves import THRESHOLDS, sweep
from wordspot.evaluation.matching import words_of
from wordspot.evaluation.thresholds import choose_thresholds
from wordspot.metrics import StreamCurve
from wordspot.runtime.model import Model, open_model
from wordspot.runtime.modelfile.card import with_card

_SPLIT, _SCENE_MINUTES = "validation", 30.0
_SPOKEN = ("clips", "soft clips", "scenes")
_WEIGHTS = {"sentences": 3, "sounds": 3, "scenes": 1, "foreign words": 1}
_LEAST, _UNTUNED = 0.5, 0.6


def choose(benches: dict[str, Bench], decoder: DecoderConfig, n_thirds: int) -> dict[str, float]:
    """The threshold of each word, for the fewest misses at `n_thirds` thirds of a false accept over all words."""
    counts = {name: np.stack(list(sweep(bench, decoder))) for name, bench in benches.items()}
    hits = sum(counts[name][:, :, 0] for name in _SPOKEN)
    accepts = sum(weight * counts[name][:, :, 1] for name, weight in _WEIGHTS.items())
    words = benches[_SPOKEN[0]].words
    n_spoken = {word: sum(benches[name].n_spoken[word] for name in _SPOKEN) for word in words}
    curves = {
        word: StreamCurve(np.array(THRESHOLDS), hits[:, at], accepts[:, at], n_spoken[word], 1.0) for at, word in enumerate(words)
    }
    found = choose_thresholds(curves, n_thirds, dict.fromkeys(words, _UNTUNED))
    return {word: round(max(threshold, _LEAST), 4) for word, threshold in found.items()}


def tuned(model: Model, data: Path, n_thirds: int) -> DecoderConfig:
    """The model's decoder with thresholds from validation."""
    words = list(words_of(model.card.labels))
    material = load_material(data / "speech_commands", words, _SPLIT)
    rng = np.random.default_rng(5)
    streams: dict[str, Iterable[Stream]] = {
        "sentences": [sentences(data, _SPLIT, words, rng)[0]],
        "clips": [clips(material, 0.0, rng)],
        "soft clips": [clips(material, -30.0, rng)],
        "scenes": scenes(material, (1, 2), _SCENE_MINUTES),
        "sounds": [sounds(data, _SPLIT)],
        "foreign words": [foreign_words(data, _SPLIT)],
    }
    benches = {name: bench_of(model, some) for name, some in streams.items()}
    return dataclasses.replace(model.card.decoder, thresholds=choose(benches, model.card.decoder, n_thirds))


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("model", type=Path, help="an exported file; its thresholds are replaced")
    parser.add_argument("--thirds", type=int, default=3, help="thirds of a false accept on all validation streams (default: 3)")
    args = parser.parse_args()
    model = open_model(args.model)
    decoder = tuned(model, args.data, args.thirds)
    args.model.write_bytes(with_card(args.model.read_bytes(), dataclasses.replace(model.card, decoder=decoder)))
    print(json.dumps(decoder.thresholds, indent=1))


if __name__ == "__main__":
    main()
