"""``python -m fp8num``."""

import sys

from fp8num.cli import main

if __name__ == "__main__":
    sys.exit(main())
