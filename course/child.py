"""Run somebody else's code in this process, and answer for it over a pipe: `python -I child.py FD`.

Started by process.py. It imports the library, gives its rights away, and only then
runs what it is told. Requests come pickled, from one's own side; answers go
back as JSON, plain numbers and text, which cannot run anything there.
"""

import base64
import importlib
import json
import linecache
import os
import re
import signal
import sys
import time
import traceback
import types
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
ROOMS = "aggregators attacks federated market metrics risk theory".split()
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
DTYPES = np.generic | int | float | bool
# What may be imported, beside Python itself and byzlib; and modules that go round the wall.
PACKAGES = (
    "numpy scipy pandas array_api_compat dateutil pytz six tzdata joblib threadpoolctl".split()
)
CLOSED = "_posixsubprocess _posixshmem _xxsubinterpreters _interpreters _testcapi".split()
# Modules for looking at, which do nothing here.
PICTURES = "matplotlib matplotlib.pyplot IPython IPython.display byzlib.plotting".split()
# Audit events, by how they begin, and what is said of them.
FORBIDDEN = {
    "os.fork": "start a process", "os.exec": "start a process", "os.posix_spawn": "start a process",
    "os.spawn": "start a process", "os.system": "start a process", "pty.spawn": "start a process",
    "subprocess.Popen": "start a process", "socket.": "open a socket",
    "os.kill": "send a signal", "signal.pthread_kill": "send a signal",
    "os.remove": "delete a file", "os.rmdir": "delete a folder", "os.rename": "rename a file",
    "os.mkdir": "make a folder", "os.link": "link a file", "os.symlink": "link a file",
    "os.truncate": "write a file", "os.ch": "change a file or folder", "os.utime": "touch a file",
    "sqlite3.connect": "open a data base", "resource.": "change its limits",
    "gc.get_": "look at foreign objects", "ctypes.": "leave Python",
    "cpython.PyInterpreterState": "start an interpreter",
    "sys.setprofile": "change how it is watched", "sys.settrace": "change how it is watched",
}  # fmt: skip


def main(fd):
    pipe, trusted = Connection(fd), []
    memory, seconds, total = pipe.recv()
    sys.path.insert(0, str(ROOT))
    counters = load_library()
    limit(memory, int(time.process_time() + total) + 1)
    arm(pipe, trusted)
    pipe.send_bytes(encoded(["done", "ready"]))
    names = {"__name__": "__main__"}

    def ask_back(number, method, given, named):
        """What a function, or a method, of the other side returns."""
        given = [plain(x) for x in given], {name: plain(x) for name, x in named.items()}
        pipe.send_bytes(encoded(["back", number, method, *given]))
        kind, value = pipe.recv()
        if kind == "raise":
            raise value
        return value

    def rebuilt(value):
        return value.rebuilt(ask_back) if isinstance(value, Remote) else value

    while True:
        task, *given = pipe.recv()
        # Computing counts, not the clock, so that a busy machine takes no points.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            if task == "run":
                answer = run(names, *given)
            else:
                name, calls = given
                calls = [[rebuilt(x) for x in call] for call in calls]
                if task == "call":
                    values = [names[name](*call) for call in calls]
                else:
                    trusted.append(task)
                    asked = types.SimpleNamespace(function=names[name])
                    values = [counters[task](asked, *call) for call in calls]
                    trusted.clear()
                changed = calls[0] if len(calls) == 1 else []
                changed = [x if isinstance(x, list | np.ndarray) else None for x in changed]
                answer = [[plain(x) for x in values], [plain(x) for x in changed]]
            reply = ["done", answer]
        except BaseException as error:
            trusted.clear()
            reply = ["raise", type(error).__name__, told(error)]
        signal.setitimer(signal.ITIMER_PROF, 0)
        pipe.send_bytes(encoded(reply))


