"""`wordspot export --target wasm`: a web page that detects words in the browser with the C engine, from an exported file."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from wordspot import __version__
from wordspot.export.c_target import check_arguments, copy_files, engine_model
from wordspot.files import atomic_path, write_text
from wordspot.runtime.modelfile.card import Card
from wordspot.runtime.modelfile.engine.blob import make_blob
from wordspot.runtime.modelfile.engine.wasm import ENGINE, MODULE, check_wasm, wasm_folder

_FILES = (ENGINE, MODULE, "index.html")


@dataclass(frozen=True)
class ExportedWasm:
    """What `export_wasm` wrote.

    Attributes:
        folder: where the page is.
        labels: of the model.
        weights: ``"float32"`` or ``"int8"``.
        engine_bytes, engine_compressed: size of the engine, and its size when a server compresses it.
        model_bytes, model_compressed: the same of the model.
    """

    folder: Path
    labels: tuple[str, ...]
    weights: str
    engine_bytes: int
    engine_compressed: int
    model_bytes: int
    model_compressed: int

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return {**vars(self), "folder": str(self.folder), "labels": list(self.labels)}


def export_wasm(model: Path | str | bytes, out: Path | str, *, weights: str = "int8", force: bool = False) -> ExportedWasm:
    """Write an exported file as a web page: the engine in WebAssembly, the model, a module in JavaScript and an example.

    Args:
        model: an exported file, or its content.
        out: the folder to write.
        weights: ``"int8"``, a quarter of the size of ``"float32"``, with scores that differ a little.
        force: write into a folder that holds files already.

    Raises:
        ConfigError: `out` holds files and `force` is off, or unknown `weights`.
        NotFoundError: no such file, or this installation has no engine in WebAssembly.
        CardError, ExportError: as `engine_model`.
    """
    folder = Path(out)
    check_arguments(folder, weights, force=force)
    check_wasm()
    sources = wasm_folder()
    read, card = engine_model(model)
    blob, engine = make_blob(read, card, weights), (sources / ENGINE).read_bytes()
    exported = ExportedWasm(folder, card.labels, weights, len(engine), _compressed(engine), len(blob), _compressed(blob))
    folder.mkdir(parents=True, exist_ok=True)
    copy_files(sources, _FILES, folder)
    with atomic_path(folder / "model.bin") as temporary:
        temporary.write_bytes(blob)
    write_text(folder / "README.md", _readme(exported, card))
    return exported


def _readme(exported: ExportedWasm, card: Card) -> str:
    attribution = card.data.get("attribution")
    return _README.substitute(
        version=__version__,
        labels=", ".join(f"`{label}`" for label in card.labels),
        weights=exported.weights,
        engine_kb=f"{exported.engine_bytes / 1000:.0f}",
        engine_gz=f"{exported.engine_compressed / 1000:.0f}",
        model_kb=f"{exported.model_bytes / 1000:.0f}",
        model_gz=f"{exported.model_compressed / 1000:.0f}",
        attribution=f"\nRecordings: {attribution} ({card.data.get('licence', '')})\n" if attribution else "",
    )


def _compressed(data: bytes) -> int:
    return len(zlib.compress(data, 9))


_README = Template("""\
# A keyword spotter in the browser

Made by `wordspot export --target wasm`, wordspot $version. Labels: $labels.
$attribution
| file | size | compressed with gzip |
|---|---|---|
| `engine.wasm`, the engine | $engine_kb kB | $engine_gz kB |
| `model.bin`, the model, weights $weights | $model_kb kB | $model_gz kB |
| `wordspot.js` | 6 kB | 2 kB |

To try it, run `python -m http.server` in this folder and open http://localhost:8000. From other hosts, browsers allow the
microphone only for `https://` pages.

In a page of your own:

    import { listen } from "./wordspot.js";
    button.onclick = () => listen(({ label, score, timeMs }) => console.log(label, score, timeMs));

`listen` runs the engine in the audio thread. For other audio, create `new Wordspot(engine, model)` with the contents of the two
files; it has `feed(samples)`, `flush()`, `scores`, `labels`, `rate` and `selfTest()`.
""")
