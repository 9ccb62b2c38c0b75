"""Attacks in time: liars that wait, stop, or change their minds by the round."""

from byzlib.attacks._contract import (
    KNOWLEDGE,
    as_liars,
    knowledge_of,
    marked,
    needs,
    own_rows,
    required,
)
from byzlib.theory import as_count, as_updates


def during(attack, start, stop=None):
    """The attack in rounds start <= t < stop; honest answers before and after.

    Parameters
    ----------
    attack : callable (honest, f, rng, **parameters)
    start : int >= 1, the first round of the attack; rounds count from 1
    stop : int > start, optional, the first round of peace; never by default

    Returns
    -------
    An attack that needs the keywords round and own: in peace the liars send their own rows.
    """
    start = _round(start, "start", "during")
    if stop is not None and not start < _round(stop, "stop", "during"):
        raise ValueError(f"during needs start < stop; got {start} and {stop}")

    def at_war(t):
        return attack if start <= t and (stop is None or t < stop) else None

    return _scheduled([attack], at_war, "during")


def alternating(attacks, period=1):
    """Each attack for `period` rounds, one after the other, and again from the first.

    Parameters
    ----------
    attacks : sequence of attacks; None stands for honest answers
    period : int >= 1

    Returns
    -------
    An attack that needs the keyword round, and own where one of its parts does.
    """
    attacks, period = list(attacks), _round(period, "period", "alternating")
    if not attacks:
        raise ValueError("alternating needs at least one attack; got none")
    return _scheduled(attacks, lambda t: attacks[(t - 1) // period % len(attacks)], "alternating")


def with_own_knowledge(attack):
    """The same attack by liars who see their own rows only, and guess at the honest ones from them.

    Parameters
    ----------
    attack : `a_little_is_enough` or `fang`, with parameters set by functools.partial perhaps

    Returns
    -------
    An attack with knowledge "own" that needs the keyword own.
    """

    def from_own(honest, f, rng=None, *, own=None, **parameters):
        honest = as_updates(honest, "with_own_knowledge")
        return attack(honest, f, rng, own=_own(own, honest, f, "with_own_knowledge"), **parameters)

    return marked(from_own, "own", {*needs(attack), "own"})


def _scheduled(attacks, choose, caller):
    """An attack that asks `choose` for the attack of the round, None for honest answers."""
    parts = [a for a in attacks if a is not None]
    peaceful = len(parts) < len(attacks) or caller == "during"
    levels = [knowledge_of(a) for a in parts] + ["own"] * peaceful
    knowledge = max(levels, key=KNOWLEDGE.index)
    wishes = {wish for a in parts for wish in needs(a)} | ({"own"} if peaceful else set())

    def scheduled(honest, f, rng=None, *, round, own=None, history=(), **parameters):
        chosen = choose(_round(round, "round", caller))
        if chosen is None:
            honest = as_updates(honest, caller)
            return _own(own, honest, f, caller).astype(honest.dtype)
        given = {"round": round, "own": own, "history": history}
        return chosen(honest, f, rng, **{w: given[w] for w in needs(chosen)}, **parameters)

    return marked(scheduled, knowledge, wishes | {"round"})


def _own(own, honest, f, caller):
    shape = (*honest.shape[:-2], as_liars(f, caller), honest.shape[-1])
    return required(own_rows(own, shape, caller), caller)


def _round(value, name, caller):
    value = as_count(value, name, caller)
    if value < 1:
        raise ValueError(f"{caller} needs {name} >= 1; got {name} = {value}")
    return value