class Remote:
    """A function, an iterator or a generator of random numbers that stays on the other side."""

    def __init__(self, number, value):
        self.number, self.name = number, getattr(value, "__name__", "function")
        self.kind = "function" if callable(value) else "iterator"
        if isinstance(value, np.random.Generator):
            self.kind = "generator"

    @staticmethod
    def is_due(value):
        """Must it stay? A generator need not, unless it is a special one that notes its use."""
        drawing = isinstance(value, np.random.Generator) and type(value) is not np.random.Generator
        return callable(value) or hasattr(value, "__next__") or drawing

    def rebuilt(self, ask_back):
        """What stands for it here."""

        def method(name):
            def function(*given, **named):
                return ask_back(self.number, name, given, named)

            function.__name__ = name or self.name
            return function

        if self.kind == "function":
            return method("")
        if self.kind == "iterator":
            return (item[0] for item in iter(method("__next__"), None))
        return Drawn(method)


class Drawn(np.random.Generator):
    """Numbers that the other side draws."""

    def __new__(cls, method):
        return super().__new__(cls, np.random.PCG64(0))

    def __init__(self, method):
        super().__init__(np.random.PCG64(0))
        self._method = method

    def __getattribute__(self, name):
        own = object.__getattribute__(self, "__dict__").get("_method")
        return own(name) if own and name[0] != "_" else super().__getattribute__(name)

    def __deepcopy__(self, memo):
        return self


# --- the code ------------------------------------------------------------------


def run(names, place, source):
    """Execute one cell; 0 if it ran."""
    file = f"<cell {place}>"
    try:
        code = compile(source, file, "exec")
    except SyntaxError:  # lines that only a notebook understands
        source = re.sub(r"^(\s*)([%!].*)$", r"\1pass  # \2", source, flags=re.MULTILINE)
        code = compile(source, file, "exec")
    linecache.cache[file] = len(source), None, source.splitlines(True), file
    exec(code, names)
    return 0


def told(error):
    """The message of an error, and the line of the cell in which it came up."""
    frames = traceback.StackSummary.extract(
        traceback.walk_tb(error.__traceback__), lookup_lines=False
    )
    lines = [f"{f.filename[1:-1]}, line {f.lineno}: {f.line}" for f in frames
             if f.filename.startswith("<cell")]  # fmt: skip
    where = f" ({lines[-1]})" if lines else ""
    try:
        return f"{str(error)[:500]}{where}"
    except Exception:  # an error whose text is an error
        return where


