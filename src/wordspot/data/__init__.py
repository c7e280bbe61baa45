"""From folders and lists of recordings to labelled clips, split by speaker."""
