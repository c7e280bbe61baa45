"""wordspot: from a folder of words to one small file that hears them."""

__version__ = "0.1.0"
