"""Experiments: grids of runs under paired seeds, ready-made cells, tables, and your own report.

grid       `run_grid` runs a cell for every configuration: cached, resumable, in parallel
cells      `planted`: federated training under attack, where the best accuracy is known
tables     `summarize`, `compare`, `wide`, `markdown`: intervals, tested differences, baselines
results    `read` and `write`: results as CSV files
defences   the book's guide: one line for a threat, and what is proved of a defence
report     `robustness_report`: who breaks whom on your clients, and what is proved of it
own_data   your files as clients: one clock, folds that walk forward
__main__   all of it from the command line: python -m byzlib.experiments FOLDER --label NAME ...
"""

import importlib

from byzlib.experiments import results
from byzlib.experiments.cells import attack_named, planted, rule_named
from byzlib.experiments.defences import GUIDE, Defence, bears, defence_named, guide, promise
from byzlib.experiments.grid import Refused, configurations_of, run_grid
from byzlib.experiments.own_data import read_folder, split_by_time
from byzlib.experiments.report import RobustnessReport, clipping_radius, robustness_report
from byzlib.experiments.tables import compare, markdown, score_table, summarize, wide, worst_regret

__all__ = ["Defence", "GUIDE", "Refused", "RobustnessReport", "attack_named", "bears",
           "clipping_radius", "compare", "configurations_of", "defence_named", "guide", "main",
           "markdown", "planted", "promise", "read_folder", "results", "robustness_report",
           "rule_named", "run_grid", "score_table", "split_by_time", "summarize", "wide",
           "worst_regret"]  # fmt: skip


def __getattr__(name):
    if name == "main":
        return importlib.import_module("byzlib.experiments.__main__").main
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
