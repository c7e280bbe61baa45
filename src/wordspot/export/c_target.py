"""`wordspot export --target c`: a folder of C sources that detects words without ONNX Runtime, from an exported file."""

from __future__ import annotations

import importlib.resources
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from wordspot import __version__
from wordspot.errors import ConfigError, ExportError
from wordspot.export.c_memory import stream_memory
from wordspot.files import check_out, write_text
from wordspot.runtime.modelfile.card import Card, read_card, read_content
from wordspot.runtime.modelfile.engine.blob import WEIGHTS, make_blob
from wordspot.runtime.modelfile.engine.model import EngineModel
from wordspot.runtime.modelfile.engine.opening import recognised
from wordspot.runtime.modelfile.engine.reference import check_understood
from wordspot.runtime.modelfile.graph import walk

_SOURCES = (
    "CMakeLists.txt", "decoder.c", "dot_products.h", "features.c", "integers.c", "internal.h", "local.c", "main.c", "model.c",
    "network.c", "products.c", "rings.c", "rounding.c", "self_test.c", "stream.c", "wordspot.h",
)  # fmt: skip
_A_LINE = 8  # words of the blob
_CODE_KB = 19  # of the engine on a Cortex-M4 with -O2, arithmetic of doubles included, as measured


@dataclass(frozen=True)
class ExportedC:
    """What `export_c` wrote.

    Attributes:
        folder: where the sources are.
        labels: of the model.
        weights: ``"float32"`` or ``"int8"``.
        model_bytes: of the model's data, which stays in flash.
        state_bytes: of RAM for a stream that is computed hop by hop on a microcontroller.
        multiply_adds: of the network for each hop.
    """

    folder: Path
    labels: tuple[str, ...]
    weights: str
    model_bytes: int
    state_bytes: int
    multiply_adds: int

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return {
            "folder": str(self.folder),
            "labels": list(self.labels),
            "weights": self.weights,
            "model_bytes": self.model_bytes,
            "state_bytes": self.state_bytes,
            "multiply_adds": self.multiply_adds,
        }


def engine_model(model: Path | str | bytes) -> tuple[EngineModel, Card]:
    """A file as the C engine runs it, and its card.

    Raises:
        NotFoundError: no such file.
        CardError: not a file that wordspot wrote.
        ExportError: the engine cannot run it; the message says what it runs.
    """
    name, data = ("the model", model) if isinstance(model, bytes) else read_content(Path(model))
    card = read_card(data, name)
    try:
        read = recognised(walk(data), card)
        check_understood(read, card)
    except ExportError as error:
        raise ExportError(f"{name}: {error}") from error.__cause__
    return read, card


def check_arguments(folder: Path, weights: str, *, force: bool) -> None:
    """Check where to write, and the weights.

    Raises:
        ConfigError: `folder` holds files and `force` is off, or unknown `weights`.
    """
    if weights not in WEIGHTS:
        raise ConfigError(f"`weights` must be {' or '.join(WEIGHTS)}, got {weights!r}")
    check_out(folder, force=force)


def copy_files(source: Traversable, names: Sequence[str], folder: Path) -> None:
    """Copy files of the package into a folder."""
    for name in names:
        with importlib.resources.as_file(source / name) as path:
            shutil.copyfile(path, folder / name)


def export_c(model: Path | str | bytes, out: Path | str, *, weights: str = "float32", force: bool = False) -> ExportedC:
    """Write an exported file as C sources: the engine, the model, and a program that runs the model's self-test.

    Args:
        model: an exported file, or its content.
        out: the folder to write.
        weights: ``"float32"``, or ``"int8"``: a quarter of the size, with scores that differ a little.
        force: write into a folder that holds files already.

    Raises:
        ConfigError: `out` holds files and `force` is off, or unknown `weights`.
        NotFoundError, CardError, ExportError: as `engine_model`.
    """
    folder = Path(out)
    check_arguments(folder, weights, force=force)
    read, card = engine_model(model)
    blob = make_blob(read, card, weights)
    state_bytes = stream_memory(read, card, weights).on_microcontroller
    exported = ExportedC(folder, card.labels, weights, len(blob), state_bytes, read.multiply_adds)
    folder.mkdir(parents=True, exist_ok=True)
    copy_files(importlib.resources.files("wordspot") / "engine", _SOURCES, folder)
    write_text(folder / "wordspot_model.c", _array(blob))
    write_text(folder / "wordspot_model.h", _header(read, card, blob, weights))
    write_text(folder / "README.md", _readme(exported, card))
    return exported


