"""The most memory this process ever had."""

import re
import resource
from pathlib import Path


def peak_megabytes() -> float:
    """In MiB, of this program alone."""
    # ru_maxrss of a child starts at its parent's size on Linux; VmHWM is this program's own
    status = Path("/proc/self/status")
    if status.exists():
        match = re.search(r"VmHWM:\s+(\d+) kB", status.read_text("ascii"))
        if match:
            return int(match[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
