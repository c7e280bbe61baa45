"""People say a phrase that they never said: pieces of their recorded sentences, chosen and joined (unit selection, Hunt and Black
1996).

A network that learns a phrase from synthetic voices alone finds it in people's speech less often than in theirs. Joined pieces
are people's voices, microphones and rooms, if not fluent speech, so training has both.

- `sounds`: a small network that recognises the sounds of English, and texts as such sounds;
- `alignment`: when each sound of a sentence is said;
- `units`: all sounds of a speaker, and the best of them for a phrase;
- `joining`: the audio of chosen units;
- `people`: the recordings that `new` adds to those by voices.
"""

#: Part of the names of joined recordings, after the speaker and ``_nohash_``.
JOINED = "people"