def _array(blob: bytes) -> str:
    words = np.frombuffer(blob, "<u4")
    lines = (", ".join(f"0x{word:08x}" for word in words[at : at + _A_LINE].tolist()) for at in range(0, len(words), _A_LINE))
    body = ",\n    ".join(lines)
    return f'#include "wordspot_model.h"\n\nconst uint32_t wordspot_model[] __attribute__((aligned(64))) = {{\n    {body},\n}};\n'


def _header(model: EngineModel, card: Card, blob: bytes, weights: str) -> str:
    return _HEADER.substitute(
        labels=", ".join(card.labels).replace("*/", "* /"),
        rate=card.sample_rate,
        hop=model.hop,
        n_labels=len(card.labels),
        model_bytes=len(blob),
        state_bytes=stream_memory(model, card, weights).in_c,
    )


def _readme(exported: ExportedC, card: Card) -> str:
    ms = 1000 * card.step_samples / card.sample_rate
    attribution = card.data.get("attribution")
    return _README.substitute(
        version=__version__,
        labels=", ".join(f"`{label}`" for label in card.labels),
        weights=exported.weights,
        hop=f"{card.step_samples} samples ({ms:g} ms at {card.sample_rate} Hz)",
        model_kb=f"{exported.model_bytes / 1000:.0f}",
        code_kb=_CODE_KB,
        state_kb=f"{exported.state_bytes / 1000:.1f}",
        multiply_adds=f"{exported.multiply_adds:,}",
        a_second=f"{exported.multiply_adds * 1000 / ms / 1e6:.1f}",
        attribution=f"\nRecordings: {attribution} ({card.data.get('licence', '')})\n" if attribution else "",
    )


_HEADER = Template("""\
/* The model: $labels. Made by `wordspot export --target c`. */
#ifndef WORDSPOT_MODEL_H
#define WORDSPOT_MODEL_H

#include <stdint.h>

#include "wordspot.h"

#define WORDSPOT_SAMPLE_RATE $rate
#define WORDSPOT_HOP_SAMPLES $hop
#define WORDSPOT_N_LABELS $n_labels
#define WORDSPOT_MODEL_BYTES $model_bytes

/* Memory for a stream; `ws_size` says what exactly is needed. */
#define WORDSPOT_STATE_BYTES \\
    $state_bytes

#ifdef __cplusplus
extern "C" {
#endif

extern const uint32_t wordspot_model[];

#ifdef __cplusplus
}
#endif
#endif
""")

_README = Template("""\
# A keyword spotter in C

Made by `wordspot export --target c`, wordspot $version. Labels: $labels.
$attribution
| | |
|---|---|
| weights | $weights |
| a hop | $hop |
| flash | $model_kb kB of data, and $code_kb kB of code (on a Cortex-M4 with `-O2`) |
| RAM | $state_kb kB for each stream on a microcontroller, and 2 kB of stack; `ws_size` says what other builds need |
| network | $multiply_adds multiply-adds a hop, $a_second million a second; the front end adds about 6,000 a hop |

Build it, and run the self-test of the model:

    cmake -B build -DWORDSPOT_NATIVE=ON
    cmake --build build
    ./build/wordspot_test

`WORDSPOT_NATIVE` uses the vectors of this machine's processor; leave it out for a program that runs on others. GCC or clang is
needed, a little-endian machine and nothing else: no malloc, no libm, and of libc only memcpy and memset (main.c prints).

`wordspot.h` describes the functions. In short:

    static unsigned char memory[WORDSPOT_STATE_BYTES];
    ws_stream *stream = ws_init(memory, sizeof memory, wordspot_model, WORDSPOT_MODEL_BYTES);
    ws_detection found[2];
    size_t n = ws_feed(stream, samples, 1, NULL, found, 2); /* each time a hop of 16-bit samples is there */

Without CMake, compile all `.c` files with `-std=gnu99 -O3 -ffp-contract=fast` and the flags of your processor, on a Cortex-M4
`-O2 -mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard`.
""")
