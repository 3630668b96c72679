"""The entry of the command line."""

from perception.cli.app import app
from perception.cli.options import run_app


def main() -> None:
    """Run the command line."""
    run_app(app)


if __name__ == "__main__":
    main()
