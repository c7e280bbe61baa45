"""Build the C engine as WebAssembly, which `wordspot export --target wasm` copies: `python tools/build_wasm.py`.

Needs clang and wasm-ld (on Debian the packages clang and lld). The result is not in the repository; wheels contain it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ENGINE = Path(__file__).resolve().parents[1] / "src" / "wordspot" / "engine"
OUT = ENGINE / "wasm" / "engine.wasm"
_LEFT_OUT = ("library.c", "main.c")
_FLAGS = (
    "--target=wasm32", "-std=gnu99", "-O2", "-msimd128", "-mbulk-memory", "-ffp-contract=fast", "-Wno-psabi", "-nostdlib",
    "-DWS_SAMPLE=float", "-DWS_BATCH=1",
)  # fmt: skip
_EXPORTS = ("ws_size", "ws_init", "ws_feed", "ws_flush", "ws_label", "ws_about", "ws_self_test", "__heap_base")
#: There is no libc; the compiler's built-ins, which use the bulk memory instructions, replace what the engine needs of it.
_STRING_H = "#define memcpy __builtin_memcpy\n#define memset __builtin_memset\n"


def build(out: Path) -> None:
    """Compile and link the engine.

    Raises:
        FileNotFoundError: clang or wasm-ld is missing.
        subprocess.CalledProcessError: one of them fails.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "string.h").write_text(_STRING_H, encoding="utf-8")
        objects = []
        for source in sorted(ENGINE.glob("*.c")):
            if source.name in _LEFT_OUT:
                continue
            objects.append(str(Path(folder) / f"{source.stem}.o"))  # clang's own linking would run wasm-opt where it is installed
            subprocess.run(["clang", *_FLAGS, "-I", folder, "-c", "-o", objects[-1], str(source)], check=True)
        exports = [f"--export={name}" for name in _EXPORTS]
        subprocess.run(
            ["wasm-ld", "--no-entry", "--strip-all", "-z", "stack-size=32768", *exports, "-o", str(out), *objects], check=True
        )


if __name__ == "__main__":
    try:
        build(OUT)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        sys.exit(f"{error}; clang and wasm-ld are needed (on Debian: apt install clang lld)")
    print(f"{OUT}: {OUT.stat().st_size} bytes")
