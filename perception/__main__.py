"""The entry of the command line: every expected error becomes one line and an exit code."""

import logging
import sys

from perception.cli.app import app
from perception.core.errors import PerceptionError


def main() -> None:
    """Run the command line."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger("perception").setLevel(logging.INFO)
    try:
        app()
    except PerceptionError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
