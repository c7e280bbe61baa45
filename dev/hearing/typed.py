"""How often a typed phrase is detected by its sounds alone, with no training: the best way through `sounds.onnx`'s posteriors.

    python dev/hearing/typed.py --data DATA athena hadouken ...

For each phrase the recordings of DATA/wake_words in which it is found, at thresholds that the sentences of the speakers of
DATA/english_speech for validation and testing pass 0.5, 1, 2, 5 and 10 times an hour.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from hearing_streams import recordings
from wordspot.audio.files import read_audio
from wordspot.audio.samples import to_float32
from wordspot.config import DataConfig
from wordspot.data.speech import load_speech
from wordspot.data.voices.espeak import Espeak, find_espeak
from wordspot.wakeword.pronunciations import pronunciations
from wordspot.wakeword.splicing.alignment import fits_of
from wordspot.wakeword.splicing.sounds import RATE, SoundNetwork

_RATES = (0.5, 1, 2, 5, 10)
_APART = 50  # frames from one false accept to the next
_WORST = -6.0


def best_fits(rows: Sequence[np.ndarray], ways: Iterable[Sequence[int]]) -> list[np.ndarray]:
    """The fit of the best pronunciation at each frame of each recording."""
    ways = list(ways)
    return [np.maximum.reduce([fits_of(one, way) for way in ways]) for one in rows]


def peaks(fits: np.ndarray) -> list[float]:
    """The highest fits, each at least `_APART` frames from higher ones."""
    found, left = [], fits.copy()
    while (place := int(left.argmax())) is not None and left[place] > _WORST:
        found.append(float(left[place]))
        left[max(place - _APART, 0) : place + _APART] = -np.inf
    return found


def report(phrase: str, data: Path, network: SoundNetwork, espeak: Espeak, speech: Sequence[np.ndarray], hours: float) -> str:
    ways = set(network.numbers_of([phrase, *pronunciations(phrase, "en")], espeak).values())
    quiet = np.zeros(RATE // 2, np.float32)
    takes = [read_audio(path, RATE)[0] for path in recordings(data / "wake_words" / phrase.replace(" ", "_"))]
    rows = [network.log_posteriors(np.concatenate([quiet, take, quiet])) for take in takes]
    found = np.array([one.max() for one in best_fits(rows, ways)])
    accepts = sorted((peak for one in best_fits(speech, ways) for peak in peaks(one)), reverse=True)
    shares = [f"{100 * np.mean(found > accepts[int(rate * hours)]):.1f}" for rate in _RATES]
    return f"{phrase}, {len(ways)} ways: {' / '.join(shares)} % of {len(found)} at {', '.join(map(str, _RATES))} an hour"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("phrases", nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    network, espeak = SoundNetwork(), find_espeak()
    assert espeak, "needs espeak-ng: pip install 'wordspot[voices]'"
    sets = [load_speech(args.data / "english_speech", RATE, DataConfig(), split=split) for split in ("validation", "testing")]
    audio = [to_float32(one.samples(number)) for one in sets for number in range(len(one))]
    hours = sum(map(len, audio)) / RATE / 3600
    speech = [network.log_posteriors(one) for one in audio]
    for phrase in args.phrases:
        print(report(phrase, args.data, network, espeak, speech, hours), flush=True)


if __name__ == "__main__":
    main()
