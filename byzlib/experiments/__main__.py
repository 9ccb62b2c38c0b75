"""The command that writes a report on your clients: python -m byzlib.experiments FOLDER ...

One file a client, CSV or Parquet. Stop it whenever you like, and run it again to go on.
"""

import argparse
import sys
from pathlib import Path

from byzlib.experiments.own_data import read_folder
from byzlib.experiments.report import LIES, RULES, robustness_report
from byzlib.federated import SimpleModel

NAME = "python -m byzlib.experiments"


def _parser():
    made = argparse.ArgumentParser(
        prog=NAME, description="Who breaks whom on your clients, what is proved, what to choose."
    )
    add = made.add_argument
    add("folder", type=Path, help="one .csv, .csv.gz or .parquet file a client")
    add("--label", required=True, help="column of the class")
    add("--time", required=True, help="column of the time at which a row was known")
    add("--features", help="columns to learn from: a,b,c; default: all other numbers")
    add("--liars", type=int, help="how many lie; default: the most that every rule bears")
    add("--rules", help=f"names between semicolons; default: {'; '.join(RULES)}")
    add("--attacks", help=f"names between semicolons; default: {'; '.join(LIES)}")
    add("--seeds", type=int, default=10, help="default: 10")
    add("--rounds", type=int, default=150, help="default: 150")
    add("--rate", type=float, default=0.5, help="learning rate; default: 0.5")
    add("--batch", type=int, default=32, help="rows a client draws in a round; default: 32")
    add("--momentum", type=float, default=0.9, help="of the clients; default: 0.9")
    add("--hidden", type=int, default=16, help="units of the network; 0: none; default: 16")
    add("--metric", default="accuracy", choices=["accuracy", "balanced accuracy"])
    add("--folds", type=int, default=2, help="that walk forward; default: 2")
    add("--train", help="length of a training window, 60D; default: half of the time")
    add("--test", help="length of a test window, 7D; default: the rest, by folds")
    add("--purge", help="between them, 10min; default: two steps")
    add("--jobs", type=int, default=-1, help="processes; default: one a core")
    add("--out", type=Path, help="where to write; default: FOLDER/report")
    return made


def main(arguments=None):
    """The command line; returns the exit code: 0, 2 for bad input, 1 for failed cells, or 130."""
    asked = _parser().parse_args(arguments)
    out = asked.out or asked.folder / "report"
    kept = f"what was computed is kept in {out / 'cache'}"
    try:
        report = _report(asked, out)
        report.write(out)
    except (ValueError, TypeError, OSError) as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"{NAME}: {error}; {kept}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{NAME}: stopped; {kept}: run it again to go on", file=sys.stderr)
        return 130
    print(report.markdown())
    print(f"In {out}: report.md, report.png, report.csv (the matrix), runs.csv (seed by seed).")
    return 0


def _report(asked, out):
    clients, tests, about = read_folder(
        asked.folder, asked.label, asked.time, asked.features and asked.features.split(","),
        folds=asked.folds, train=asked.train, test=asked.test, purge=asked.purge,
        least=asked.batch, work=out / "cache/clients",
    )  # fmt: skip
    n = len(clients[0])
    liars = max((n - 3) // 4, 1) if asked.liars is None else asked.liars
    model = SimpleModel(
        len(about["features"]), asked.hidden, len(about["classes"]), activation="tanh"
    )
    names = {"rules": asked.rules, "attacks": asked.attacks}
    given = {k: [x.strip() for x in v.split(";")] for k, v in names.items() if v is not None}
    return robustness_report(
        clients, model, liars, **given, seeds=asked.seeds, tests=tests, rounds=asked.rounds,
        learning_rate=asked.rate, batch_size=asked.batch, momentum=asked.momentum,
        metric=asked.metric, cache=out / "cache/runs", n_jobs=asked.jobs,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
