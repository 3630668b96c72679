"""What a test asks about its own process."""

import resource
from pathlib import Path


def resident_bytes():
    """Memory of this process that is in RAM."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
