"""Run a wake word for ESPHome on recordings as a device does: with its features, its 8-bit arithmetic and its decision rule."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wordspot.config import DEVICE_DECODER, DecoderConfig
from wordspot.errors import CardError, ConfigError, NotFoundError, install_command
from wordspot.export.esphome import AUTHOR, FEATURES, window_of
from wordspot.export.micro_wake_word import OtherRunner, can_run_others
from wordspot.export.tflite import heads
from wordspot.export.tflite.fixed import Ints
from wordspot.export.tflite.making import MICRO_FEATURES, as_ints
from wordspot.export.tflite.quantized import Quantized, quantized_scores
from wordspot.export.tflite.reading import MAX_BYTES, check_structure, read_tflite
from wordspot.features.micro import MicroFrontEnd
from wordspot.files import atomic_path, read_json, write_json
from wordspot.labels import SILENCE_LABEL
from wordspot.presets import ESPHOME_DECODER
from wordspot.runtime.modelfile.card import Card, SelfTest

_FRAME = FEATURES.hop_samples
_MOST_FRAMES = 6000  # in one piece, to bound memory
_MOST_SCORES = 1000  # in a mean


class EsphomeFile:
    """A manifest and its network: a model in another format, as `wordspot.runtime.model.OtherFormat` describes it."""

    suffix = ".json"

    def __init__(self, path: Path, manifest: dict[str, Any], network: Quantized | None, stride: int) -> None:
        """A network of None is one that another project made; see `wordspot.export.micro_wake_word`."""
        self.path, self.manifest, self.network, self.stride = path, manifest, network, stride
        self.name, self.card = str(path), _card(manifest, self.decoder, stride)

    @property
    def model_path(self) -> Path:
        """The network, beside the manifest."""
        return self.path.parent / str(self.manifest["model"])

    @property
    def decoder(self) -> DecoderConfig:
        """The device's decision rule, with the cut-off and window of the manifest."""
        settings = self.manifest["micro"]
        return DecoderConfig(
            kind=DEVICE_DECODER,
            average_ms=(int(settings["sliding_window_size"]) - 1) * FEATURES.hop_ms * self.stride,
            threshold=float(settings["probability_cutoff"]),
            refractory_ms=ESPHOME_DECODER.refractory_ms,
        )

    def make_runner(self) -> DeviceRunner | OtherRunner:
        """A runner that turns samples into scores."""
        if self.network is None:
            return OtherRunner(self.model_path, FEATURES.window_samples, _FRAME)
        return DeviceRunner(self.network, self.stride)

    def write_copy(self, decoder: DecoderConfig, out: Path) -> None:
        """Write the manifest with another cut-off and window, and the network beside it."""
        window = window_of(decoder, self.stride)
        cutoff = decoder.threshold_of(str(self.manifest["wake_word"]))
        settings = {**self.manifest["micro"], "probability_cutoff": round(cutoff, 4), "sliding_window_size": window}
        model = self.model_path
        target = out.with_suffix(".tflite")
        out.parent.mkdir(parents=True, exist_ok=True)
        if target.resolve() != model.resolve():
            with atomic_path(target) as temporary:
                shutil.copyfile(model, temporary)
        write_json(out, {**self.manifest, "model": target.name, "micro": settings})


