"""Training by several processes is training by one with the same batch, but for rounding."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

import wordspot as ws
from wordspot.errors import ConfigError
from wordspot.models.layers import SubSpectralNorm
from wordspot.training.checkpoint import load_checkpoint
from wordspot.training.loss import IGNORED
from wordspot.training.parallel import Group, leave
from wordspot.training.synchronised import Share, synchronise

#: Small steps, so that rounding is amplified little.
SETTINGS = {
    "training.batch_size": 15, "training.precision": "float32", "training.evaluate_every": 1000, "training.save_every": 4,
    "training.learning_rates": (0.0005,), "training.average": 0.0, "model.n_channels": 8, "model.dropout": 0.1,
    "scenes.length_s": 0.0,
}  # fmt: skip


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Group]:
    """A group of one process, which does all that a larger one does."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield Group(torch.device("cpu"), 4)
    leave()
    assert not dist.is_initialized()


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(6), nn.BatchNorm2d(6, momentum=None, affine=False), SubSpectralNorm(3, 2)])
def test_a_synchronised_norm_is_a_batch_norm(group: Group, norm: nn.Module) -> None:
    torch.manual_seed(0)
    plain, synchronised = copy.deepcopy(norm), nn.Sequential(copy.deepcopy(norm))
    synchronise(synchronised, Share(0, 1))
    n_channels = 3 if isinstance(norm, SubSpectralNorm) else 6
    for _ in range(3):
        x = torch.randn(5, n_channels, 4, 7) * 3 + 2
        inputs = [x.clone().requires_grad_(), x.clone().requires_grad_()]
        outputs = [plain(inputs[0]), synchronised(inputs[1])]
        torch.testing.assert_close(outputs[1], outputs[0], atol=1e-5, rtol=1e-5)
        for y in outputs:
            (y * torch.arange(7)).square().mean().backward()
        torch.testing.assert_close(inputs[1].grad, inputs[0].grad, atol=1e-4, rtol=1e-4)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(synchronised.state_dict()[f"0.{name}"], value, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(synchronised.eval()(x), plain.eval()(x))


def test_the_mean_of_processes_weighs_examples_and_not_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: 3 examples of loss 2 here, 1 of loss 6 there: the mean of all is 3, as is that of both weighed losses."""
    first, second = Group.__new__(Group), Group.__new__(Group)
    first.size = second.size = 2
    monkeypatch.setattr(Group, "total", lambda self, n: torch.tensor(4.0))
    mine = first.weighed(torch.tensor(2.0), torch.tensor([1, 0, IGNORED, 2]))
    theirs = second.weighed(torch.tensor(6.0), torch.tensor([IGNORED, IGNORED, IGNORED, 1]))
    assert (mine + theirs) / 2 == 3
    assert first.weighed(torch.tensor(torch.nan), torch.tensor([IGNORED])) == 0


def test_a_batch_has_an_example_for_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")
    with pytest.raises(ConfigError, match="a batch of 4 is too small for 8 processes"):
        Group(torch.device("cpu"), 4)


def losses(run: Path) -> list[float]:
    return [record["loss"] for record in ws.load_run(run).log() if record["kind"] == "step"]


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def command(data: Path, out: Path, steps: int, settings: dict[str, Any], *more: str) -> list[str]:
    """Train by two processes."""
    flags = [f"--set={name}={_text(value)}" for name, value in settings.items()]
    return [
        sys.executable, *TORCHRUN, "-m", "wordspot", "train",
        str(data), "--words", "high,low", "--out", str(out), "--steps", str(steps), "--model", "residual_1d", "--init", "none",
        "--device", "cpu", *flags, *more,
    ]  # fmt: skip


@pytest.mark.slow
def test_two_processes_compute_what_one_does(tone_folder: Path, tmp_path: Path) -> None:
    """With dropout and batch norms, in float64: in one process too, a change of the first weights by 1e-7, as float32 rounds,
    changes the loss by 0.1 in 200 steps.
    """
    script = Path(__file__).parents[1] / "support" / "double_training.py"
    found = []
    for n_processes in (1, 2):
        out = tmp_path / f"{n_processes}.json"
        start = [sys.executable, *(TORCHRUN if n_processes == 2 else ())]
        done = subprocess.run(
            [*start, str(script), str(tone_folder), str(out), "200"], capture_output=True, text=True, timeout=900, env=ENVIRONMENT
        )
        assert done.returncode == 0, done.stderr
        found.append(json.loads(out.read_text()))
    assert len(found[0]) == 200
    assert found[1] == pytest.approx(found[0], abs=1e-9)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_processes_train_as_one_and_one_goes_on(tone_folder: Path, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"model": "residual_1d", "init": "none", "device": "cpu"}
    ws.train(tone_folder, ["high", "low"], out=tmp_path / "one", steps=8, settings=SETTINGS, **arguments)
    two = command(tone_folder, tmp_path / "two", 8, SETTINGS)
    done = subprocess.run(two, capture_output=True, text=True, timeout=600, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("next: ") == 1  # one process prints
    assert "Warning" not in done.stderr
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-3)
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == sorted(
        path.name for path in (tmp_path / "one").iterdir()
    )
    for name in ("one", "two"):
        ws.resume(tmp_path / name, tone_folder, checkpoint=4, settings={"training.steps": (10,)}, device="cpu")
    assert len(losses(tmp_path / "two")) == 10
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-3)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds the processes in /proc")
def test_a_process_that_is_killed_ends_the_run_with_a_line_and_whole_checkpoints(tone_folder: Path, tmp_path: Path) -> None:
    out, settings = tmp_path / "run", {**SETTINGS, "training.save_every": 2}
    process = subprocess.Popen(
        command(tone_folder, out, 100_000, settings),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    try:
        wait_until(lambda: len(list((out / "checkpoints").glob("step-*.safetensors"))) >= 2)
        os.kill(process_of_rank(1, process.pid), signal.SIGKILL)
        killed = time.monotonic()
        _, error = process.communicate(timeout=120)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert time.monotonic() - killed < 30
    assert process.returncode != 0
    lines = [line for line in error.splitlines() if line.startswith("wordspot: ")]
    assert lines == [
        "wordspot: a process of this training was ended; the same command with --resume goes on from the last checkpoint"
    ]
    steps = sorted(int(path.stem.removeprefix("step-")) for path in (out / "checkpoints").glob("step-*.safetensors"))
    for step in steps:
        assert load_checkpoint(out / "checkpoints" / f"step-{step:08}.safetensors").step == step


def wait_until(is_true: Callable[[], bool], seconds: float = 900) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def process_of_rank(number: int, parent: int) -> int:
    """The process of this rank that `torchrun`, whose process id is `parent`, has started."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            variables = (folder / "environ").read_bytes().split(b"\0")
            is_child = f"\nPPid:\t{parent}\n" in (folder / "status").read_text()
            if is_child and f"RANK={number}".encode() in variables:
                return int(folder.name)
    raise AssertionError(f"there is no process of rank {number}")


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
