"""Compare each function of `wordspot.models.cpu_kernels` with torch's own on this processor: forward and backward time.

    python benchmarks/cpu_kernels.py [--threads 1] [--pairs 15] [--json FILE]

Both alternate, so that other load affects both; times are processor times. A ratio below 1 means that the function pays.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from wordspot.models import cpu_kernels
from wordspot.models.layers import Dropout, FrequencyConv, ImageConv, PointConv, TimeConv
from wordspot.models.recurrent_layers import Gru, Lstm

#: A layer, and a batch for it as the networks that use it train on.
CASES: tuple[tuple[str, Callable[[], nn.Module], tuple[int, ...]], ...] = (
    ("dropout: conv, after its first layer", lambda: Dropout(0.5), (100, 64, 98, 40)),
    ("dropout: conv, after its second layer", lambda: Dropout(0.5), (100, 64, 49, 20)),
    ("frequency_conv: bcresnet, first stage", lambda: FrequencyConv(8), (100, 8, 20, 90)),
    ("frequency_conv: bcresnet, second stage", lambda: FrequencyConv(12, 2), (100, 12, 20, 90)),
    ("frequency_conv: bcresnet, last stage", lambda: FrequencyConv(20), (100, 20, 5, 90)),
    ("point_conv: bcresnet, first stage", lambda: PointConv(16, 8), (100, 16, 20, 90)),
    ("point_conv: bcresnet, third stage", lambda: PointConv(12, 16), (100, 12, 10, 90)),
    ("image_conv: residual_1d, local patterns", lambda: ImageConv(16, 5, 3, 2), (16, 1, 40, 600)),
    ("dilated_conv: residual_1d, fourth block", lambda: TimeConv(96, 9, 4), (16, 96, 1, 564)),
    ("dilated_conv: residual_1d, last block", lambda: TimeConv(96, 9, 8), (16, 96, 1, 530)),
    ("gru: trigger_gru, second layer", lambda: _EachStep(128), (1375, 5, 128)),
    ("gru: gru, a layer", lambda: _EachStep(60), (94, 100, 60)),
    ("lstm: lstm, first layer", lambda: _LastStep(), (1500, 20, 13)),
)


class _EachStep(nn.Module):
    """A GRU layer's output at every step."""

    def __init__(self, n_units: int) -> None:
        super().__init__()
        self.layer = Gru(n_units, n_units)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer.step(x, self.layer.initial_state(x.shape[1]))[0]


class _LastStep(nn.Module):
    """The last output of an LSTM, so that its gradient fades as in training."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = Lstm(13, 78)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer.run(x)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="that torch may use (default: 1)")
    parser.add_argument("--pairs", type=int, default=15, help="timed pairs of each case (default: 15)")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {args.threads} threads")
    rows = list(measure(args.pairs))
    for row in rows:
        print(f"  {row['case']:40}  {row['ours_ms']:8} ms, torch {row['torch_ms']:8} ms, ratio {row['ratio']}")
    if args.json:
        results = {"torch": torch.__version__, "threads": args.threads, "rows": rows}
        args.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def measure(n_pairs: int) -> Iterator[dict[str, str | float]]:
    """One row per case: medians in milliseconds of processor time, and the median ratio of the pairs."""
    for name, make, shape in CASES:
        layer, x = make(), torch.randn(shape)
        if name.startswith("dilated_conv"):  # in residual_1d, channels lie side by side in memory
            x = x.to(memory_format=torch.channels_last)
        x.requires_grad_()
        times: dict[bool, list[float]] = {True: [], False: []}
        for number in range(n_pairs + 1):
            for cpu_kernels.enabled, each in times.items():
                begun = time.process_time()
                y = layer(x)
                y.backward(torch.ones_like(y))
                if number:
                    each.append(1000 * (time.process_time() - begun))
        cpu_kernels.enabled = True
        ours, torchs = times[True], times[False]
        yield {
            "case": name,
            "ours_ms": round(statistics.median(ours), 2),
            "torch_ms": round(statistics.median(torchs), 2),
            "ratio": round(statistics.median(a / b for a, b in zip(ours, torchs, strict=True)), 2),
        }


if __name__ == "__main__":
    main()
