"""Tests of the library, the book and its tools."""

from byzlib.aggregators import _threads

# `make` lets chapters run on one thread each; the rules are tested as they run for a reader.
_threads.THREADS = 2
