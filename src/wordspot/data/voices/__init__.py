"""Synthetic voices speak words, offline: espeak-ng by its wheel, flite and festival where they are installed.

Each voice is a "speaker" in the file names, so that the split holds voices apart. A model trained on such voices alone
does not yet hear people well: they show that everything works, and help where recordings are few.

- `find_engines`: which engines are here.
- `draw_voices`: who speaks, drawn from a generator.
- `speak_words`: words → a folder of clips per word.
- `write_list`: a CSV of those clips, for ``--task recordings``.
- `make_noise`: a `_background_noise_` folder of synthetic noises, babble of these voices among them.
"""

from wordspot.data.voices.babble import check_seconds, make_noise
from wordspot.data.voices.clips import Spoken, speak_words
from wordspot.data.voices.draw import draw_voices
from wordspot.data.voices.engine import Engine, Voice
from wordspot.data.voices.find import find_engines
from wordspot.data.voices.listing import write_list

__all__ = [
    "Engine",
    "Spoken",
    "Voice",
    "check_seconds",
    "draw_voices",
    "find_engines",
    "make_noise",
    "speak_words",
    "write_list",
]
