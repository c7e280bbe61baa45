"""Play sound through sounddevice, the library that also records (the extra "listen")."""

from __future__ import annotations

from wordspot.audio.microphone import import_sounddevice
from wordspot.audio.samples import Samples
from wordspot.errors import WordspotError


class PlaybackError(WordspotError, OSError):
    """Sound that cannot be played: no loudspeaker, or one that is in use."""


class Player:
    """Plays on the system's default loudspeaker.

    Raises:
        MissingExtraError: sounddevice, or the PortAudio library below it, is not installed.
    """

    def __init__(self) -> None:
        self._sounddevice = import_sounddevice("playing sound")

    def play(self, audio: Samples, sample_rate: int) -> None:
        """Start to play float32 [samples]; what was playing stops. Returns at once.

        Raises:
            PlaybackError: it cannot be played.
        """
        try:
            self._sounddevice.play(audio, sample_rate)
        except (self._sounddevice.PortAudioError, ValueError) as error:  # ValueError: no such device
            reason = " ".join(str(error).split())
            raise PlaybackError(f"no sound can be played ({reason}); check the system's loudspeaker") from error

    def stop(self) -> None:
        """Stop playing."""
        self._sounddevice.stop()
