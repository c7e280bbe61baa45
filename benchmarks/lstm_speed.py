"""Time of a training iteration of the classic `lstm`: forward, backward and Adam's step, for 20 recordings.

    python benchmarks/lstm_speed.py [--frames 5000,500] [--threads 2] [--plain]

The recordings fill all frames, which is the worst case: a masked network cuts a batch to its longest recording.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

import torch

from results import write_result
from wordspot.config import ModelConfig
from wordspot.models import cpu_kernels, make_model
from wordspot.models.lstm import Lstm

BATCH, N_FEATURES = 20, 13


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", default="5000,500", help="of each recording, several with commas (default: 5000,500)")
    parser.add_argument("--threads", type=int, default=2, help="that torch may use (default: 2)")
    parser.add_argument("--iterations", type=int, default=5, help="timed, after one that is not (default: 5)")
    parser.add_argument("--plain", action="store_true", help="torch's LSTM as it is: all threads, no flushing to zero")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, {args.threads} threads, load {os.getloadavg()[0]:.1f} before")
    rows = []
    for n_frames in map(int, args.frames.split(",")):
        seconds, processor = measure(n_frames, args.iterations, args.plain)
        print(
            f"  {BATCH} x {n_frames} frames: {statistics.median(seconds):.2f} s an iteration (median of {args.iterations}; "
            f"{min(seconds):.2f} to {max(seconds):.2f}), {statistics.median(processor):.2f} s of processor time"
        )
        rows.append({"frames": n_frames, "seconds": seconds, "processor_seconds": processor})
    print(f"  load {os.getloadavg()[0]:.1f} after")
    if args.json:
        write_result(args.json, rows)


def measure(n_frames: int, n_iterations: int, plain: bool) -> tuple[list[float], list[float]]:
    """Seconds of each iteration: on the clock, and of the processor."""
    network = make_model(ModelConfig("lstm"), n_frames, N_FEATURES, 2)
    assert isinstance(network, Lstm)
    cpu_kernels.enabled = not plain
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0)
    generator = torch.Generator().manual_seed(0)
    features = 5 * torch.randn(BATCH, n_frames, N_FEATURES, generator=generator)
    truth = torch.arange(BATCH) % 2
    seconds, processor = [], []
    for _ in range(n_iterations + 1):
        begun, used = time.perf_counter(), time.process_time()
        posterior = network(features).softmax(dim=1)[:, 0]
        loss = (posterior - truth.float()).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - begun)
        processor.append(time.process_time() - used)
    return seconds[1:], processor[1:]


if __name__ == "__main__":
    main()
