"""A digest of all that decides a result, under which `run_grid` keeps it."""

import contextlib
import copyreg
import dis
import functools
import hashlib
import importlib.util
import inspect
import os
import sys
import types
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

from byzlib.aggregators import RULES
from byzlib.attacks import ATTACKS
from byzlib.theory import is_tensor, to_numpy

LIBRARY, PYTHON = Path(__file__).parents[1], Path(os.__file__).parent
PACKAGES = {"site-packages", "dist-packages"}
# They read results, and decide none.
READERS = ("checks/", "experiments/results.py", "experiments/tables.py", "plotting.py")
PLAIN = {type(None), type(...), bool, int, float, complex, str, bytes}
TIMES = pd.arrays.DatetimeArray, pd.arrays.TimedeltaArray, pd.arrays.PeriodArray
# What is in things that pickle does not take apart, or with what was computed of them.
HOLDS = dict.fromkeys(TIMES, ("dtype", "asi8")) | {
    property: ("fget", "fset", "fdel"), classmethod: ("__func__",), staticmethod: ("__func__",),
    functools.cached_property: ("func",), type(functools.cache(len)): ("__wrapped__",),
    types.MethodType: ("__self__", "__func__"),
}  # fmt: skip


def _stamps(folder):
    """{file: when it was written}."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.py")}


LOADED = _stamps(LIBRARY)


def code_of(cell):
    """Digest of a cell, of all that its names lead to, of byzlib, and of NumPy's version.

    A function counts for its instructions and for what it names, in a file or in a notebook:
    functions, classes, values by what they hold, and all these in modules. Of byzlib its files
    count, `RULES` and `ATTACKS`; of Python and of installed packages names. What a text finds is
    not followed: `eval`, `globals`, `getattr`, but that a module counts for the instructions of all
    its functions. What a cell opens, such as a file of data, does not count. TypeError for what
    cannot be hashed, RuntimeError for a function that is not what its file says, both by name.
    """
    inner = inspect.unwrap(cell)
    if not inspect.isfunction(inner) or inner.__name__ == "<lambda>":
        raise TypeError(f"a cell that is kept on disk is a function made with def; got {cell!r}")
    if _stamps(LIBRARY) != LOADED or _was_changed_before():
        raise RuntimeError("a file of byzlib was changed since it was loaded: start anew")
    read = [np.__version__, library_code(LIBRARY), cell, RULES, ATTACKS]
    try:
        return _Digest(own=_home(inner).split(".")[0]).of(read, cell.__name__)
    except RecursionError:
        raise TypeError(f"{cell.__name__} reads what is nested too deep to be hashed") from None


@functools.cache
def _was_changed_before():
    """Was a file of byzlib changed after it was loaded, and before `LOADED` was written?"""
    rooms = {name: module for name, module in sys.modules.items() if name.startswith("byzlib.")}
    return any(
        inspect.isfunction(body := inspect.unwrap(part))
        and body.__globals__ is vars(module)
        and _is_stale(body)
        for module in list(rooms.values())
        for part in list(vars(module).values())
        if callable(part)
    )


@functools.cache
def library_code(folder):
    """{file: hash of its code, without docstrings} of all in byzlib that decides a result."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.py"))}
    return {
        name: joblib.hash(_instructions(compile(path.read_bytes(), name, "exec", optimize=2)))
        for name, path in files.items()
        if not name.startswith(READERS)
    }