class DeviceRunner:
    """Scores of a stream, as a device computes them: one row for each call of the network.

    The first frame ends with the first full window of samples. The network keeps no state here: each piece of new frames is
    computed together with the earlier frames that its scores depend on.
    """

    def __init__(self, network: Quantized, stride: int) -> None:
        self._network, self._stride = network, stride
        self._front_end = MicroFrontEnd(FEATURES)
        seen = network.kernel + sum(len(block.over_time.weights) - 1 for block in network.blocks) + network.pool
        self._n_past = -(-seen // stride) * stride
        self.reset()

    def reset(self) -> None:
        """Return to the state before the stream."""
        self._state = self._front_end.initial_state(1)
        self._early = self._front_end.warmup_frames
        self._waiting = np.zeros(0, np.float32)
        self._past: Ints = np.zeros((0, self._network.n_features), np.int64)
        self._new: Ints = self._past
        self._n_frames = 0

    def feed(self, audio: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Feed float32 [samples]; return scores [n, 2] of silence and the word, and where the audio of each row ends."""
        self._new = np.concatenate([self._new, self._frames(np.concatenate([self._waiting, audio]))])
        parts = []
        while len(self._new) >= self._stride:
            n = min(len(self._new) // self._stride * self._stride, _MOST_FRAMES // self._stride * self._stride)
            parts.append(self._calls(self._new[:n]))
            self._new = self._new[n:]
        rows = np.concatenate([np.zeros((0, 1), np.int64), *parts])
        ends = self._n_frames - (np.arange(len(rows), dtype=np.int64)[::-1]) * self._stride
        scores = (rows / 256).astype(np.float32)
        samples = FEATURES.window_samples + (ends - 1) * _FRAME
        return np.concatenate([1 - scores, scores], axis=1), samples

    def _frames(self, audio: NDArray[np.float32]) -> Ints:
        n = len(audio) // _FRAME * _FRAME
        self._waiting = audio[n:].copy()
        parts = [np.zeros((0, self._network.n_features), np.int64)]
        for start in range(0, n, _MOST_FRAMES * _FRAME):
            with torch.no_grad():
                piece = torch.from_numpy(audio[start : min(start + _MOST_FRAMES * _FRAME, n)])[None]
                features, self._state = self._front_end.step(piece, self._state)
            parts.append(as_ints(features[0].double().numpy(), MICRO_FEATURES, FEATURES))
        frames = np.concatenate(parts)
        early = min(self._early, len(frames))
        self._early -= early
        return frames[early:]

    def _calls(self, new: Ints) -> Ints:
        together = np.concatenate([self._past, new])
        scores = quantized_scores(self._network, together, self._stride)[-(len(new) // self._stride) :]
        self._past = together[-self._n_past :] if len(together) >= 2 * self._n_past else together
        self._n_frames += len(new)
        return scores


def open_esphome(
    path: Path | str, *, others: bool = False, cutoff: float | None = None, window: int | None = None
) -> EsphomeFile:
    """Open a wake word for ESPHome, to run it as a device does.

    Args:
        path: the manifest (.json), or a network without one (.tflite), whose name is then the wake word.
        others: networks that wordspot did not export are run too, by pymicro-wakeword, which the extra `bench` installs. It loads
            files without checks, and here only their structure is checked: name only files that you trust.
        cutoff, window: of a network without a manifest, which needs both: the word is detected if the mean of the last `window`
            scores (1 to 1000, one for each call of the network) exceeds `cutoff` (0 to 1).

    Raises:
        ConfigError: a cut-off or window is missing or out of range, or given for a manifest, which has its own.
        NotFoundError: no such file, or no network beside the manifest.
        CardError: it is damaged, or wordspot did not write it and `others` is not set, or that package is not here.
    """
    path = Path(path)
    if path.suffix.lower() == ".tflite":
        return _open(path, _as_manifest(path, cutoff, window), others=others)
    if cutoff is not None or window is not None:
        raise ConfigError(f"`cutoff` and `window` are for networks without a manifest (.tflite); {path} has its own")
    if not path.is_file():
        raise NotFoundError(f"{path}: no such file; expected a manifest written by `wordspot export --target esphome`")
    manifest = _manifest(path)
    model = path.parent / manifest["model"]
    if not model.is_file():
        raise NotFoundError(f"{model}: no such file, but {path.name} names it")
    return _open(path, manifest, others=others and manifest.get("author") != AUTHOR)


def _as_manifest(path: Path, cutoff: float | None, window: int | None) -> dict[str, Any]:
    """What a manifest of this network would say."""
    if not path.is_file():
        raise NotFoundError(f"{path}: no such file; expected the network of a wake word for ESPHome")
    if cutoff is None or window is None:
        raise ConfigError(
            f"{path}: a network without its cut-off and window; name the manifest (.json) beside it, or give both as `cutoff` "
            "and `window`"
        )
    if not 0 <= cutoff <= 1 or not 1 <= window <= _MOST_SCORES:
        raise ConfigError(f"`cutoff` must be 0 to 1, and `window` 1 to {_MOST_SCORES}, got {cutoff:g} and {window}")
    settings = {"probability_cutoff": cutoff, "sliding_window_size": window}
    return {"wake_word": path.stem.replace("_", " "), "model": path.name, "micro": settings}


def _open(path: Path, manifest: dict[str, Any], *, others: bool) -> EsphomeFile:
    """The network that a manifest names, in the folder of `path`."""
    model = path.parent / manifest["model"]
    with model.open("rb") as file:
        content = file.read(MAX_BYTES)
    network: Quantized | None
    try:
        network, stride = read_tflite(content, str(model))
    except CardError as error:
        if not others:
            raise
        check_structure(content, str(model))
        if not can_run_others():
            raise CardError(f"{error}. Networks of others are run by pymicro-wakeword: {install_command('bench')}") from error
        network, stride = None, OtherRunner(model, FEATURES.window_samples, _FRAME).stride
    if network is not None and (network.n_features != FEATURES.n_mels or network.head == heads.ALL):
        raise CardError(f"{model}: this is not the network of a wake word for ESPHome")
    try:
        return EsphomeFile(path, manifest, network, stride)
    except ConfigError as error:
        raise CardError(f"{path}: {error}") from error


def _card(manifest: dict[str, Any], decoder: DecoderConfig, stride: int) -> Card:
    """The card of a streaming model with a row for each call."""
    step = _FRAME * stride
    return Card(
        kind="stream",
        labels=(SILENCE_LABEL, manifest["wake_word"]),
        sample_rate=FEATURES.sample_rate,
        clip_samples=step,
        step_samples=step,
        states=(),
        decoder=decoder,
        self_test=SelfTest(0, 1, ((0, 0), (0, 0)), (), ()),
        config={"task": "trigger"},
    )


def _manifest(path: Path) -> dict[str, Any]:
    """Read a manifest, and check the fields that are used here.

    Raises:
        CardError: one is missing, or has another type or a value out of range.
    """
    try:
        manifest: dict[str, Any] = read_json(path)
        word, model, settings = manifest["wake_word"], manifest["model"], manifest["micro"]
        if manifest["type"] != "micro" or not isinstance(word, str) or not word or word == SILENCE_LABEL:
            raise ValueError("no wake word")
        if not isinstance(model, str) or Path(model).name != model:
            raise ValueError("its model is not the name of a file beside it")
        if not 1 <= int(settings["sliding_window_size"]) <= _MOST_SCORES or not 0 <= float(settings["probability_cutoff"]) <= 1:
            raise ValueError("a cut-off or window out of range")
    except (ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise CardError(f"{path}: not a manifest that `wordspot export --target esphome` wrote ({reason})") from error
    return manifest
