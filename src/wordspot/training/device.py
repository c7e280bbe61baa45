"""Which device to compute on, and in which precision."""

from __future__ import annotations

import torch

from wordspot.errors import ConfigError
from wordspot.torchrun import local_rank, n_processes


def resolve_device(name: str) -> torch.device:
    """The device of that name; ``auto`` is a GPU by CUDA if there is one, else the CPU.

    Raises:
        ConfigError: this machine or this torch has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and n_processes() > 1:  # each process has its own GPU
        name = f"cuda:{local_rank()}"
    if name != "cpu" and not (name.startswith("cuda") and torch.cuda.is_available()):
        raise ConfigError(f"`device` must be auto, cpu or, if there is a GPU, cuda or cuda:N; got {name!r}")
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"`device` {name}: {str(error).splitlines()[0]}") from error
    return torch.device(name)


def resolve_precision(name: str, device: torch.device) -> str:
    """The precision of that name; ``auto`` is bf16 if the processor computes in it, else float32."""
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() else "float32"
