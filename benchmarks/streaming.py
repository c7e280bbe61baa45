"""Cost of exported files on one core, and the difference between scores of a stream and of clips.

    python benchmarks/streaming.py FILE.onnx... [--json OUT]
    python benchmarks/streaming.py FILE.onnx --parity RECORDINGS [--run RUN] [--minutes 10] [--reference clips|whole]

Cost, on one thread: a live call of 20 ms of samples to `Scorer.feed` and to `Detector.feed` (scores and detections),
its share of real time, the speed on long chunks as a multiple of real time, and, in a fresh process, the time from
before `import wordspot.runtime.detector` to a loaded model, with its peak of resident memory.

Parity: the largest difference between the scores of the streamed recordings (files, or all in folders, concatenated),
fed 1, 2, 7 and 100 hops at a time, and the scores of the clip that ends at each hop. With a RUN also in torch, where
the clips go through `forward`, and between torch and the file. `--reference whole` compares with one pass over all of
it instead, for recurrent networks, whose memory is longer than a clip.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from results import write_result  # noqa: E402
from wordspot.audio.files import read_audio  # noqa: E402
from wordspot.audio.folder import is_audio_name  # noqa: E402
from wordspot.runtime.detector import Classifier, Detector, Scorer  # noqa: E402
from wordspot.runtime.model import Model, open_model  # noqa: E402

LIVE_MS = 20
CHUNKS = (1, 2, 7, 100)
_LOAD = """
import resource, sys, time
start = time.perf_counter()
from wordspot.runtime.detector import Detector
Detector(sys.argv[1])
seconds = time.perf_counter() - start
assert "torch" not in sys.modules
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(seconds, peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost and parity of exported files on a stream.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.onnx")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--parity", nargs="+", type=Path, metavar="RECORDINGS")
    parser.add_argument("--run", type=Path, help="the run that the file was exported from")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--reference", choices=("clips", "whole"), default="clips")
    args = parser.parse_args()
    rows = [measure_parity(file, args) if args.parity else measure_cost(file) for file in args.files]
    print_table(rows)
    if args.json:
        write_result(args.json, rows)


