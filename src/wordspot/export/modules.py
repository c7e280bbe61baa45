"""The computation of an exported file as torch modules: from audio to posteriors, with a front end of few operators.

On a device the overhead of an operator exceeds its arithmetic. One convolution therefore cuts the audio into windows and
transforms them, with the windowed DFT as its kernel, and a second one computes the mel channels: the same sums as in
`features`, in another order.
"""

from __future__ import annotations

import copy
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from wordspot.config import FeatureConfig
from wordspot.features import SampleHops, filterbanks
from wordspot.features.frames import float32
from wordspot.features.micro import MicroFrontEnd
from wordspot.features.psf import PsfMfcc
from wordspot.features.spectral import SpectralFrontEnd, analysis_window
from wordspot.models.streaming import StepNetwork, StreamingNetwork, initial_state

#: The name of a `ConvolvedDft`'s kernel, for which `onnx_rewrite` puts a formula.
DFT = "dft"


class StreamScores(nn.Module):
    """A streaming front end and network: (audio [1, step · k], sound, *state) → (posteriors [1, k, labels], *new state)."""

    network: StreamingNetwork | StepNetwork

    def __init__(self, front_end: SpectralFrontEnd, network: StreamingNetwork | StepNetwork) -> None:
        super().__init__()
        self.features, self.network = _ConvolvedFrontEnd(front_end), network
        config = front_end.config
        self._n_kept, self._early_frames = front_end.kept_samples, front_end.early_frames
        self._n_rest = self._n_kept + config.hop_samples - config.window_samples  # newest samples, of no full window yet
        self._is_bare = isinstance(self._network_state(), Tensor)

    def forward(self, audio: Tensor, sound: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        joined = torch.cat([sound, audio], dim=1)
        before = state[0] if self._is_bare else state
        # cut, so that the exporter sees as many frames as hops, without rounding
        windows = joined[:, : -self._n_rest] if self._n_rest else joined
        logits, after = self.network.step(self.features(windows), before)
        return (logits.softmax(dim=-1), joined[:, -sound.shape[1] :], *unpacked(after))

    def initial_state(self) -> tuple[Tensor, ...]:
        """Zeros: the samples that the front end keeps, then the network's state."""
        sound = torch.zeros(1, self._n_kept)
        return (sound, *unpacked(self._network_state()))

    def _network_state(self) -> Any:
        return initial_state(self.network, 1, self._early_frames)


class ClipScores(nn.Module):
    """Any front end and network on clips: audio [n, clip_samples] → posteriors [n, labels].

    Spectra inside a network that takes `SampleHops` become convolutions as well.
    """

    def __init__(self, front_end: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.network = _with_convolved_spectra(network)
        known: dict[type, Any] = {
            SpectralFrontEnd: _ConvolvedFrontEnd,
            PsfMfcc: _ConvolvedPsfMfcc,
            MicroFrontEnd: _MicroOnClips,
            SampleHops: lambda samples: samples,
        }
        self.features: nn.Module = known[type(front_end)](front_end)

    def forward(self, audio: Tensor) -> Tensor:
        posteriors: Tensor = self.network(self.features(audio)).softmax(dim=-1)
        return posteriors


def unpacked(state: Any) -> tuple[Tensor, ...]:
    """A network's state as a flat tuple: one tensor, or a tuple of them."""
    return (state,) if isinstance(state, Tensor) else tuple(state)


def _with_convolved_spectra(network: nn.Module) -> nn.Module:
    """The network, or a copy with convolutions if it contains spectra."""
    if not any(isinstance(module, SpectralFrontEnd) for module in network.modules()):
        return network
    copied = copy.deepcopy(network)
    for module in list(copied.modules()):
        for name, child in module.named_children():
            if isinstance(child, SpectralFrontEnd):
                setattr(module, name, _ConvolvedFrontEnd(child))
    return copied


class ConvolvedDft(nn.Module):
    """Windows and their DFT as one convolution: [batch, samples] → re | im: [batch, 2 · bins, 1, frames].

    Its buffer `DFT` is the transform of `n_fft` from the bin `first_bin` on.
    """

    def __init__(self, window: filterbanks.Matrix, config: FeatureConfig, bins: slice) -> None:
        super().__init__()
        self.hop, self.n_fft, self.first_bin = config.hop_samples, config.n_fft, bins.start or 0
        dft = filterbanks.windowed_dft(window, config.n_fft, np.arange(config.n_bins)[bins])
        self.register_buffer(DFT, float32(dft.T)[:, None, None, :], persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        return nn.functional.conv2d(audio[:, None, None, :], self.get_buffer(DFT), stride=(1, self.hop))


class _ConvolvedFrontEnd(nn.Module):
    """`SpectralFrontEnd` on full windows: [batch, samples] → [batch, frames, features]."""

    def __init__(self, front_end: SpectralFrontEnd) -> None:
        super().__init__()
        self.config = front_end.config
        self.head = cast(Any, front_end.head)
        bins = getattr(self.head, "bins", slice(None))
        self.transform = ConvolvedDft(analysis_window(self.config), self.config, bins)
        self.channels: nn.Conv2d | None = None
        if hasattr(self.head, "of_power"):  # its first step is linear: it sums over re and im as well
            weight, bias = self.head.of_power()
            self.channels = nn.Conv2d(2 * weight.shape[0], weight.shape[1], 1)
            self.channels.weight = nn.Parameter(torch.cat([weight, weight]).T[:, :, None, None].contiguous())
            self.channels.bias = nn.Parameter(torch.full((weight.shape[1],), bias))

    def forward(self, audio: Tensor) -> Tensor:
        spectrum = self.transform(audio)
        squares = spectrum * spectrum
        if self.channels is None:
            real, imaginary = squares.squeeze(2).transpose(1, 2).chunk(2, dim=2)
            features: Tensor = self.head(real + imaginary)
            return features
        result: Tensor = self.head.after_power(self.channels(squares)).squeeze(2).transpose(1, 2)
        return result


class _ConvolvedPsfMfcc(nn.Module):
    """`PsfMfcc` on clips: [batch, samples] → [batch, frames, coefficients].

    The spectrum of a long recording is large, so it is reduced to energies without transposing or splitting it.
    """

    def __init__(self, front_end: PsfMfcc) -> None:
        super().__init__()
        self.front_end, config = front_end, front_end.config
        self.transform = ConvolvedDft(np.ones(config.window_samples), config, slice(None))
        self._scale = 32768**2 / config.n_fft  # of samples in 16 bits
        weight = front_end.mel
        self.channels = nn.Conv2d(2 * weight.shape[0], weight.shape[1], 1, bias=False)
        self.channels.weight = nn.Parameter(torch.cat([weight, weight]).T[:, :, None, None].contiguous())
        cosines = torch.zeros(1 + weight.shape[1], config.n_coefficients)
        cosines[0, 0], cosines[1:, 1:] = 1, front_end.dct[:, 1:]  # of the energy's logarithm, and of the channels'
        self.register_buffer("cosines", cosines, persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        spectrum = self.transform(self.front_end.prepare(audio))
        squares = spectrum * spectrum
        sums = torch.cat([squares.sum(dim=1, keepdim=True), self.channels(squares)], dim=1).squeeze(2) * self._scale
        positive = torch.where(sums == 0, float(np.finfo(np.float64).eps), sums)
        return positive.log().transpose(1, 2) @ self.get_buffer("cosines")


class _MicroOnClips(nn.Module):
    """`MicroFrontEnd` on clips, from a state of no fixed batch size: [batch, samples] → features."""

    def __init__(self, front_end: MicroFrontEnd) -> None:
        super().__init__()
        self.front_end = front_end
        _, estimate, missing = front_end.initial_state(1)
        self.register_buffer("estimate", estimate, persistent=False)
        self.register_buffer("missing", torch.zeros_like(missing), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        return self.front_end.of_windows(audio, self.get_buffer("estimate"), self.get_buffer("missing"))[0]
