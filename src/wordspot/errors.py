"""The errors wordspot raises on purpose. Each message says what was expected, what came, and what to do."""


class WordspotError(Exception):
    """Base of every expected error. The command line prints it as one line and exits with 1."""


class AudioError(WordspotError, ValueError):
    """A sound file or an array of samples that cannot be used. The message names the file."""


class DataError(WordspotError, ValueError):
    """A data folder whose contents do not fit what was asked of it."""


class ConfigError(WordspotError, ValueError):
    """A setting, or a combination of settings, that makes no sense."""


class CheckpointError(WordspotError, ValueError):
    """A checkpoint or run folder that is damaged or does not fit."""


class TrainingError(WordspotError, RuntimeError):
    """Training that cannot go on: a NaN, for example."""


class DownloadError(WordspotError, OSError):
    """A download that broke, or an archive that is not the one it should be."""


class NotFoundError(WordspotError, FileNotFoundError):
    """A file or folder that is not there."""


class MissingExtraError(WordspotError, ImportError):
    """An optional dependency that is not installed. The message carries the line that installs it."""


class CardError(WordspotError, ValueError):
    """An exported model file that is damaged, hostile, or none that wordspot wrote."""


class ExportError(WordspotError, ValueError):
    """A model that cannot be exported, or an exported file that does not give what torch gives."""
