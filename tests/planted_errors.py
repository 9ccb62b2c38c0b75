"""Plant errors in the library, one at a time, and see who notices.

A book whose numbers are asserted is worth as much as its assertions. `python -m
tests.planted_errors` puts each error of `planted_list` into a copy of the tree, plays the chapters
that should notice until one of them fails, then runs the tests that should, and prints a table of
who did. Words after the command choose errors, by the function that is wrong or by what it does.
It ends with 1 if an error went by unseen, or if a chapter or a test fails with no error planted.

A chapter is played as a script: its outputs are not compared, so that it is an assertion that
notices, not a last digit. The tree itself is never touched.
"""

import ast
import importlib
import inspect
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.planted_list import ERRORS

ROOT = Path(__file__).parent.parent
PARTS = ("byzlib", "notebooks", "tests", "conftest.py", "pyproject.toml")
OURS = {"byzlib", "conftest", "notebooks", "tests"}  # what a child imports from the copy alone
LEFT_OUT = shutil.ignore_patterns("__pycache__", "_build", "student", ".ipynb_checkpoints")
PATIENCE = 600  # seconds for one chapter or one test
HOLDS, NOTICED = 0, 3  # what a child process ends with; anything else is no answer

# Children are forked from a process that has imported what takes long, and never byzlib.
FORK = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
FORK.set_forkserver_preload(["matplotlib.pyplot", "pandas", "PIL.Image", "pytest", "scipy.stats"])


def copy(folder):
    """A copy of the tree, without what nobody here reads."""
    folder.mkdir(exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=LEFT_OUT)
        else:
            shutil.copy(source, folder / part)
    return folder


def home(name):
    """The file of byzlib that defines a public name, and what is defined there."""
    thing, steps = importlib.import_module("byzlib"), name.split(".")
    while inspect.ismodule(thing):
        thing, *steps = getattr(thing, steps[0]), *steps[1:]
    own = inspect.unwrap(thing)
    for step in steps:
        getattr(own, step)  # a method or a property of a class
    file = Path(inspect.getsourcefile(own)).resolve()
    return file.relative_to(ROOT.resolve()), ".".join([own.__name__, *steps])


def planted_text(what, name, text):
    """The text of a module in which `name` is wronged as soon as it is defined."""
    owner, _, method = name.partition(".")
    right = f"vars({owner})[{method!r}]" if method else name
    (end,) = [x.end_lineno for x in ast.parse(text).body if getattr(x, "name", None) == owner]
    lines = text.splitlines(keepends=True)
    plant = f"from tests.planted_list import wronged\n{name} = wronged({what!r}, {right})\n"
    return "".join([*lines[:end], plant, *lines[end:]])


class Plant:
    """An error planted in a copy of the tree while the block runs."""

    def __init__(self, error, folder):
        file, name = home(error.name)
        self.path = folder / file
        self.sound = self.path.read_text(encoding="utf-8")
        self.text = planted_text(error.what, name, self.sound)

    def __enter__(self):
        self.path.write_text(self.text, encoding="utf-8")

    def __exit__(self, *_):
        self.path.write_text(self.sound, encoding="utf-8")


def fails(folder, *watchers):
    """Does one of these chapters ("06") or tests ("test_x.py::test_y") fail in this copy?"""
    child = FORK.Process(target=_watch, args=(str(folder), watchers))
    child.start()
    child.join(PATIENCE)
    if child.is_alive():  # an error may make a loop endless
        child.kill()
        child.join()
        return True
    if child.exitcode not in (HOLDS, NOTICED):
        raise RuntimeError(f"{', '.join(watchers)} could not be asked in {folder}")
    return child.exitcode == NOTICED


def _watch(folder, watchers):
    """What a child process does: move into the copy, look, and end with what it saw."""
    _move_into(folder)
    chapters = [watcher for watcher in watchers if watcher.isalnum()]
    tests = [f"tests/{watcher}" for watcher in watchers if not watcher.isalnum()]
    noticed = any(_stops(path) for number in chapters for path in chapter(folder, number))
    sys.exit(NOTICED if noticed or (tests and _test_fails(folder, tests)) else HOLDS)


def _move_into(folder):
    """Import byzlib and tests from the copy from now on, and say nothing."""
    os.chdir(folder)
    os.environ["MPLBACKEND"] = "Agg"
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.dont_write_bytecode = True
    sys.path[:] = [folder] + [p for p in sys.path if Path(p or ".").resolve() != ROOT.resolve()]
    for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
        del sys.modules[name]
    import byzlib

    if Path(byzlib.__file__).resolve().parent.parent != Path(folder).resolve():
        raise RuntimeError(f"byzlib comes from {byzlib.__file__}, not from {folder}")


def chapter(folder, number):
    return Path(folder, "notebooks").glob(f"{number}_*.ipynb")


def _stops(path):
    """Does an assertion, or anything else, stop the code of this chapter?"""
    os.chdir(path.parent)
    space = {"__name__": "__main__"}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            try:
                exec(compile("".join(cell["source"]), path.stem, "exec"), space)
            except Exception:
                return True
    return False


def _test_fails(folder, tests):
    import pytest

    os.chdir(folder)
    quiet = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # another's fork server
    status = pytest.main(["-x", "-q", "-m", "", "-p", "no:cacheprovider", *quiet, *tests])
    if status not in (0, 1, 2):  # 2: the error shows already while the test is read
        raise RuntimeError(f"pytest ended with {status} on {tests}")
    return status != 0


def noticed_by(error, folder):
    """The first chapter and the first test that fail with the error planted, or None."""
    with Plant(error, folder):
        return tuple(
            next((watcher for watcher in watchers if fails(folder, watcher)), None)
            for watchers in (error.chapters.split(), error.tests.split())
        )


def chosen(words):
    """The errors in whose name or description one of the words occurs; all without words."""
    return [e for e in ERRORS if not words or any(w in f"{e.name} {e.what}" for w in words)]


def survey(errors, jobs=2):
    """Yield (error, chapter or None, test or None) for each error, in order."""
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(jobs) as pool:
        folders = [copy(Path(place, str(k))) for k in range(jobs)]

        def ask(error):
            folder = folders.pop()
            try:
                return error, *noticed_by(error, folder)
            finally:
                folders.append(folder)

        yield from pool.map(ask, errors)


def unsound(errors):
    """Chapters and tests that fail with no error planted: nothing can be learned from them."""
    watchers = sorted({w for e in errors for w in (e.chapters + " " + e.tests).split()})
    with tempfile.TemporaryDirectory() as place:
        folder = copy(Path(place))
        tests = [watcher for watcher in watchers if not watcher.isalnum()]
        chapters = [watcher for watcher in watchers if watcher.isalnum()]
        broken = [number for number in chapters if fails(folder, number)]
        if fails(folder, *tests):
            broken += [test for test in tests if fails(folder, test)]
        return broken


def main(words):
    if sys.flags.optimize:
        sys.exit("Python leaves assertions out: unset PYTHONOPTIMIZE")
    errors, unseen = chosen(words), 0
    if broken := unsound(errors):
        print(f"These fail with no error planted: {', '.join(broken)}")
        return 1
    print(f"{'error':<60} {'chapter':<8} test")
    for error, chapter, test in survey(errors):
        unseen += not (chapter or test)
        print(f"{error.what:<60} {chapter or '-':<8} {test or '-'}", flush=True)
    print(f"{len(errors)} errors planted, {unseen} unseen")
    return min(unseen, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
