"""Modules that several tests of the sanitizers share: kernels, seeding, the model of what waits."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[2] / "kernels")]
