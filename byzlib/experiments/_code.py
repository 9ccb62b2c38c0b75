"""A digest of the code that decides a result, under which `run_grid` keeps it."""

import functools
import inspect
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import joblib
import numpy as np
from joblib.hashing import NumpyHasher

LIBRARY = Path(__file__).parents[1]
# They read results, and decide none.
READERS = ("checks/", "experiments/results.py", "experiments/tables.py", "plotting.py")
PACKAGES = {"site-packages", "dist-packages"}


def _stamps(folder):
    """{file: when it was written}."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.py")}


LOADED = _stamps(LIBRARY)


def code_of(cell):
    """Digest of a cell, of all that it reads, of byzlib, and of NumPy's version.

    A function counts for its instructions and for what it looks up: functions, classes and their
    bases, parts of modules, and values, by what they hold; but of an installed package only names
    count. TypeError for what cannot be hashed, RuntimeError for code that is not what its file
    says, both by name.
    """
    inner = inspect.unwrap(cell)
    if not inspect.isfunction(inner) or inner.__name__ == "<lambda>":
        raise TypeError(f"a cell that is kept on disk is a function made with def; got {cell!r}")
    if _stamps(LIBRARY) != LOADED:
        raise RuntimeError("a file of byzlib was changed since it was loaded: start anew")
    found, read = [inner, cell], []
    for thing in found:  # which grows
        what, parts = _parts(thing, own=_module(inner)[0])
        read.append([what, *((name, _hash(part, name, found)) for name, part in parts.items())])
    return joblib.hash([np.__version__, library_code(LIBRARY), read])


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
    """`joblib.hash`, but functions, classes and modules count as places in a list of them."""

    def __init__(self, found):
        super().__init__("md5")
        self.found = found

    def save(self, thing):
        if isinstance(thing, functools._lru_cache_wrapper):
            thing = thing.__wrapped__
        if inspect.isfunction(thing) or inspect.isclass(thing) or inspect.ismodule(thing):
            if thing not in self.found:
                self.found.append(thing)
            thing = f"found {self.found.index(thing)}"
        super().save(thing)


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
        made_here = inspect.isfunction(thing) and package == LIBRARY.name
        return name, inspect.getclosurevars(thing).nonlocals if made_here else {}
    if inspect.ismodule(thing):
        return name, {part: value for part, value in vars(thing).items() if part[:2] != "__"}
    if inspect.isclass(thing):
        return name, _members(thing)
    if file is not None and _is_stale(thing, file):
        raise RuntimeError(
            f"{thing.__qualname__} is not what stands in {file.name}: reload {thing.__module__}, "
            "or start anew"
        )
    known = thing.__globals__ | inspect.getclosurevars(thing).nonlocals
    given = {"defaults": thing.__defaults__, "keywords": thing.__kwdefaults__}
    return _instructions(thing.__code__), _looked_up(thing.__code__, known, own) | given


def _looked_up(code, known, own):
    """{name: value} of the names in `known`; of a module that is not installed those of its own."""
    names = {name for one in _nested(code) for name in (*one.co_names, *one.co_freevars)}
    found, modules = {}, [("", known)]
    for prefix, known in modules:  # which grows
        for name in sorted(names & known.keys()):
            value = known[name]
            if not inspect.ismodule(value) or _is_installed(value, own):
                found[prefix + name] = value
            elif all(vars(value) is not other for _, other in modules):
                modules.append((f"{prefix}{name}.", vars(value)))
    return found


def _members(kind):
    """{name: part} of a class: its bases, and what says what its instances do."""
    members = {"bases": kind.__bases__}
    for name, part in vars(kind).items():
        part = getattr(part, "__func__", part)  # of a class method, or a static one
        if isinstance(part, property):
            part = part.fget, part.fset, part.fdel
        hidden = inspect.isgetsetdescriptor(part) or inspect.ismemberdescriptor(part)
        hidden = hidden or name[:2] == "__" or name == "_abc_impl"
        if inspect.isfunction(part) or not hidden:
            members[name] = part
    return members


def _module(thing):
    """The package of a function, class or module, and the file of its module; None without one."""
    name = (thing.__name__ if inspect.ismodule(thing) else thing.__module__) or ""
    file = getattr(sys.modules.get(name), "__file__", None)
    return name.split(".")[0], Path(file) if file and Path(file).is_file() else None


def _is_installed(thing, own):
    """Does it belong to Python, to byzlib (which counts as a whole), or to a package but `own`?"""
    package, file = _module(thing)
    if package in sys.stdlib_module_names or package == LIBRARY.name:
        return True
    return file is not None and bool(PACKAGES & set(file.parts)) and package != own


def _is_stale(function, file):
    """Has its file been changed since Python loaded the function, so that others load another?"""
    loader = getattr(sys.modules[function.__module__], "__loader__", None)
    if type(loader) is not SourceFileLoader or Path(function.__code__.co_filename) != file:
        return False
    return _instructions(function.__code__) not in _stands_in(file.read_text(encoding="utf-8"))


@functools.cache
def _stands_in(source):
    """The instructions of all functions in a file."""
    return set(map(_instructions, _nested(compile(source, "", "exec"))))


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
    return repr((code.co_qualname, code.co_code, code.co_names, code.co_varnames, constants))
