"""What every checker does: ask the answer, find the mistake behind a wrong one, say where to look.

A checker is a function of the reader's answer under `@exercise`. It poses cases with `ask`, which
sees to the shape and to untouched inputs, and hands what came back to `judge`, beside the right
value and the values that likely mistakes give. `require` is for all that has no such value. The
hint comes with the input that failed.
"""

import contextvars
import copy
import functools
import re
import sys
import traceback
import tracemalloc
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

SHOWN = 600  # letters of an input that a hint prints


class NotYet(AssertionError):
    """The answer is not right yet; the message is a hint.

    A notebook shows the hint alone, or above the traceback of the reader's function if it stopped.
    """

    def _render_traceback_(self):  # what IPython prints of an exception
        if self.__cause__ is None:
            return [f"NotYet: {self}"]
        stopped = traceback.TracebackException.from_exception(self.__cause__)
        here = str(Path(__file__).parent)
        own = [frame for frame in stopped.stack if not frame.filename.startswith(here)]
        stopped.stack = traceback.StackSummary.from_list(own)
        return [f"NotYet: {self}", "", *"".join(stopped.format(chain=False)).splitlines()]


class Verdict(NamedTuple):
    """What `judge` found in one case."""

    right: bool
    same: dict  # hint -> does its mistake give what was found?
    otherwise: str  # the hint if no mistake explains all cases
    where: str
    case: str


class Asked:
    """The reader's function, what it was given last, and the verdicts on it so far."""

    def __init__(self, function, names):
        self.function, self.names = function, names
        self.given, self.verdicts = (), []

    def case(self):
        """The last input as text, or "" before there was one."""
        pairs = zip(self.names, self.given, strict=False)
        shown = ", ".join(f"{name} = {_shown(value)}" for name, value in pairs)
        return f"\nThe input was {shown}." if shown else ""

    def hint(self):
        """What to say of the first wrong case, or None where all are right.

        A mistake is named only if it gives what was found in every case that knows of it.
        """
        wrong = next((verdict for verdict in self.verdicts if not verdict.right), None)
        if wrong is None:
            return None
        explained = (
            hint
            for hint, same in wrong.same.items()
            if same and all(v.same.get(hint, True) for v in self.verdicts)
        )
        return wrong.where + next(explained, wrong.otherwise) + wrong.case


_ASKED = contextvars.ContextVar("the answer that is being checked")


def exercise(number, where):
    """Make a checker of a function that tests an answer; it keeps the two as attributes.

    Parameters
    ----------
    number : str
        The exercise, as its chapter counts it.
    where : str
        What to read again when it does not work out.

    The docstring of the function starts with the call, "`answer(x, f)` is ...", whose names a hint
    uses for the input.
    """

    def decorate(test):
        names = re.match(r"`answer\((.*?)\)`", test.__doc__)[1].split(", ")

        @functools.wraps(test)
        def check(answer):
            if not callable(answer):
                raise NotYet(f"{number}: hand over the function itself; got {answer!r}")
            asked, stopped = Asked(answer, names), None
            before = _ASKED.set(asked)
            try:
                with np.errstate(all="ignore"), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    test(asked)
            except NotImplementedError:
                raise NotYet(f"{number} is still to do.\nWhere to look: {where}") from None
            except Exception as error:
                stopped = error
            finally:
                _ASKED.reset(before)
            cause, hint = None, asked.hint()
            if hint is None and isinstance(stopped, NotYet):
                hint = f"{stopped}{asked.case()}"
            elif hint is None and stopped:
                what = f"{type(stopped).__name__}: {stopped}"
                cause, hint = stopped, f"your function stopped with {what}.{asked.case()}"
            if hint is not None:
                raise NotYet(f"{number}: {hint}\nWhere to look: {where}") from cause
            print(f"{number}: right.")

        check.number, check.where = number, where
        return check

    return decorate


def require(condition, hint):
    """Raise `NotYet` with the hint unless the condition holds."""
    if not condition:
        raise NotYet(hint)


def ask(answer, *given, shape=(), wanted="One number, please."):
    """What the answer makes of copies of `given`, as a float array of that shape.

    A shape of None leaves it as it comes. Arrays and lists must come back as they were given.
    """
    answer.given, handed = given, copy.deepcopy(given)
    value = answer.function(*handed)
    for before, after in zip(given, handed, strict=True):
        if isinstance(before, np.ndarray | list):
            same = np.array_equal(before, after, equal_nan=True)
            require(same, "your function changed what it was given; work on a copy.")
    require(value is not None, "your function returns None: it must end with `return`.")
    return value if shape is None else array(value, shape, wanted)


