"""Rules and attacks called on a stack of runs: once when they can take it, else run by run.

A rule or an attack that treats leading axes as trials answers for all runs in one call. One that
draws random numbers must draw each run's from that run's own generator, and one that was written
for (n, d) alone does not know leading axes: both are called run by run. Which is which is seen from
the first answers, so that nobody has to declare it.
"""

import functools
import inspect

import numpy as np

from byzlib.aggregators._contract import all_finite


def innermost(function):
    """The function inside `functools.partial`s."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def free_parameters(function):
    """Names of the parameters that nobody has bound yet."""
    try:
        names = set(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # some built-in functions have no signature
        return set()
    while isinstance(function, functools.partial):
        names -= set(function.keywords)
        function = function.func
    return names


class StackedRule:
    """A rule with everything it wants: f, weights, its last answer, random numbers."""

    def __init__(self, rule, f, weighted, trust=True):
        free = free_parameters(rule)
        if weighted and "weights" not in free:
            name = getattr(innermost(rule), "__name__", repr(rule))
            raise ValueError(
                f"ByzantineFL with weighted=True needs a rule that takes weights; got {name}"
            )
        self.rule = rule
        self.arguments = (f,) if "f" in free else ()
        self.keywords = {"return_weights": True} if trust and "return_weights" in free else {}
        self.weighted, self.centered, self.draws = weighted, "center" in free, "rng" in free
        self.run_by_run = self.centered or self.draws
        self.checked = False

    def __call__(self, updates, rngs, claims, last):
        """Answers (S, d), trust (S, n) or None, and {run: why the rule had no answer}."""
        if len(updates) > 1 and not self.run_by_run:
            answer = self._together(updates, claims)
            if answer is not None:
                return *answer, {}
        return self._one_by_one(updates, rngs, claims, last)

    def _together(self, updates, claims):
        keywords = self.keywords | ({"weights": claims} if self.weighted else {})
        try:
            step, trust = self._call(updates, keywords)
            if not self.checked:
                self._check(step, updates, claims)
        except Exception:  # whatever it is, it comes again where the runs are asked one by one
            return None
        return None if self.run_by_run else (step, trust)

    def _check(self, step, updates, claims):
        """Does the first run get the same answer on its own?"""
        alone, _ = self._single(updates, 0, None, claims, None)
        self.run_by_run = step.shape != (len(updates), updates.shape[-1]) or not agree(
            step[0], alone
        )
        self.checked = True

    def _one_by_one(self, updates, rngs, claims, last):
        step = np.full((len(updates), updates.shape[-1]), np.nan, updates.dtype)
        trust, refused = np.full(updates.shape[:2], np.nan), {}
        for k in range(len(updates)):
            try:
                step[k], weights = self._single(updates, k, rngs[k], claims, last)
            except ValueError as error:
                if all_finite(updates[k]):
                    raise
                refused[k] = str(error)
                continue
            if weights is not None:
                trust[k] = weights
        return step, trust, refused

    def _single(self, updates, k, rng, claims, last):
        keywords = dict(self.keywords)
        if self.weighted:
            keywords["weights"] = claims[k]
        if self.centered:
            keywords["center"] = last[k]
        if self.draws:
            keywords["rng"] = rng
        return self._call(updates[k], keywords)

    def _call(self, updates, keywords):
        answer = self.rule(updates, *self.arguments, **keywords)
        step, trust = answer if self.keywords else (answer, None)
        return np.asarray(step), trust


class StackedAttack:
    """An attack with everything it wants: the round, the liars' own answers, and earlier ones."""

    def __init__(self, attack):
        self.attack, inner = attack, innermost(attack)
        self.needs = {
            wish: getattr(attack, f"needs_{wish}", getattr(inner, f"needs_{wish}", False))
            for wish in ("round", "own", "history")
        }
        self.run_by_run = False
        self.checked = False

    def __call__(self, honest, own, rngs, t, history):
        """Lies (S, f, d) from the honest answers (S, h, d) and the liars' own (S, f, d)."""
        if len(honest) > 1 and not self.run_by_run:
            lies = self._together(honest, own, t, history)
            if lies is not None:
                return lies
        return np.stack(
            [
                self._call(honest[k], own[k], rngs[k], t, [rows[k] for rows in history])
                for k in range(len(honest))
            ]
        )

    def _together(self, honest, own, t, history):
        """The lies to all runs at once; None if this attack draws, or knows single runs only."""
        probe = np.random.default_rng(0)
        before = probe.bit_generator.state
        try:
            lies = self._call(honest, own, probe, t, history)
            self.run_by_run = probe.bit_generator.state != before
            if not (self.checked or self.run_by_run):
                alone = self._call(honest[0], own[0], probe, t, [rows[0] for rows in history])
                self.run_by_run = not agree(lies[0], alone)
                self.checked = True
        except Exception:  # whatever it is, it comes again where the runs are asked one by one
            self.run_by_run = True
        return None if self.run_by_run else lies

    def _call(self, honest, own, rng, t, history):
        wishes = {"round": t, "own": own, "history": history}
        wanted = {name: value for name, value in wishes.items() if self.needs[name]}
        lies = np.asarray(self.attack(honest, own.shape[-2], rng, **wanted))
        if lies.shape != own.shape:
            raise ValueError(
                f"an attack must return one row a liar, of shape {own.shape}; got {lies.shape}"
            )
        return lies


def agree(one, other):
    """Equal up to the rounding of a float32."""
    size = np.abs(other, where=np.isfinite(other), out=np.zeros(np.shape(other))).max(initial=0.0)
    return one.shape == np.shape(other) and np.allclose(
        one, other, rtol=1e-4, atol=1e-5 * size, equal_nan=True
    )
