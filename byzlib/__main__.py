"""Where the book is, and a copy of it to work in: `python -m byzlib [copy FOLDER]`."""

import argparse
import shutil
import sys
from importlib import metadata
from pathlib import Path

from byzlib import __version__

# What the chapters are and what they read, seen from the folder of the book.
PARTS = [
    "notebooks/*.ipynb",
    "notebooks/claims.toml",
    "notebooks/references.bib",
    "notebooks/results/*",
    "notebooks/exercises/*.ipynb",
    "notebooks/exercises/student/*.ipynb",
    "benchmarks/results/*",
]


def book():
    """The folder that holds notebooks/: the checkout's, or the one that came with the wheel."""
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "notebooks/00_start_here.ipynb").exists():
        return checkout
    for file in metadata.files("byzlib") or []:
        if file.name == "00_start_here.ipynb" and file.parent.name == "notebooks":
            return Path(file.locate()).resolve().parent.parent
    sys.exit("This byzlib came without its book; a wheel made by `pip wheel .` holds it.")


def copy(folder):
    """Copy the notebooks with all that they read; no file that is there is written over.

    Parameters
    ----------
    folder : path
        Made if need be; a folder in which one of the files stands already is refused.

    Returns
    -------
    Path of the first chapter's copy.
    """
    source, folder = book(), Path(folder)
    files = [file for part in PARTS for file in sorted(source.glob(part))]
    targets = [folder / file.relative_to(source) for file in files]
    if taken := [target for target in targets if target.exists()]:
        sys.exit(f"{taken[0]} is there already; name a new folder, or move yours away.")
    for file, target in zip(files, targets):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return folder / "notebooks/00_start_here.ipynb"


def main(arguments=None):
    """The command line: say where the book is, or copy it."""
    parser = argparse.ArgumentParser(prog="python -m byzlib", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    copies = commands.add_parser("copy", help="copy the notebooks and their data to a folder")
    copies.add_argument("folder", metavar="FOLDER")
    asked = parser.parse_args(arguments)
    if asked.command == "copy":
        print(f"jupyter lab {copy(asked.folder)}")
        return
    print(f"byzlib {__version__}; its book lies in {book() / 'notebooks'}")
    print("python -m byzlib copy FOLDER  copies the notebooks and their data to where you work")


if __name__ == "__main__":
    main()
