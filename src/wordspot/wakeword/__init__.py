"""From a typed phrase to a measured wake word: `making.new`.

The stages, each in its own module: `recordings` (voices say the phrases and what sounds like them), `pronunciations` (how
else people may say them), `training` (from the model in the package, with what it falls for), `measuring` (thresholds from
validation, figures from testing).
"""
