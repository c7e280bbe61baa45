"""The settings of training scenes, in which every window has a label."""

from __future__ import annotations

from dataclasses import dataclass

from wordspot.errors import ConfigError
from wordspot.sections import Section, setting


@dataclass(frozen=True)
class ScenesConfig(Section):
    """How the task `words` lays out training scenes: several words, noise and pauses, with a label for every window.

    Speed, reverberation, gain, noise, reversed words and colour are those of `augment`.
    """

    length_s: float = setting(0.0, "seconds of a training scene, at least a clip; 0: training draws single clips", 0, 60)
    stride_ms: float = setting(40.0, "from one labelled window of a scene to the next", 1, 10_000)
    pause_s: tuple[float, ...] = setting((0.08, 1.2), "LOW,HIGH: seconds between two words", 0.01, 60, pair=True)
    empty: float = setting(0.06, "fraction of the scenes without words", 0, 1)
    whole_clips: float = setting(0.26, "fraction of the scenes with entire clips instead of words cut out of them", 0, 1)
    reading: float = setting(0.12, "fraction of the scenes that are read sentences, if there is speech", 0, 1)
    phrases: float = setting(0.25, "fraction of the words replaced by a few words of speech, if there is any", 0, 1)
    hard: float = setting(0.5, "fraction of speech fragments and of noise alone cut around what scenes.seek_at found", 0, 1)
    seek_at: tuple[int, ...] = setting((), "steps after which sounds are searched for what is taken for a word", 1, 10**9)
    recent_ms: float = setting(0.0, "how long a word is the label of windows after its end; 0: while they hold it", 0, 60_000)
    level_db: tuple[float, ...] = setting((-40.0, 3.0), "LOW,HIGH: gain of a scene", -80, 40, pair=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.empty + self.whole_clips + self.reading > 1:
            raise ConfigError(
                "scenes.empty, scenes.whole_clips and scenes.reading together must be at most 1, got "
                f"{self.empty:g} + {self.whole_clips:g} + {self.reading:g}; lower one of them"
            )
