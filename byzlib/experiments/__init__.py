"""Experiments: grids of runs under paired seeds, ready-made cells, tables of their results.

grid       `run_grid` runs a cell for every configuration: cached, resumable, in parallel
cells      `planted`: federated training under attack, where the best accuracy is known
tables     `summarize`, `compare`, `wide`, `markdown`: intervals, tested differences, baselines
results    `read` and `write`: results as CSV files
"""

from byzlib.experiments import results
from byzlib.experiments.cells import attack_named, planted, rule_named
from byzlib.experiments.grid import Refused, configurations_of, run_grid
from byzlib.experiments.tables import compare, markdown, summarize, wide

__all__ = ["Refused", "attack_named", "compare", "configurations_of", "markdown", "planted",
           "results", "rule_named", "run_grid", "summarize", "wide"]  # fmt: skip
