"""The errors that wordspot raises. Each message gives the fact first, then what was expected and what to do.

`EXTRAS` is the one table of optional packages and the extra that installs each.
"""

from __future__ import annotations

import importlib.util

_LONGEST = 3000  # characters of a message
_TAIL = 500  # of them from its end, where it says what to do
_KEPT = "\xa0\u3000\u200c\u200d"  # not printable as Python sees it, but parts of names: blanks and joiners


class WordspotError(Exception):
    """Base of every expected error. The command line prints it as one line and exits with 1.

    Its text is one line of bounded length without control characters, even if it quotes a file or message that has them.
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


def one_line(text: str) -> str:
    """`text` without line breaks, with control characters and lone surrogates as escapes; the middle of a long one is cut.

    >>> one_line("a label\\nof \\x1b[31mtwo lines")
    'a label of \\\\x1b[31mtwo lines'
    """
    if text.isprintable() and len(text) <= _LONGEST:
        return text
    line = " ".join(text.splitlines()).replace("\t", " ")
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST - _TAIL]} ... {line[-_TAIL:]}"
    return "".join(one if one.isprintable() or one in _KEPT else _escaped(one) for one in line)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class AudioError(WordspotError, ValueError):
    """A sound file or an array of samples that cannot be used. The message names the file."""


class DataError(WordspotError, ValueError):
    """A data folder whose contents do not fit the request."""


class ConfigError(WordspotError, ValueError):
    """A setting, or a combination of settings, that is not allowed."""


class CheckpointError(WordspotError, ValueError):
    """A checkpoint or run folder that is damaged or does not match."""


class TrainingError(WordspotError, RuntimeError):
    """Training that cannot continue, because of a NaN for example."""


class DownloadError(WordspotError, OSError):
    """A download that failed, or an archive with the wrong checksum."""


class LockedError(WordspotError, RuntimeError):
    """A folder that another process writes to, or this one elsewhere: a sweep or a scan that has not ended."""


class NotFoundError(WordspotError, FileNotFoundError):
    """A file or folder that does not exist."""


class MissingExtraError(WordspotError, ImportError):
    """An optional dependency that is not installed. The message contains the command that installs it."""


class CardError(WordspotError, ValueError):
    """An exported model file that is damaged, malicious, or not written by wordspot."""


class ExportError(WordspotError, ValueError):
    """A model that cannot be exported, or an exported file whose scores differ from those of torch."""


_PACKAGES_OF = {
    "train": ("torch", "safetensors", "matplotlib", "PIL"),
    "tensorboard": ("tensorboard",),
    "export": ("onnx", "onnxscript", "onnx_ir", "flatbuffers"),
    "voices": ("espeakng_loader",),
    "teacher": ("faster_whisper",),
    "listen": ("sounddevice",),
    "serve": ("starlette", "uvicorn", "websockets", "h11", "anyio", "wyoming"),
    "zeroconf": ("zeroconf", "ifaddr"),
    "cluster": ("ray", "pyarrow", "fsspec"),
}

#: Import name of an optional package → the extra of wordspot that installs it.
EXTRAS = {package: extra for extra, packages in _PACKAGES_OF.items() for package in packages}


def install_command(extra: str) -> str:
    """The command that installs an extra, for messages."""
    return f'pip install "wordspot[{extra}]"'


def check_packages(what: str, *names: str) -> None:
    """Raises MissingExtraError now for optional packages that would be missed after a long time of work.

    Args:
        what: what needs them, for the message.
        names: of the packages.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise missing_extra(ModuleNotFoundError(name=name), what)


def missing_extra(error: ImportError, what: str = "this") -> MissingExtraError:
    """The error to raise for a failed import of an optional package.

    Args:
        error: what the import raised.
        what: what needs the package, for the message.

    Raises:
        ImportError: `error` itself, if its package is in no extra: such a failure is a bug.
    """
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        raise error
    return MissingExtraError(f"{what} needs {package}, which is not installed; run: {install_command(EXTRAS[package])}")
