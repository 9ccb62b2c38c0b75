"""A digest of the code that decides a result, under which `run_grid` keeps it."""

import ast
import functools
import hashlib
import inspect
import sys
import textwrap
from importlib.machinery import SourceFileLoader
from pathlib import Path

import joblib
import numpy as np

PLAIN = (str, bool, int, float)
LIBRARY = Path(__file__).parents[1]
READERS = ("checks/", "experiments/results.py", "experiments/tables.py", "plotting.py")
PACKAGES = {"site-packages", "dist-packages"}


def _stamps(folder):
    """{file: when it was written}."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.py")}


LOADED = _stamps(LIBRARY)


def code_of(cell):
    """Digest of a cell, of all that it reads, of byzlib, and of NumPy's version.

    A function in a file stands for the whole file, one in a notebook for itself. What it reads is
    followed, but not into installed packages: functions, classes and their bases, modules, and
    values, by what they hold. TypeError for what cannot be hashed, RuntimeError for code that is
    not what its file says, both by name.
    """
    inner = inspect.unwrap(cell)
    if not inspect.isfunction(inner) or inner.__name__ == "<lambda>":
        raise TypeError(f"a cell that is kept on disk is a function made with def; got {cell!r}")
    if _stamps(LIBRARY) != LOADED:
        raise RuntimeError("a file of byzlib was changed since it was loaded: start anew")
    found = {}
    _follow(inner, inner.__qualname__, found, own=_root(inner))
    code = [np.__version__, *library_code(LIBRARY).values(), inner.__qualname__]
    code += [text for _, text in found.values()]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()


@functools.cache
def library_code(folder):
    """{file: its code} of all in byzlib that decides a result; `READERS` only read results."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.py"))}
    return {name: _code(path) for name, path in files.items() if not name.startswith(READERS)}


def _follow(thing, name, found, own):
    """Add to `found`, {id: (thing, text)}, a thing and all it reads; own: its package."""
    thing = inspect.unwrap(thing) if callable(thing) else thing
    parts = _parts(thing, own)
    if parts is None:
        found[name] = thing, f"{name} = {_hash(thing, name)}"
    elif id(thing) not in found:
        if _is_installed(thing, own):
            parts = _given(thing)
        else:
            which = getattr(thing, "__qualname__", "")  # a file may hold several
            # A thing that is held keeps its id.
            found[id(thing)] = thing, f"{name}: {which} {_text(thing)}"
        for inner, value in parts.items():
            _follow(value, f"{name}.{inner}", found, own)


def _parts(thing, own):
    """{name: value} of what a thing looks up or consists of, in a fixed order; None for a value."""
    if inspect.isfunction(thing):
        cells = zip(thing.__code__.co_freevars, thing.__closure__ or ())
        known = thing.__globals__ | {name: cell.cell_contents for name, cell in cells}
        given = {"defaults": thing.__defaults__, "keywords": thing.__kwdefaults__}
        return _looked_up(_names(thing.__code__), known, own, set()) | given
    if inspect.ismethod(thing):
        return {"function": thing.__func__, "object": thing.__self__}
    if isinstance(thing, functools.partial):
        return {"function": thing.func, "arguments": thing.args, "keywords": thing.keywords}
    if isinstance(thing, property):
        return {"get": thing.fget, "set": thing.fset, "delete": thing.fdel}
    if isinstance(thing, tuple | list):
        return dict(enumerate(thing))
    if isinstance(thing, dict):
        return {joblib.hash(key): value for key, value in thing.items()}
    if inspect.ismodule(thing):
        return {name: part for name, part in vars(thing).items() if name[:2] != "__"}
    if inspect.isclass(thing):
        parts = {name: getattr(part, "__func__", part) for name, part in vars(thing).items()}
        return {n: part for n, part in parts.items() if _decides(n, part)} | {
            "bases": thing.__bases__
        }
    if hasattr(thing, "__dict__") and _is_ours(type(thing), own):
        return {"class": type(thing), "state": vars(thing)}
    return None


