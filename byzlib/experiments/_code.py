"""A digest of the code that decides a result, under which `run_grid` keeps it."""

import ast
import functools
import hashlib
import inspect
import sys
import textwrap
from pathlib import Path

import joblib
import numpy as np

PLAIN = (str, bool, int, float)
LIBRARY = Path(__file__).parents[1]
READERS = ("checks/", "experiments/results.py", "experiments/tables.py", "plotting.py")
PACKAGES = {"site-packages", "dist-packages"}


def code_of(cell):
    """Digest of a cell, of all that it reads, of byzlib, and of NumPy's version.

    A function in a file stands for the whole file, one in a notebook for itself. What it reads is
    followed, but not into installed packages: functions, classes, modules, and constants (numbers,
    names and arrays; tuples, lists and dicts of these).
    """
    inner = inspect.unwrap(cell)
    if not inspect.isfunction(inner) or inner.__name__ == "<lambda>":
        raise TypeError(f"a cell that is kept on disk is a function made with def; got {cell!r}")
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
    if isinstance(thing, (*PLAIN, np.ndarray, np.generic)):
        found[name] = thing, f"{name} = {joblib.hash(thing)}"
    elif id(thing) not in found and not _is_installed(thing, own):
        found[id(thing)] = thing, f"{name}: {_text(thing)}"  # a thing that is held keeps its id
        for inner, value in _reads(thing).items():
            _follow(value, f"{name}.{inner}", found, own)


def _reads(thing):
    """{name: value} of what a thing looks up or consists of, in a fixed order."""
    if inspect.isfunction(thing):
        cells = zip(thing.__code__.co_freevars, thing.__closure__ or ())
        known = thing.__globals__ | {name: cell.cell_contents for name, cell in cells}
        names = sorted(_names(thing.__code__) & known.keys())
        given = {"defaults": thing.__defaults__, "keywords": thing.__kwdefaults__}
        return {name: known[name] for name in names} | given
    if isinstance(thing, functools.partial):
        return {"function": thing.func, "arguments": thing.args, "keywords": thing.keywords}
    if isinstance(thing, tuple | list):
        return dict(enumerate(thing))
    if isinstance(thing, dict):
        return {joblib.hash(key): value for key, value in thing.items()}
    if inspect.isclass(thing) or inspect.ismodule(thing):
        parts = {name: getattr(part, "__func__", part) for name, part in vars(thing).items()}
        return {n: p for n, p in parts.items() if inspect.isfunction(p) or n[:2] != "__"}
    return {"class": type(thing)}


def _names(code):
    """The names that a code object, and those inside it, look up."""
    inner = [constant for constant in code.co_consts if inspect.iscode(constant)]
    return {*code.co_names, *code.co_freevars}.union(*map(_names, inner))


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
    _, file = _module(thing)
    if file is not None:
        return _code(file)
    if not inspect.isfunction(thing):
        return type(thing).__name__
    try:
        return _bare(inspect.getsource(thing))
    except OSError:
        raise TypeError(
            f"the code of {thing.__name__} cannot be read; put it in a file or a notebook"
        ) from None


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
