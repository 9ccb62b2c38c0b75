"""Tests of the library, the book and its tools."""