def _given(thing):
    """{name: value} that a function made inside byzlib was given, such as a reader's clients."""
    _, file = _module(thing)
    if not inspect.isfunction(thing) or file is None or not file.is_relative_to(LIBRARY):
        return {}
    cells = zip(thing.__code__.co_freevars, thing.__closure__ or ())
    return {name: cell.cell_contents for name, cell in cells}


def _looked_up(names, known, own, seen):
    """{name: value} of the names in `known`; of a module that is not installed those of its own."""
    found = {}
    for name in sorted(names & known.keys()):
        value = known[name]
        if not inspect.ismodule(value) or _is_installed(value, own):
            found[name] = value
        elif value not in seen:
            inner = _looked_up(names, vars(value), own, seen | {value})
            found |= {f"{name}.{part}": value for part, value in inner.items()}
    return found


def _decides(name, part):
    """Is it a part of a class that says what its instances do?"""
    if inspect.isfunction(part):
        return True
    hidden = inspect.isgetsetdescriptor(part) or inspect.ismemberdescriptor(part)
    return not (hidden or name[:2] == "__" or name == "_abc_impl")


def _is_ours(kind, own):
    """Is it a class of byzlib or of the reader's?"""
    return _root(kind) == LIBRARY.name or not _is_installed(kind, own)


def _hash(value, name):
    """Digest of what a value holds."""
    try:
        return joblib.hash(value)
    except Exception:
        raise TypeError(
            f"the cell reads {name}, a {type(value).__name__}, which cannot be hashed to tell "
            "whether it changed; make it inside the cell"
        ) from None


def _names(code):
    """The names that a code object, and those inside it, look up."""
    return {name for one in _nested(code) for name in (*one.co_names, *one.co_freevars)}


def _module(thing):
    """(name, file) of the module of a function, class or module; None where there is no file."""
    if not (inspect.isfunction(thing) or inspect.isclass(thing) or inspect.ismodule(thing)):
        return "", None
    name = (thing.__name__ if inspect.ismodule(thing) else thing.__module__) or ""
    file = getattr(sys.modules.get(name), "__file__", None)
    return name, Path(file) if file and Path(file).is_file() else None


def _root(thing):
    """The package of a thing: "numpy" for numpy.linalg.norm."""
    return _module(thing)[0].split(".")[0]


def _is_installed(thing, own):
    """Does it belong to Python, to byzlib (which counts as a whole), or to a package but `own`?"""
    _, file = _module(thing)
    if file is not None and file.is_relative_to(LIBRARY):
        return True
    packaged = file is not None and PACKAGES & set(file.parts) and _root(thing) != own
    return bool(packaged) or _root(thing) in sys.stdlib_module_names


def _text(thing):
    """The code of a thing's file; in a notebook its own, or else what kind of thing it is."""
    name, file = _module(thing)
    if file is not None:
        if inspect.isfunction(thing) and _is_stale(thing, name, file):
            raise RuntimeError(
                f"{thing.__qualname__} is not what stands in {file.name}: reload {name}, or start "
                "anew"
            )
        return _code(file)
    if not inspect.isfunction(thing):
        return type(thing).__name__
    try:
        return _bare(inspect.getsource(thing))
    except OSError:
        return _instructions(thing.__code__)


def _is_stale(function, name, file):
    """Has the file of a function been changed since Python loaded it, as it stands?"""
    loader = getattr(sys.modules[name], "__loader__", None)
    if type(loader) is not SourceFileLoader or Path(function.__code__.co_filename) != file:
        return False
    return _instructions(function.__code__) not in _stands_in(file.read_text(encoding="utf-8"))


@functools.cache
def _stands_in(source):
    """The instructions of all functions in a file."""
    module = compile(source, "", "exec", dont_inherit=True)
    return set(map(_instructions, _nested(module)))


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


def _code(path):
    return _bare(path.read_text(encoding="utf-8"))


@functools.cache
def _bare(source):
    """Digest of code without comments, docstrings and layout."""
    tree = ast.parse(textwrap.dedent(source))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node, clean=False) is not None:
                node.body[0] = ast.Pass()
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()
