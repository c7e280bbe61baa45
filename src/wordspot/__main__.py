"""``python -m wordspot`` is the ``wordspot`` command."""

import sys

from wordspot.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
