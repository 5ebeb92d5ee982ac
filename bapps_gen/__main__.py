"""`python -m bapps_gen` is `bapps-gen`."""

import sys

from bapps_gen.cli import main

if __name__ == "__main__":
    sys.exit(main())
