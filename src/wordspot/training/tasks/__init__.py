"""The three tasks: words, trigger and recordings."""
