"""Start Ray on this machine, or connect to a cluster. Nothing here imports it before it is used."""

from __future__ import annotations

import importlib.util
import logging
import os
import socket
from typing import Any

from wordspot.errors import ConfigError, missing_extra

_STORE_BYTES = 256 << 20
_PATIENCE_S = 10.0  # for a node on the network


def has_ray() -> bool:
    """Whether Ray is installed."""
    return importlib.util.find_spec("ray") is not None


def start_ray(n_cores: int | None = None, address: str | None = None) -> tuple[Any, bool]:
    """The module `ray`, connected to a cluster, and whether the connection was made here, and is to be ended here.

    Args:
        n_cores: of the cluster that is started on this machine; None: all of the machine's.
        address: of a running cluster, or ``auto``; None: start one on this machine, unless the calling program has one.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: no cluster there, or a number of workers for a cluster that runs already.
    """
    if n_cores is not None and (n_cores < 1 or address):
        raise ConfigError("`workers` must be at least 1" if not address else "`workers` is decided by the cluster; leave it out")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray starts; it would send usage statistics
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what its next version does; else it warns
    try:
        import ray
    except ModuleNotFoundError as error:
        raise missing_extra(error, "`engine` ray") from error
    is_ours = not ray.is_initialized()
    if is_ours:
        _check_answers(address or "")
        _start(ray, n_cores, address)
    return ray, is_ours


def _start(ray: Any, n_cores: int | None, address: str | None) -> None:
    quiet = {
        "include_dashboard": False,
        "object_store_memory": _STORE_BYTES,
        "num_cpus": n_cores,
        "_node_ip_address": "127.0.0.1",
    }
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **({} if address else quiet))
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = " ".join(str(error).split())[:300]
        if address is None:
            raise ConfigError(f"Ray could not be started on this machine ({reason}); choose another `engine`") from error
        raise ConfigError(
            f"`address`: Ray cannot connect to the cluster at {address} ({reason}); its version must be the same there, and if "
            "the cluster has a token, set RAY_AUTH_MODE=token here"
        ) from error


def _check_answers(address: str) -> None:
    """Raise if nothing listens there: Ray itself would try again for minutes, with a line for each time.

    Raises:
        ConfigError: nothing does.
    """
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if not port.isdecimal():  # none, or `auto`
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE_S).close()
    except (OSError, OverflowError, UnicodeError) as error:  # the last one of a name with two dots in a row
        raise ConfigError(
            f"`address`: no Ray cluster answers at {address} ({error}); expected its head node, such as 10.0.0.1:6379"
        ) from error
