"""Compile an engine into a TensorRT plan; the same as ``perception build``."""

from perception.cli.build import main

if __name__ == "__main__":
    main()