def array(value, shape, hint):
    """`value` as a float array, if it has that shape and can be one."""
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise NotYet(f"{hint} Your function returned {value!r}.") from None
    require(array.shape == shape, f"{hint} Yours has shape {array.shape}, not {shape}.")
    return array


def whole(value):
    """`value` if it is a whole number."""
    number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    require(number, f"a whole number is wanted; got {value!r}.")
    return value


def shape_of(value):
    """The shape of an answer, or None where it has none."""
    try:
        return np.shape(value)
    except ValueError:
        return None


def refusal(answer, *given):
    """Does the answer raise ValueError? What it returns instead, or None."""
    try:
        return ask(answer, *given, shape=None)
    except NotYet:
        raise
    except ValueError:
        return None


def judge(found, right, mistakes, otherwise="", where="", rtol=1e-5, atol=1e-8):
    """Note whether `found` is right, and which mistakes give the same.

    Parameters
    ----------
    found, right : float arrays of one shape
    mistakes : dict of hint -> value
        What likely mistakes give; a tuple holds several values of one mistake. One that makes no
        difference in this case, or gives the same as another, does no harm: a hint is used only
        if it fits all cases.
    otherwise : str
        What to say of an unknown mistake; by default the most wrong number and the right one.
    where : str
        The case in words, before the hint, where the input alone does not tell it.
    rtol, atol : float
        Of `numpy.allclose`.
    """
    found, asked = np.asarray(found), _ASKED.get()

    def same(value):
        return np.allclose(found, value, rtol, atol, equal_nan=True)

    known = {
        hint: any(map(same, values if isinstance(values, tuple) else (values,)))
        for hint, values in mistakes.items()
    }
    finite = np.isfinite(found)
    if not finite.all():
        otherwise = f"a finite number is wanted; yours holds {found[~finite][0]}."
    otherwise = otherwise or _difference(found, np.asarray(right))
    where = where and f"{where}: "
    asked.verdicts.append(Verdict(same(right), known, otherwise, where, asked.case()))


def _difference(found, right):
    """The number that is most wrong, and what it should be."""
    place = np.unravel_index(np.abs(found - right).argmax(), found.shape)
    at = f" at place {place[0] if len(place) == 1 else tuple(map(int, place))}" if place else ""
    wanted, yours = (f"{numbers[place]:.6g}" for numbers in (right, found))
    if wanted == yours:
        wanted, yours = (repr(float(numbers[place])) for numbers in (right, found))
    return f"{wanted} is wanted{at}; yours is {yours}."


def _shown(value):
    """A part of the input as text, the beginning of a long one."""
    if isinstance(value, np.ndarray | np.generic):
        text = str(value.tolist())
    elif isinstance(value, list):
        text = f"[{', '.join(map(_shown, value))}]"
    else:
        named = getattr(value, "__name__", type(value).__name__)
        text = named if " at 0x" in repr(value) else repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ..."


# --- how an answer works ------------------------------------------------------------------------


def _watched(answer, given, watch, before, note):
    """Let the answer run while `watch`, sys.setprofile or sys.settrace, calls `note`."""
    answer.given, handed = given, copy.deepcopy(given)
    watch(note)
    try:
        answer.function(*handed)
    finally:
        watch(before)


def calls_of(answer, *given):
    """{(package, name)} of all functions that run, in C too; the package of a method is ""."""
    seen = set()

    def note(frame, event, called):
        if event == "call":
            seen.add((frame.f_globals.get("__name__", "").split(".")[0], frame.f_code.co_name))
        elif event == "c_call":
            package = getattr(called, "__module__", None) or ""
            seen.add((package.split(".")[0], getattr(called, "__name__", "")))

    _watched(answer, given, sys.setprofile, sys.getprofile(), note)
    return seen


def steps_of(answer, *given):
    """How many lines of Python run."""
    steps = 0

    def note(frame, event, _):
        nonlocal steps
        steps += 1
        return note

    _watched(answer, given, sys.settrace, sys.gettrace(), note)
    return steps


def memory_of(answer, *given):
    """The most bytes that it holds at a time; it gets what is given, and no copy."""
    began = not tracemalloc.is_tracing()
    if began:
        tracemalloc.start()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    answer.function(*given)
    _, most = tracemalloc.get_traced_memory()
    if began:
        tracemalloc.stop()
    return most - before