def plain(value):
    """Numbers, text, arrays and lists of them as JSON can hold them; else what it looks like."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    for kind in (list, tuple, set):
        if isinstance(value, kind):
            return {kind.__name__: [plain(x) for x in value]}
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, DTYPES)):
        return {"dtype": np.dtype(value).str}
    if hasattr(value, "__array__") and not isinstance(value, type):
        array = np.asarray(value)
        if array.dtype.kind in "biufcU":
            data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
            single = isinstance(value, np.generic)
            return {"array": [array.dtype.str, list(array.shape), data, single]}
        if array.dtype.kind == "O" and array.ndim:
            return plain(array.tolist())
    return {"other": f"{value!r}"[:200]}


def encoded(message):
    return json.dumps(message).encode()


# --- rights --------------------------------------------------------------------


def load_library():
    """Import what notebooks import; in the place of the checkers, names that do nothing."""
    import pandas  # noqa: F401
    import scipy.special  # noqa: F401

    import byzlib

    for room in ROOMS:
        importlib.import_module(f"byzlib.{room}")
    np.testing  # noqa: B018  (loads itself when named)
    empty = types.ModuleType("byzlib.checks")
    empty.__path__ = [str(Path(byzlib.__file__).parent / "checks")]
    sys.modules["byzlib.checks"] = byzlib.checks = empty
    form = importlib.import_module("byzlib.checks._form")
    sys.modules.pop("byzlib.checks._form")
    del empty.__path__, empty._form
    empty.__getattr__ = ignored
    for name in PICTURES:
        sys.modules[name] = shown = types.ModuleType(name)
        shown.__path__, shown.__getattr__ = [], ignored
        parent, _, leaf = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], leaf, shown)
    return {"calls": form.calls_of, "steps": form.steps_of, "memory": form.memory_of}


def ignored(name):
    """A checker, or a picture, that does nothing."""
    if name.startswith("__"):
        raise AttributeError(name)
    return lambda *given: None


def limit(memory, seconds):
    """Hold this process to so many bytes and seconds of computing, no file, and no child."""
    import resource

    for name, most in [
        ("AS", memory), ("CPU", seconds), ("FSIZE", 0), ("CORE", 0), ("NOFILE", 64), ("NPROC", 0),
    ]:  # fmt: skip
        number = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(number)[1]
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        try:
            resource.setrlimit(number, (most, most))
        except (ValueError, OSError):  # macOS does not know all of them
            continue


def arm(pipe, trusted):
    """From here on, whatever is not reading the library's own files ends the process.

    The hook uses nothing that the code that it watches could bind anew: no global name but
    builtins kept here, no file system, and methods of exact str alone.
    """
    kinds, text, truth, leave = isinstance, str, any, os._exit
    library = str(ROOT / "byzlib") + "/"
    checkers, own, devnull = library + "checks", __file__, os.devnull
    listed = [path for path in sys.path if path]
    sites = [path + "/" for path in listed if path.endswith(("site-packages", "dist-packages"))]
    roots = [path + "/" for path in listed if path + "/" not in sites and path != str(ROOT)]
    packages, zones = set(PACKAGES), "/usr/share/zoneinfo/"
    forbidden, closed = list(FORBIDDEN.items()), set(CLOSED)
    ended, writing, letters = [], WRITING, ("w", "a", "x", "+")
    send, pack = pipe.send_bytes, encoded

    def end(what):
        if not ended:
            ended.append(what)
            try:
                send(pack(["forbidden", what]))
            finally:
                leave(3)
        leave(3)

    def spelled(path):
        """A path as exact text, for a subclass may answer what it likes."""
        if kinds(path, bytes_):
            path = bytes_.decode(path, "utf-8", "surrogateescape")
        return text.__str__(path) if kinds(path, text) else "something else"

    def readable(path):
        if "/../" in path or path.endswith("/.."):
            return False
        for site in sites:
            if path.startswith(site):
                return path[len(site) :].split("/")[0].split(".")[0].split("-")[0] in packages
        if path.startswith(library):
            return not path.startswith(checkers)
        return path in (own, devnull) or truth(
            [path.startswith(root) and "-packages" not in path for root in [*roots, zones]]
        )

    bytes_ = bytes

    def hook(event, given):
        if event == "open":
            path, mode, flags = given
            if kinds(path, int_):
                return
            path = spelled(path)
            if path.startswith("<cell"):  # a syntax error looks there
                return
            if (flags & writing or truth([x in (mode or "") for x in letters])) and path != devnull:
                end("write " + path)
            if not readable(path):
                end("read " + path)
        elif event == "os.listdir" or event == "os.scandir":
            path = spelled(given[0])
            if path not in listed and not readable(path + "/"):
                end("list " + path)
        elif event == "import":
            if given[0] in closed:
                end("start a process")
        elif not (trusted and (event == "sys.setprofile" or event == "sys.settrace")):
            for start, what in forbidden:
                if event.startswith(start):
                    end(what)

    int_ = int
    for name in CLOSED:
        sys.modules[name] = None
    if "subprocess" in sys.modules:
        sys.modules["subprocess"]._fork_exec = sys.modules["subprocess"]._posixsubprocess = None
    sys.addaudithook(hook)


if __name__ == "__main__":
    sys.modules["course.child"] = sys.modules["__main__"]
    main(int(sys.argv[1]))
