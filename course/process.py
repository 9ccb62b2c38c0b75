"""A process of its own for code that nobody has read: `Process`, and what it may not do.

It is held to limits of time and memory, has no files but Python's own, no network, no
other processes, and answers with plain numbers and text. course/README.md says what
that cannot stop.
"""

import base64
import builtins
import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from multiprocessing import Pipe
from pathlib import Path

import numpy as np

from course.child import Remote

MEMORY = 4 * 2**30  # bytes of addresses; the libraries alone take more than one of them
MOST = 2**27  # bytes of one answer


class Lost(Exception):
    """The process ended, was ended, or tried what it may not; the message says which."""


class Process:
    """Code in a process of its own.

    Parameters
    ----------
    seconds : float
        How long one task may compute; by the clock it may take six times as long.
    total : float, optional
        How long all tasks together may compute, 20 tasks by default.
    memory : int
        How many bytes it may address.
    """

    def __init__(self, seconds=10.0, total=None, memory=MEMORY):
        self.seconds, self.total, self.lost, self.ready = (
            seconds,
            total or 20 * seconds,
            None,
            False,
        )
        self.left = 6 * self.total  # by the clock
        self.pipe, theirs = Pipe()
        self.folder = tempfile.TemporaryDirectory()
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        script = str(Path(__file__).with_name("child.py"))
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-B", script, str(theirs.fileno())],
            pass_fds=[theirs.fileno()], cwd=self.folder.name, env=threads, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()
        self.pipe.send((memory, seconds, self.total))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._kill()
        self.process.wait()
        self.pipe.close()
        self.folder.cleanup()

    def run(self, place, source):
        """Execute the source of a cell; its errors are raised here."""
        self._do("run", place, source)

    def call(self, name, calls, task="call"):
        """What the function of that name answers, for each tuple of arguments in `calls`.

        Functions and iterators among the arguments stay here, and are asked over the pipe.
        Arrays and lists of a single call are changed as the function changed them. `task` is
        "calls" or "steps" to count instead, as `byzlib.checks` does.
        """
        served = []

        def sent(value):
            if not Remote.is_due(value):
                return value
            served.append(value)
            return Remote(len(served) - 1, value)

        answers, changed = self._do(
            task, name, [[sent(x) for x in call] for call in calls], serve=served
        )
        for before, after in zip(calls[0], map(decoded, changed)):
            if isinstance(before, np.ndarray) and np.shape(after) == before.shape:
                before[...] = after
            elif isinstance(before, list) and isinstance(after, list):
                before[:] = after
        return [decoded(x) for x in answers]

    def _do(self, *task, serve=()):
        if self.lost:
            raise Lost(self.lost)
        if not self.ready:  # its libraries are loaded; that is nobody's fault, however long
            try:
                self.ready = bool(self.pipe.recv_bytes())
            except EOFError:
                raise RuntimeError(f"a process did not start{self._how()}") from None
        message, late = pickle.dumps(task), []
        most, began = min(6 * self.seconds, self.left), time.monotonic()
        watch = threading.Timer(most, lambda: (late.append(1), self._kill()))
        watch.daemon = True
        watch.start()
        try:
            self.pipe.send_bytes(message)
            while True:
                kind, *rest = json.loads(self.pipe.recv_bytes(MOST))
                if kind == "back":
                    self.pipe.send(_served(serve, *rest))
                elif kind == "forbidden":
                    self._lose(f"it tried to {rest[0]}, which it may not")
                elif kind == "raise":
                    raise _error(*rest)
                else:
                    return rest[0]
        except (EOFError, OSError, ValueError, TypeError, KeyError, IndexError) as error:
            if isinstance(error, Raised):
                raise
            if late:
                self._lose(f"it did not answer within {most:.0f} seconds")
            how = self._how()
            busy = how.endswith(("SIGPROF", "SIGXCPU"))
            most = self.seconds if how.endswith("SIGPROF") else self.total
            took = f"it computed for more than {most:g} seconds"
            self._lose(took if busy else f"it ended its process{how}")
        finally:
            watch.cancel()
            self.left -= time.monotonic() - began

    def _lose(self, why):
        self._kill()
        self.lost = str(why)
        raise Lost(self.lost) from None

    def _how(self):
        try:
            code = self.process.wait(1)
        except subprocess.TimeoutExpired:
            return ""
        return f" by {signal.Signals(-code).name}" if code < 0 else f" with status {code}"

    def _kill(self):
        if self.process.returncode is None:  # else its number may be another's by now
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


class Raised:
    """Marks the errors that were raised in the other process."""


def _error(name, message):
    """An error of that name, a built-in one where it is one."""
    known = getattr(builtins, name, None)
    if not (isinstance(known, type) and issubclass(known, Exception)) or name == "StopIteration":
        known = Exception
    try:
        return type(name, (Raised, known), {"__str__": lambda error: message})()
    except TypeError:  # one that wants more than a message
        return type(name, (Raised, Exception), {"__str__": lambda error: message})()


def _served(values, number, method, given, named):
    """What a function of this side answers to one of the other: ("value", ...) or ("raise", ...)"""
    try:
        value = values[number]
        given, named = map(decoded, given), {name: decoded(x) for name, x in named.items()}
        if method == "__next__":
            answer = next(([item] for item in value), None)
        elif not method or (method[0] != "_" and isinstance(value, np.random.Generator)):
            answer = (getattr(value, method) if method else value)(*given, **named)
        pickle.dumps(answer)
        return "value", answer
    except Exception as error:
        known = type(error) if type(error).__module__ == "builtins" else RuntimeError
        return "raise", known(str(error))


class Other:
    """Something that is no number, text, array or list; it looks like what it was."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


KINDS = {"list": list, "tuple": tuple, "set": set}


def decoded(value):
    """What `plain` of child.py made JSON of."""
    if not isinstance(value, dict):
        return value
    (kind, held), = value.items()  # fmt: skip
    if kind == "array":
        dtype, shape, data, single = held
        array = np.frombuffer(base64.b64decode(data), np.dtype(dtype)).reshape(shape).copy()
        if array.dtype.kind not in "biufcU":
            raise ValueError("no plain array")
        return array[()] if single else array
    if kind == "dtype":
        return np.dtype(held)
    if kind in KINDS:
        return KINDS[kind](map(decoded, held))
    return Other(str(held))
