"""The modules of the script, found as the script itself finds them."""

import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"

for folder in (SCRIPTS, SCRIPTS / "adventureworks.d"):
    sys.path.append(str(folder))
