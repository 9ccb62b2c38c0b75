"""A digest of the code that decides a result, under which `run_grid` keeps it."""

import contextlib
import dis
import functools
import importlib.util
import inspect
import os
import pickle
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from joblib.hashing import NumpyHasher

from byzlib.aggregators import RULES
from byzlib.attacks import ATTACKS
from byzlib.theory import is_tensor, to_numpy

LIBRARY = Path(__file__).parents[1]
# They read results, and decide none.
READERS = ("checks/", "experiments/results.py", "experiments/tables.py", "plotting.py")
PACKAGES = {"site-packages", "dist-packages"}
PYTHON = Path(os.__file__).parent
# Functions that find what a text names, in a module or where the code itself stands.
BY_NAME, BY_NAME_HERE = {"getattr", "vars", "__dict__"}, {"globals", "eval", "exec"}
TIMES = pd.arrays.DatetimeArray, pd.arrays.TimedeltaArray, pd.arrays.PeriodArray


def _stamps(folder):
    """{file: when it was written}."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.py")}


LOADED = _stamps(LIBRARY)


def code_of(cell):
    """Digest of a cell, of all that it reads, of byzlib, and of NumPy's version.

    A function counts for its instructions and for what it looks up: functions, classes and their
    bases, parts of modules, and values, by what they hold; but of an installed package only names
    count, and of byzlib its files, `RULES` and `ATTACKS`. What a cell opens, such as a file of
    data, does not. TypeError for what cannot be hashed, RuntimeError for code that is not what its
    file says, both by name.
    """
    inner = inspect.unwrap(cell)
    if not inspect.isfunction(inner) or inner.__name__ == "<lambda>":
        raise TypeError(f"a cell that is kept on disk is a function made with def; got {cell!r}")
    if _stamps(LIBRARY) != LOADED or _was_changed_before():
        raise RuntimeError("a file of byzlib was changed since it was loaded: start anew")
    found = [inner]
    read = [_hash([cell, RULES, ATTACKS], cell.__name__, found)]
    for thing in found:  # which grows
        what, parts = _parts(thing, own=_module(inner)[0])
        read.append([what, *((name, _hash(part, name, found)) for name, part in parts.items())])
    return joblib.hash([np.__version__, library_code(LIBRARY), read])


@functools.cache
def _was_changed_before():
    """Was a file of byzlib changed after it was loaded, and before `LOADED` was written?"""
    rooms = {name: module for name, module in sys.modules.items() if name.startswith("byzlib.")}
    return any(
        inspect.isfunction(body := inspect.unwrap(part))
        and body.__globals__ is vars(module)
        and _is_stale(body, Path(module.__file__))
        for module in list(rooms.values())
        for part in list(vars(module).values())
        if callable(part)
    )


@functools.cache
def library_code(folder):
    """{file: its code, without docstrings} of all in byzlib that decides a result."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.py"))}
    return {
        name: _instructions(compile(path.read_text(encoding="utf-8"), name, "exec", optimize=2))
        for name, path in files.items()
        if not name.startswith(READERS)
    }


class _Hasher(NumpyHasher):
    """`joblib.hash`, but functions, classes and modules count as places in a list of them.

    Without a list they count as names. Sets and dicts have one order, whatever they hold.
    """

    def __init__(self, found=None):
        super().__init__("md5")
        self.found = found

    def save(self, thing):
        if isinstance(thing, functools._lru_cache_wrapper):
            thing = thing.__wrapped__
        if isinstance(thing, functools.cached_property):
            thing = thing.func
        if inspect.isfunction(thing) or inspect.isclass(thing) or inspect.ismodule(thing):
            thing = self._place(thing)
        elif type(thing) in (set, frozenset):
            thing = type(thing).__name__, sorted(thing, key=_rank)
        elif isinstance(thing, TIMES):  # without what was computed of them
            thing = thing.dtype, thing.asi8
        elif isinstance(thing, np.ndarray) and not isinstance(thing, np.memmap):
            self.save(getattr(thing, "__dict__", None))
        elif is_tensor(thing):  # whose own way into a file is another in each process
            thing = type(thing).__name__, str(thing.dtype), str(thing.device), to_numpy(thing)
        super().save(thing)

    def _place(self, thing):
        if self.found is None:
            code = _instructions(thing.__code__) if inspect.isfunction(thing) else ""
            return f"{_module(thing)[0]}.{thing.__name__} {code}"
        if thing not in self.found:
            self.found.append(thing)
        return f"found {self.found.index(thing)}"

    def _batch_setitems(self, items, *more):
        items = sorted(items, key=lambda item: _rank(item[0]))
        pickle._Pickler._batch_setitems(self, iter(items), *more)


def _rank(key):
    """What sorts the keys of a dict, or a set."""
    kind = type(key)
    return (kind.__name__, key) if kind in (str, int) else (_Hasher().hash(key), "")


def _hash(value, name, found):
    try:
        return _Hasher(found).hash(value)
    except Exception:
        raise TypeError(
            f"the cell reads {name}, a {type(value).__name__}, which cannot be hashed to tell "
            "whether it changed; make it inside the cell"
        ) from None


