"""Play a notebook in this process: its cells in order, each with what it shows and how it ends.

What a kernel does for a reader, without the kernel: no second process, no second import of NumPy.
"""

import contextlib
import os
import sys
import traceback
from typing import NamedTuple

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from conftest import same

QUIET = Config({"HistoryManager": {"enabled": False}})


class Played(NamedTuple):
    """One code cell: its source, tags, stored outputs, what it shows now, and its error or None."""

    number: int  # among the code cells, from 0
    source: str
    tags: tuple
    stored: list
    shown: list
    error: str | None

    def as_stored(self):
        """Does it show what is stored with it?"""
        return not self.difference()

    def difference(self):
        """One sentence about the first output that is not what is stored, or ""."""
        if len(self.stored) != len(self.shown):
            return f"{len(self.shown)} outputs where {len(self.stored)} are stored"
        for stored, shown in zip(self.stored, self.shown):
            if not same(stored, shown):
                return first_difference(stored, shown)
        return ""


class Shell(InteractiveShell):
    """An IPython that keeps errors to itself."""

    def showtraceback(self, *args, **kwargs):
        pass

    showsyntaxerror = showtraceback


def play(notebook, folder):
    """Yield a `Played` for each code cell; an error does not keep the next cell from its turn.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
    folder : path
        Where the notebook lies; it is the working directory while cells run.
    """
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    with contextlib.chdir(folder), shell() as ipython:
        for number, cell in enumerate(code):
            with ipython.display_trap, capture_output() as captured:
                done = ipython.run_cell(cell.source)
            error = done.error_before_exec or done.error_in_exec
            yield Played(
                number,
                cell.source,
                tuple(cell.metadata.get("tags", ())),
                texts_of(cell.outputs),
                texts_of(outputs_of(captured)),
                error and told(error),
            )


@contextlib.contextmanager
def shell():
    """A shell with nothing in it, in a process that is afterwards as it was."""
    path, modules = list(sys.path), dict(sys.modules)
    Shell.clear_instance()
    ipython = Shell.instance(config=QUIET, user_module=None)
    sys.path.insert(0, os.getcwd())
    try:
        yield ipython
    finally:
        ipython.reset(new_session=False)
        ipython.restore_sys_module_state()
        Shell.clear_instance()
        sys.path[:] = path
        sys.modules["__main__"] = modules["__main__"]


def outputs_of(captured):
    """The outputs of a cell, in the form in which a notebook stores them."""
    for name, text in (("stdout", captured.stdout), ("stderr", captured.stderr)):
        if text:
            yield {"output_type": "stream", "name": name, "text": text}
    for rich in captured.outputs:
        yield {"output_type": "display_data", "data": rich.data, "metadata": rich.metadata}


def texts_of(outputs):
    """What two runs of a cell can be compared by: its streams, then its values and pictures."""
    streams, values = {}, []
    for output in outputs:
        if output["output_type"] == "stream":
            name = output["name"]
            streams[name] = streams.get(name, "") + output["text"]
            continue
        for kind, value in sorted(output["data"].items()):
            marks = output["metadata"].get(kind, {})
            about = [f"{key}: {marks[key]}" for key in ("name", "alt") if key in marks]
            values.append("\n".join([kind, *about, value]))
    return [f"{name}\n{text}" for name, text in sorted(streams.items())] + values


def first_difference(stored, shown):
    """The first line that differs, both ways."""
    for old, new in zip(stored.splitlines(), shown.splitlines()):
        if not same(old, new):
            return f"{shortened(new)!r} where {shortened(old)!r} is stored"
    return "another number of lines"


def shortened(line):
    line = " ".join(line.split())
    return line if len(line) <= 80 else f"{line[:77]}..."


def told(error):
    """The line of the cell that stopped, and why."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.line for frame in frames if frame.filename.startswith("<ipython-input")]
    said = shortened(f"{type(error).__name__}: {error}".strip(": "))
    return f"{said} at {lines[-1]}" if lines else said
