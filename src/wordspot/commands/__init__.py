"""The commands of the command line, one module each; see `wordspot.cli` for what a module holds."""
