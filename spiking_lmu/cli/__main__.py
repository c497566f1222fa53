"""``python -m spiking_lmu.cli.main``: the command line without its script."""

import sys

from spiking_lmu.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
