"""Answers to every exercise that has a checker: a module for each chapter.

`RIGHT` lists (checker, answer): right answers in several dresses, not only the book's own.
`WRONG` lists (checker, answer, hint): likely mistakes, with a pattern of the hint that each is due.
What must hold of all of them stands in test_checks.py.
"""
