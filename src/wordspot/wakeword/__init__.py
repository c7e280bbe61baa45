"""From a typed phrase to a measured wake word: `making.new`.

The stages, each in its own module: `phrases` (what is said before anything is made), `recordings` (voices say the phrases and
what sounds like them), `pronunciations` (how else people may say them), `takes` (what the user brings), `checking` (what the
`teacher` leaves out), `speech` (what is read or downloaded), `training` (from the model in the package, with what it falls
for), `thresholds` (from validation), `measuring` (figures from testing), `verdict` and `report` (what they mean).
"""