def _parts(thing, own):
    """What a function, class or module is, as text, and {name: value} of what it reads."""
    package, file = _module(thing)
    name = f"{package}.{getattr(thing, '__qualname__', thing.__name__)}"
    if _is_installed(thing, own):
        return name, _given(thing) if inspect.isfunction(thing) else {}
    if inspect.ismodule(thing):
        return name, {part: value for part, value in vars(thing).items() if part[:2] != "__"}
    if inspect.isclass(thing):
        return name, _members(thing)
    if file is not None and _is_stale(thing, file):
        raise RuntimeError(
            f"{thing.__qualname__} is not what stands in {file.name}: reload {thing.__module__}, "
            "or start anew"
        )
    more = {  # which no name in code is like
        f"a default of {thing.__name__}": (thing.__defaults__, thing.__kwdefaults__),
        f"an attribute of {thing.__name__}": vars(thing),
    }
    return _instructions(thing.__code__), _looked_up(thing, own) | more


def _given(function):
    """{name: value} that a function of an installed package was made with."""
    given = inspect.getclosurevars(function).nonlocals
    if _module(function)[0] == LIBRARY.name:
        return given
    return {k: v for k, v in given.items() if inspect.isfunction(v) or inspect.isclass(v)}


def _looked_up(function, own):
    """{name: value} that it knows and names; of a module that is not installed those of its own."""
    imported = _imported(function, own)
    known = function.__globals__ | inspect.getclosurevars(function).nonlocals | imported
    codes = list(_nested(function.__code__))
    names = {name for code in codes for name in (*code.co_names, *code.co_freevars)}
    texts = {text for code in codes for text in code.co_consts if isinstance(text, str)}
    found, modules = {}, [("", known)]
    for prefix, known in modules:  # which grows
        by_name = names & (BY_NAME | BY_NAME_HERE if prefix else BY_NAME_HERE)
        wanted = names | imported.keys() | (texts if by_name else set())
        for name in sorted(known):
            value = known[name]
            if name not in wanted and not (by_name and inspect.isfunction(value)):
                continue
            if not inspect.ismodule(value) or _is_installed(value, own):
                found[prefix + name] = value
            elif all(vars(value) is not other for _, other in modules):
                modules.append((f"{prefix}{name}.", vars(value)))
    return found


def _imported(function, own):
    """{"import 0": module} of the imports inside a function that are not of installed packages."""
    found = {}
    for code in _nested(function.__code__):
        steps = [step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG"]
        for level, names, step in zip(steps, steps[1:], steps[2:]):
            if step.opname != "IMPORT_NAME":
                continue
            package = step.argval.split(".")[0]
            if not level.argval and _is_named(package, _origin(package), own):
                continue
            with contextlib.suppress(ImportError, KeyError):  # as a cell may do, too
                found[f"import {len(found)}"] = __import__(
                    step.argval, function.__globals__, None, names.argval or (), level.argval
                )
    return found


def _members(kind):
    """{name: part} of a class: its bases, and what says what its instances do."""
    members = {"its bases": (*kind.__bases__, type(kind))}
    for name, part in vars(kind).items():
        part = getattr(part, "__func__", part)  # of a class method, or a static one
        if isinstance(part, property):
            part = part.fget, part.fset, part.fdel
        hidden = inspect.isgetsetdescriptor(part) or inspect.ismemberdescriptor(part)
        hidden = hidden or name[:2] == "__" or name == "_abc_impl"
        if callable(part) or not hidden:
            members[name] = part
    return members


def _module(thing):
    """The package of a function, class or module, and the file of its module; None without one."""
    # A wrapper says of itself what it wraps.
    name = thing.__globals__.get("__name__") if inspect.isfunction(thing) else _says(thing)
    return (name or "").split(".")[0], _file(name)


def _says(thing):
    return thing.__name__ if inspect.ismodule(thing) else thing.__module__


def _file(module):
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file) if file and Path(file).is_file() else None


def _origin(package):
    """The file of a package, loaded or not."""
    if package in sys.modules:
        return _file(package)
    spec = importlib.util.find_spec(package)
    return spec and spec.origin


def _is_installed(thing, own):
    """Does it belong to Python, to byzlib (which counts as a whole), or to a package but `own`?"""
    package, file = _module(thing)
    says = _says(thing) or ""
    return _is_named(package, file, own) and _is_named(says.split(".")[0], _file(says), own)


def _is_named(package, file, own):
    """`_is_installed` of what is in this file of a package."""
    file = Path(file or "")
    if package in sys.stdlib_module_names:  # and no file of the reader's that is called so
        return file.suffix != ".py" or file.is_relative_to(PYTHON)
    return package == LIBRARY.name or (bool(PACKAGES & set(file.parts)) and package != own)


def _is_stale(function, file):
    """Has its file been changed since Python loaded the function, so that others load another?"""
    loader = function.__globals__.get("__loader__")
    if type(loader) is not SourceFileLoader or Path(function.__code__.co_filename) != file:
        return False
    return _instructions(function.__code__) not in _stands_in(file.read_bytes())


def files_of_the_reader():
    """{file: when it was written} of all modules that are loaded and not of installed packages."""
    files = {name: _file(name) for name in list(sys.modules)}
    return {
        file: file.stat().st_mtime_ns
        for name, file in files.items()
        if file is not None and not _is_named(name.split(".")[0], file, None)
    }


@functools.cache
def _stands_in(source):
    """The instructions of all functions in a file; none while it is being written."""
    try:
        return set(map(_instructions, _nested(compile(source, "", "exec"))))
    except SyntaxError:
        return set()


def _nested(code):
    """A code object and all inside it."""
    yield code
    for constant in code.co_consts:
        if inspect.iscode(constant):
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
