"""The effect of codecs, noise and another sample rate on the results of `--leave-one-generator-out`.

    python benchmarks/degraded.py RUNS labels.csv [--json OUT]

RUNS is the ``--out`` of `wordspot train labels.csv --task recordings --leave-one-generator-out`. Each recording is
degraded in each of `WAYS` and classified by a run that was trained on neither its generator nor its speaker. Printed
for each way: the equal error rate of every generator, and the means of these and of the areas under the ROC, with
intervals bootstrapped over speakers.
"""

from __future__ import annotations

import argparse
import io
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from results import write_result
from wordspot.audio.resample import resample
from wordspot.audio.samples import Samples, to_float32, to_int16
from wordspot.commands import console
from wordspot.config import RunConfig
from wordspot.data.manifest.load import RecordingSet, load_manifest
from wordspot.data.manifest.rows import ManifestRow
from wordspot.evaluation.bootstrap import Scored
from wordspot.evaluation.scores import measure_mean
from wordspot.features import make_front_end
from wordspot.metrics import det_curve, equal_error_rate
from wordspot.models import make_model
from wordspot.training.leave_one_out import scored
from wordspot.training.run_folder import RunFolder
from wordspot.training.tasks.recordings import judge
from wordspot.training.weights import load_weights

Way = Callable[[Samples, int], Samples]
_CPU = torch.device("cpu")
_CODEC_RATES = (8000, 16_000, 24_000, 48_000)  # that all of the codecs take


def through(container: str, subtype: str, compression: float) -> Way:
    """A codec of libsndfile; 0 is its best quality, 1 its worst."""

    def code(audio: Samples, rate: int) -> Samples:
        file = io.BytesIO()
        code_rate = rate if rate in _CODEC_RATES else 16_000
        audio = resample(audio, rate, code_rate)
        soundfile.write(file, audio, code_rate, format=container, subtype=subtype, compression_level=compression)
        file.seek(0)
        heard, its_rate = soundfile.read(file, dtype="float32")
        return resample(heard, its_rate, rate)

    return code


def over_noise(snr_db: float) -> Way:
    """White noise, the same for the same recording."""

    def mix(audio: Samples, rate: int) -> Samples:
        rng = np.random.default_rng(zlib.crc32(audio.tobytes()))
        level = np.sqrt(np.square(audio).mean()) * 10 ** (-snr_db / 20)
        return audio + np.float32(level) * rng.standard_normal(len(audio)).astype(np.float32)

    return mix


#: At 16 kHz the codecs take about 68, 25, 32 and 32 kbit/s.
WAYS: dict[str, Way] = {
    "as it is": lambda audio, rate: audio,
    "MP3, best": through("MP3", "MPEG_LAYER_III", 0.0),
    "MP3, worst": through("MP3", "MPEG_LAYER_III", 0.99),
    "Vorbis, worst": through("OGG", "VORBIS", 0.99),
    "Opus, poor": through("OGG", "OPUS", 0.9),
    "at 0.9 of the rate": lambda audio, rate: resample(resample(audio, rate, rate * 9 // 10), rate * 9 // 10, rate),
    "20 dB softer": lambda audio, rate: audio * np.float32(0.1),
    "noise at 30 dB": over_noise(30),
    "noise at 15 dB": over_noise(15),
}


def judge_degraded(run: Path, listed: Path) -> tuple[RecordingSet, dict[str, np.ndarray[Any, Any]]]:
    """The testing set of a run, and the posteriors float64 [recordings, labels] of each degradation."""
    checkpoint = RunFolder(run).load()
    config: RunConfig = checkpoint.config
    features, rate = config.features, config.features.sample_rate
    network = make_model(config.model, features.n_frames, features.n_features, len(config.words))
    load_weights(network, checkpoint)
    front_end = make_front_end(features)
    plain = replace(config.recordings, backgrounds=())
    loaded = load_manifest(listed, config.words, config.data, plain, rate, clip_ms=features.clip_ms)
    testing = loaded.sets["testing"]
    posteriors = {}
    for name, way in WAYS.items():
        heard = [to_int16(np.clip(way(to_float32(audio), rate), -1, 1)) for audio in testing.audio]
        posteriors[name] = judge(network, front_end, config, heard, _CPU)
    return testing, posteriors


def test_generator(runs: Path, listed: Path) -> dict[str, Scored]:
    """The scores of all folds of a generator, for each degradation.

    A recording that several folds test counts once, with its mean posterior.
    """
    rows: dict[Path, tuple[ManifestRow, int]] = {}
    found: dict[str, dict[Path, list[Any]]] = {name: defaultdict(list) for name in WAYS}
    for run in runs_of(runs):
        testing, posteriors = judge_degraded(run, listed)
        for place, row in enumerate(testing.rows):
            rows[row.file] = (row, int(testing.truth[place]))
            for name in WAYS:
                found[name][row.file].append(posteriors[name][place])
    truth = np.array([label for _, label in rows.values()])
    return {
        name: scored([row for row, _ in rows.values()], truth, np.stack([np.mean(each, axis=0) for each in of.values()]))
        for name, of in found.items()
    }


def runs_of(folder: Path) -> list[Path]:
    """The runs of a generator's folder: one for each fold of the speakers, or itself; empty if it holds no run."""
    return [run for run in sorted(folder.glob("fold-*")) or [folder] if (run / "config.json").is_file()]


def print_table(generators: list[str], figures: dict[str, Any]) -> None:
    """A row for each degradation, in percent."""

    def cells(name: str, row: dict[str, Any]) -> list[str]:
        eer, eer_low, eer_high, auc, auc_low, auc_high = (
            f"{100 * row[key]:.1f}" for key in ("eer", "eer_low", "eer_high", "auc", "auc_low", "auc_high")
        )
        rates = [f"{100 * rate:.1f}" for rate in row["eer_of_each"].values()]
        return [name, *rates, eer, f"{eer_low} to {eer_high}", auc, f"{auc_low} to {auc_high}"]

    columns = ["", *generators, "mean EER", "95 %", "mean AUC", "95 %"]
    rows = [cells(name, row) for name, row in figures.items()]
    console.print_table("Equal error rates of generators that are not in the training set, in percent", columns, rows)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", metavar="RUNS", type=Path, help="the folder of the runs")
    parser.add_argument("listed", metavar="CSV", type=Path, help="the list that they were trained on")
    parser.add_argument("--json", metavar="OUT", type=Path, help="write the result to this file")
    args = parser.parse_args(argv)
    folders = [folder for folder in sorted(args.runs.iterdir()) if runs_of(folder)] if args.runs.is_dir() else []
    if not folders:
        parser.error(f"{args.runs}: expected the runs of --leave-one-generator-out, found none")
    tests = {folder.name: test_generator(folder, args.listed) for folder in folders}
    figures: dict[str, Any] = {}
    for name in WAYS:
        each = [test[name] for test in tests.values()]
        rates = [equal_error_rate(det_curve(test.scores, test.is_target)) for test in each]
        figures[name] = {"eer_of_each": dict(zip(tests, rates, strict=True)), **measure_mean(each).to_json()}
    print_table(list(tests), figures)
    if args.json:
        columns = ("what was done to the recordings", "mean equal error rate", "95 % interval")
        rows = [(way, *(f"{100 * row[key]:.1f}" for key in ("eer", "eer_low", "eer_high"))) for way, row in figures.items()]
        write_result(args.json, figures, columns, [(way, f"{rate} %", f"{low} to {high}") for way, rate, low, high in rows])


if __name__ == "__main__":
    main()
