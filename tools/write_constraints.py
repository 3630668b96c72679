"""Write the versions that are installed in this environment as constraints for pip: ``write_constraints.py FILE``."""

import sys
from importlib.metadata import distributions
from pathlib import Path

# pinned in pyproject.toml, or brought by what is pinned there; NumPy and OpenCV stay free, since both NumPy lines are tested (ml-dtypes follows them)
FREE = (
    "cuda-", "efficientnet-lite0", "ml-dtypes", "numpy", "nvidia-", "opencv-", "perception", "pip", "setuptools", "tensorrt", "torch",
    "triton",
)  # fmt: skip
KEPT = ("torchjd", "torchmetrics")


def pinned_versions() -> list[str]:
    """``name==version`` of everything installed but what stays free, sorted."""
    versions = {d.metadata["Name"].replace("_", "-").lower(): d.version for d in distributions()}
    return sorted(
        f"{name}=={version}"
        for name, version in versions.items()
        if name in KEPT or not name.startswith(FREE)
    )


def main(arguments: list[str]) -> int:
    """Write the file named by the one argument."""
    if len(arguments) != 1:
        sys.stderr.write("usage: write_constraints.py FILE\n")
        return 2
    lines = ["# Tested versions; written by: make constraints", *pinned_versions()]
    Path(arguments[0]).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
