"""How fast the rules are: timings against other libraries, as ratios, outside the test run."""

import os

# Before NumPy and torch are loaded: everybody has one thread, which is all that byzlib uses, and
# nobody is told that a benchmark runs.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
