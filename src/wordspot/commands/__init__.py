"""The commands of the command line, one module each; see `wordspot.commands.main` for what a module holds."""
