"""Checkers of the exercises: each asks for properties, and says what is wrong and where to look.

A checker takes the reader's function. It prints one line when the answer is right, and raises
`NotYet` with a hint when it is not. It works offline, at once, and never changes what it is given.
The checkers of each chapter stand in a module of its number.
"""

from byzlib.checks._form import NotYet, exercise, require
from byzlib.checks.chapter_00 import middle
from byzlib.checks.chapter_01 import liars_survived, steer_together
from byzlib.checks.chapter_10 import next_labels, upper_shadow

__all__ = [
    "NotYet",
    "exercise",
    "require",
    "middle",
    "liars_survived",
    "steer_together",
    "next_labels",
    "upper_shadow",
]