class _Digest:
    """Takes things apart, each once, into parts with or without names, down to plain values."""

    def __init__(self, own):
        self.own = own  # the cell's package, which is followed even if it is installed
        self.seen = {}

    def of(self, thing, name):
        """A text that differs where things differ; `name` is that under which a cell reads it."""
        if type(thing) in PLAIN:
            return repr(thing)
        if id(thing) not in self.seen:
            self.seen[id(thing)] = f"thing {len(self.seen)}", thing  # which may hold itself
            parts = [(part, self.of(held, part or name)) for part, held in self.parts(thing, name)]
            if isinstance(thing, (set, frozenset)):
                parts.sort()
            text = hashlib.sha256(repr((type(thing).__name__, parts)).encode()).hexdigest()
            self.seen[id(thing)] = text, thing
        return self.seen[id(thing)][0]

    def parts(self, thing, name):
        """(name, part) of all that decides what a thing is and does."""
        if inspect.isfunction(thing):
            return self.of_function(thing).items()
        if inspect.isclass(thing):
            return self.of_class(thing).items()
        if inspect.ismodule(thing):
            known = () if self.is_installed(thing.__name__) else vars(thing).values()
            codes = [part.__code__ for part in known if inspect.isfunction(part)]
            parts = [thing.__name__, *map(_instructions, codes)]
        elif type(thing) in HOLDS:
            parts = [getattr(thing, part) for part in HOLDS[type(thing)]]
        elif type(thing) in (list, tuple, set, frozenset):
            parts = thing
        elif type(thing) is dict:
            parts = [part for item in thing.items() for part in item]
        elif isinstance(thing, np.ndarray):
            array, more = np.asarray(thing), getattr(thing, "__dict__", None)
            numbers = array.tolist() if array.dtype.hasobject else joblib.hash(array)
            parts = array.shape, numbers, None if isinstance(thing, np.memmap) else more
        elif is_tensor(thing):  # whose own way into a file is another in each process
            parts = str(thing.dtype), str(thing.device), to_numpy(thing)
        else:
            parts = _reduced(thing, name)
        return [("", part) for part in parts]

    def of_function(self, function):
        """Of an installed one its own code, unless it was made anew, by another function."""
        name, home, code = function.__name__, _home(function), function.__code__
        parts = {"": f"{home} {function.__qualname__} {_instructions(code)}"}
        if not self.is_installed(home):
            if _is_stale(function):
                raise RuntimeError(
                    f"{function.__qualname__} is not what stands in "
                    f"{Path(code.co_filename).name}: reload {home}, or start anew"
                )
        elif "<locals>" not in code.co_qualname or function.__globals__.get(name) is function:
            return parts
        more = {  # which no name in code is like
            f"a default of {name}": (function.__defaults__, function.__kwdefaults__),
            f"an attribute of {name}": vars(function),
        }
        return parts | more | self.named_in(function)

    def of_class(self, kind):
        """Of an installed one its name."""
        parts = {"": f"{kind.__module__} {kind.__qualname__}"}
        if self.is_installed(_home(kind)):
            return parts
        parts["its bases"] = type(kind), *kind.__bases__
        for name, part in vars(kind).items():
            if callable(part) or type(part) in HOLDS or name[:2] != "__" and name != "_abc_impl":
                parts[name] = part
        return parts

    def named_in(self, function):
        """{name: value} of what a function names: in its module, around it, and in modules."""
        codes = list(_nested(function.__code__))
        names = {name for code in codes for name in (*code.co_names, *code.co_freevars)}
        known = function.__globals__ | inspect.getclosurevars(function).nonlocals
        found, spaces = {}, [("", known)]
        spaces += [(f"{module.__name__}.", vars(module)) for module in self.imported_in(function)]
        for prefix, space in spaces:  # which grows
            for name in sorted(names & space.keys()):
                found[prefix + name] = value = space[name]
                if inspect.ismodule(value) and not self.is_installed(value.__name__):
                    if all(vars(value) is not other for _, other in spaces):
                        spaces.append((f"{prefix}{name}.", vars(value)))
        return found

    def imported_in(self, function):
        """Modules that it imports when it runs."""
        steps = [step for code in _nested(function.__code__) for step in dis.get_instructions(code)]
        steps = [step for step in steps if step.opname != "EXTENDED_ARG"]
        for level, names, step in zip(steps, steps[1:], steps[2:]):
            name = "" if level.argval else step.argval  # from here, or from anywhere
            if step.opname == "IMPORT_NAME" and not self.is_installed(name):
                what = step.argval, function.__globals__, None, names.argval or (), level.argval
                with contextlib.suppress(ImportError, KeyError):  # as a cell may do, too
                    yield __import__(*what)

    def is_installed(self, module):
        """Is it of Python, of byzlib, or of a package but the cell's own?"""
        package, file = module.split(".")[0], _file(module)
        if package == LIBRARY.name or file is None:
            return package == LIBRARY.name or package in sys.stdlib_module_names
        installed = file.is_relative_to(PYTHON) or bool(PACKAGES & set(file.parts))
        return installed and package != self.own


def _reduced(thing, name):
    """What pickle would write of an object."""
    try:
        reduce = copyreg.dispatch_table.get(type(thing))
        parts = reduce(thing) if reduce else thing.__reduce_ex__(4)
    except Exception:
        raise TypeError(
            f"the cell reads {name}, and in it a {type(thing).__name__}, which cannot be hashed to "
            "tell whether it changed; make it inside the cell"
        ) from None
    if isinstance(parts, str):  # its name
        return [getattr(thing, "__module__", ""), parts]
    return [list(part) if isinstance(part, Iterator) else part for part in parts]


def _home(thing):
    """The module of a function or class; a wrapper's `__module__` is that of what it wraps."""
    return thing.__globals__.get("__name__", "") if inspect.isfunction(thing) else thing.__module__


def _file(module):
    """The file of a module, or of a package that is not loaded; None without one."""
    package = module.split(".")[0]
    found = sys.modules.get(module) or sys.modules.get(package)
    found = found or (package and importlib.util.find_spec(package))
    file = getattr(found, "__file__", None) or getattr(found, "origin", None)
    return Path(file) if file and Path(file).is_file() else None


def files_of_the_reader():
    """{file: when it was written} of all modules that are loaded and not of installed packages."""
    files = {_file(name) for name in list(sys.modules) if not _Digest("").is_installed(name)}
    return {file: file.stat().st_mtime_ns for file in files - {None}}


def _is_stale(function):
    """Was its file changed since Python loaded it, so that other processes load another?"""
    file, loader = Path(function.__code__.co_filename), function.__globals__.get("__loader__")
    if type(loader) is not SourceFileLoader or Path(loader.path) != file or not file.is_file():
        return False
    return _instructions(function.__code__) not in _stands_in(file.read_bytes())


@functools.cache
def _stands_in(source):
    """The instructions of all functions in a file; none while it is being written."""
    with contextlib.suppress(SyntaxError):
        return set(map(_instructions, _nested(compile(source, "", "exec"))))
    return set()


def _nested(code):
    """A code object and all inside it."""
    yield code
    for constant in filter(inspect.iscode, code.co_consts):
        yield from _nested(constant)


def _instructions(code):
    """What a code object does, as text, wherever it stands."""

    def text(part):
        if isinstance(part, frozenset):
            return sorted(map(repr, part))
        return _instructions(part) if inspect.iscode(part) else repr(part)

    constants = list(map(text, code.co_consts))
    counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    return repr((code.co_qualname, code.co_code, code.co_exceptiontable, counts, names, constants))
