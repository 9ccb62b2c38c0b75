"""How a rule or an attack that was written for one run serves a stack of them."""

import functools

import numpy as np


def one_by_one(function):
    """A rule or an attack for single trials as one for stacks: it is called trial by trial.

    `ByzantineFL` hands all runs of a stack over at once, on leading axes, and expects as many
    answers. A function that knows (n, d) alone, that takes a `center`, or that draws from one
    generator is wrapped in a visible line: `ByzantineFL(model, clients, one_by_one(rule), ...)`.

    Parameters
    ----------
    function : callable (updates, ...) -> (d,), or (honest, f, ...) -> (f, d)

    Returns
    -------
    callable (..., n, d) -> (..., d), or (..., h, d) -> (..., f, d), with the same parameters; of
    `rng`, `weights`, `center`, `own` and `history` each trial gets its own.
    """

    @functools.wraps(function)
    def stacked(rows, *shared, **given):
        rows = np.asarray(rows)
        *lead, n, d = rows.shape
        if not lead:
            return function(rows, *shared, **given)

        def of_trial(name, value, k):
            if name == "rng":
                return value[k]
            if name == "history":
                return [of_trial("own", past, k) for past in value]
            if name in ("weights", "center", "own"):
                return np.reshape(value, (-1, *np.shape(value)[len(lead) :]))[k]
            return value

        answers = [
            function(trial, *shared, **{name: of_trial(name, given[name], k) for name in given})
            for k, trial in enumerate(rows.reshape(-1, n, d))
        ]
        if isinstance(answers[0], tuple):  # an answer, and whom it trusts
            return tuple(_stacked(part, lead) for part in zip(*answers, strict=True))
        return _stacked(answers, lead)

    return stacked


def _stacked(answers, lead):
    return np.reshape(answers, (*lead, *np.shape(answers[0])))