def print_table(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        print(row["file"])
        for name, value in row.items():
            if name != "file":
                print(f"  {name.replace('_', ' '):44}{value:>12.4g}" if isinstance(value, float) else f"  {name:44}{value:>12}")


# --------------------------------------------------------------------------------------------------------------------- cost


def measure_cost(file: Path) -> dict[str, Any]:
    loads = [
        [
            float(value)
            for value in subprocess.run(
                [sys.executable, "-c", _LOAD, str(file)], capture_output=True, text=True, check=True
            ).stdout.split()
        ]
        for _ in range(5)
    ]
    model = open_model(file)
    rate = model.card.sample_rate
    audio = _test_sound(30 * rate)
    scorer, detector = Scorer(model), Detector(model)
    live = _time_calls(scorer.feed, audio, rate)
    with_decoder = _time_calls(detector.feed, audio, rate)
    at_48k = _time_calls(Scorer(model, sample_rate=48_000).feed, _test_sound(30 * 48_000), 48_000)
    return {
        "file": str(file),
        "kind": model.card.kind,
        "file_kb": file.stat().st_size / 1000,
        "live_call_us_median": statistics.median(live),
        "live_call_us_90": float(np.percentile(live, 90)),
        "live_call_with_decoder_us_median": statistics.median(with_decoder),
        "live_call_from_48_kHz_us_median": statistics.median(at_48k),
        "real_time_factor": statistics.median(live) / (LIVE_MS * 1000),
        "bulk_times_real_time": _bulk_speed(scorer, audio, rate),
        "import_and_load_s": statistics.median(seconds for seconds, _ in loads),
        "peak_resident_mb": max(megabytes for _, megabytes in loads),
    }


def _test_sound(n_samples: int) -> NDArray[np.float32]:
    """Noise whose loudness rises and falls."""
    noise = np.random.default_rng(0).standard_normal(n_samples)
    return (0.1 * noise * (1 + np.sin(np.arange(n_samples) / 4000))).clip(-1, 1).astype(np.float32)


def _time_calls(feed: Callable[[NDArray[np.float32]], Any], audio: NDArray[np.float32], rate: int) -> list[float]:
    """Microseconds of each call after the first second."""
    size, times = rate * LIVE_MS // 1000, []
    for start in range(0, len(audio) - size + 1, size):
        chunk = audio[start : start + size]
        begun = time.perf_counter()
        feed(chunk)
        times.append(1e6 * (time.perf_counter() - begun))
    return times[1000 // LIVE_MS :]


def _bulk_speed(scorer: Scorer, audio: NDArray[np.float32], rate: int) -> float:
    """Seconds of sound a second, in one long feed: the median of 7."""
    times = []
    for _ in range(8):
        begun = time.perf_counter()
        scorer.feed(audio)
        times.append(time.perf_counter() - begun)
    return len(audio) / rate / statistics.median(times[1:])


# ------------------------------------------------------------------------------------------------------------------- parity


def measure_parity(file: Path, args: argparse.Namespace) -> dict[str, Any]:
    model = open_model(file)
    card = model.card
    audio = _recordings(args.parity, card.sample_rate, int(60 * args.minutes * card.sample_rate))
    row: dict[str, Any] = {"file": str(file), "minutes": len(audio) / card.sample_rate / 60}
    streams = {n: _stream_file(model, audio, n * card.step_samples) for n in CHUNKS}
    first = streams[CHUNKS[0]]
    row["rows"] = len(first)
    reference = _clips_of_file(model, audio, len(first)) if args.reference == "clips" else Scorer(model).feed(audio)[0]
    for n, scores in streams.items():
        row[f"onnx_{n}_hops"] = float(np.abs(scores - reference).max())
    if args.run:
        torch_reference, torch_streams = _with_torch(args.run, model, audio, args.reference)
        for n, scores in torch_streams.items():
            row[f"torch_{n}_hops"] = float(np.abs(scores - torch_reference).max())
        row["onnx_stream_and_torch_reference"] = float(np.abs(first - torch_reference).max())
    return row


def _recordings(paths: list[Path], sample_rate: int, n_samples: int) -> NDArray[np.float32]:
    """Recordings, concatenated: float32 [n_samples], or fewer if there are no more."""
    files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    parts: list[NDArray[np.float32]] = []
    for file in files:
        if is_audio_name(file.name) and sum(map(len, parts)) < n_samples:
            parts.append(read_audio(file, sample_rate)[0])
    return np.concatenate(parts)[:n_samples]


def _stream_file(model: Model, audio: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    scorer = Scorer(model)
    return np.concatenate([scorer.feed(audio[start : start + size])[0] for start in range(0, len(audio), size)])


def _clips(audio: NDArray[np.float32], card: Any, n_rows: int) -> Iterator[NDArray[np.float32]]:
    """The clip that ends at each hop, 200 at a time."""
    every = np.lib.stride_tricks.sliding_window_view(audio, card.clip_samples)[:: card.step_samples][:n_rows]
    return (np.ascontiguousarray(every[start : start + 200]) for start in range(0, n_rows, 200))


def _clips_of_file(model: Model, audio: NDArray[np.float32], n_rows: int) -> NDArray[np.float32]:
    classifier = Classifier(model)
    return np.concatenate([classifier.classify(clips) for clips in _clips(audio, model.card, n_rows)])


def _with_torch(
    run: Path, model: Model, audio: NDArray[np.float32], reference: str
) -> tuple[NDArray[np.float32], dict[int, NDArray[np.float32]]]:
    """Scores by torch alone: of the clips (or of one pass), and of the streams."""
    import torch

    from wordspot.features import make_front_end
    from wordspot.labels import labels_of
    from wordspot.models import make_model
    from wordspot.models.streaming import initial_state
    from wordspot.training.run_folder import RunFolder
    from wordspot.training.weights import load_weights

    torch.set_num_threads(1)
    checkpoint = RunFolder(run).load(None)
    config, card = checkpoint.config, model.card
    front_end: Any = make_front_end(config.features)
    network: Any = make_model(
        config.model, config.features.n_frames, config.features.n_features, len(labels_of(config.words))
    ).eval()
    load_weights(network, checkpoint)

    def stream(size: int) -> NDArray[np.float32]:
        sound, state, rows = front_end.initial_state(1), initial_state(network, 1, front_end.early_frames), []
        for start in range(0, len(audio) // card.step_samples * card.step_samples, size):
            chunk = torch.from_numpy(audio[start : start + size][None])
            chunk = chunk[:, : chunk.shape[1] // card.step_samples * card.step_samples]
            features, sound = front_end.step(chunk, sound)
            logits, state = network.step(features, state)
            rows.append(logits[0].softmax(dim=-1).numpy())
        return np.concatenate(rows)[card.clip_samples // card.step_samples - 1 :]

    with torch.inference_mode():
        streams = {n: stream(n * card.step_samples) for n in CHUNKS}
        if reference == "whole":
            return stream(len(audio)), streams
        clips = (torch.from_numpy(clips) for clips in _clips(audio, card, len(streams[1])))
        return np.concatenate([network(front_end(clip)).softmax(dim=-1).numpy() for clip in clips]), streams


if __name__ == "__main__":
    main()
