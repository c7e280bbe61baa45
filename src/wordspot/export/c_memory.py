"""The memory that a stream of the C engine needs, computed without a compiler. `lay_out` of stream.c divides it up."""

from __future__ import annotations

from dataclasses import dataclass

from wordspot.runtime.modelfile.card import Card
from wordspot.runtime.modelfile.engine.model import EngineModel, round_up

_STREAM_BYTES, _ALIGNMENT = 1664, 8  # WS_STREAM_BYTES and WS_ALIGNMENT of a 32-bit processor without vectors
_MOST_INPUTS = 512  # of a product: so many activations in 16 bits are kept for each hop of a batch


@dataclass(frozen=True)
class StreamMemory:
    """Bytes of a stream, without what depends on the compiler.

    Attributes:
        n_samples: kept from hop to hop.
        kept: the same, all other arrays.
        n_arrays: how many arrays there are; each begins at a multiple of `WS_ALIGNMENT`.
        inputs_a_hop: of the stem, for each hop that is computed together with others.
        front: scratch of the front end.
        network: scratch of the network, in the same memory.
        network_a_hop: the same, for each hop that is computed together with others.
    """

    n_samples: int
    kept: int
    n_arrays: int
    inputs_a_hop: int
    front: int
    network: int
    network_a_hop: int

    @property
    def on_microcontroller(self) -> int:
        """The entire memory, computed hop by hop on a 32-bit processor without vectors."""
        scratch = max(self.front, self.network + self.network_a_hop)
        return _STREAM_BYTES + 2 * self.n_samples + self.kept + self.n_arrays * _ALIGNMENT + self.inputs_a_hop + scratch

    @property
    def in_c(self) -> str:
        """The entire memory as an expression in C."""
        network = f"{self.network} + {self.network_a_hop} * WS_BATCH + {2 * _MOST_INPUTS} * (WS_BATCH - 1)"
        return (
            f"(WS_STREAM_BYTES + {self.n_samples} * sizeof(ws_sample) + {self.kept} + {self.n_arrays} * WS_ALIGNMENT + "
            f"{self.inputs_a_hop} * WS_BATCH + "
            f"({network} > {self.front} ? {network} : {self.front}))"
        )


def stream_memory(model: EngineModel, card: Card, weights: str) -> StreamMemory:
    """The memory that a stream of a model needs; with weights in 8 bits, past frames are kept in 16."""
    n_channels, n_inside = (round_up(part.weights.shape[1], 16) for part in (model.stem, model.blocks[0].wider))
    rings = sum((len(block.taps) - 1) * block.dilation + 1 for block in model.blocks)
    frame = 1 + n_channels // 2 if weights == "int8" else n_channels
    floats = len(model.stem.weights) - model.n_mels + (rings + model.pool) * frame
    n_rows, n_labels = int(card.decoder.average_ms * card.sample_rate / 1000 / model.hop) + 2, len(card.labels)
    decoder = 192 + n_rows * (4 * n_labels + 8) + n_labels * 32 + 16
    network, local = _local_patterns(model)
    return StreamMemory(
        n_samples=model.kept + model.hop + 1,
        kept=4 * floats + decoder + 8 * n_labels,
        n_arrays=17 + len(model.blocks),
        inputs_a_hop=4 * round_up(len(model.stem.weights), 4),
        front=8 * model.n_fft,
        network=network,
        network_a_hop=4 * (2 * n_channels + n_inside + round_up(n_labels, 16)) + local,
    )


def _local_patterns(model: EngineModel) -> tuple[int, int]:
    """Scratch of local patterns and of activations in 16 bits, and what each hop of a batch needs."""
    if model.local is None:
        return 2 * _MOST_INPUTS, 0
    height, half = model.local.heights
    kernel, n_first = len(model.stem.weights) // model.n_mels, round_up(model.local.first.weights.shape[1], 16)
    inputs = (2 * half + 3) * n_first
    a_hop = 4 * half * round_up(model.local.second.weights.shape[1], 16)
    return 4 * ((2 * height + 3) * kernel + inputs) + 2 * max(_MOST_INPUTS, inputs), a_hop
