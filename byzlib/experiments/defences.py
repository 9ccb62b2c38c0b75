"""The guide of the book: one line for a threat, the defence and what is proved of it.

The chapter on limits and choices derives these lines from a measured matrix, and asserts that they
are what it found. They hold for its task and its attacks; `robustness_report` tries them on yours.
"""

from typing import NamedTuple

from byzlib.experiments.cells import rule_named
from byzlib.theory import PRE, as_number, breakdown, kappa_bound

CLIPPING = "centered clipping"


class Defence(NamedTuple):
    """A rule, what stands before it, and the clients' momentum; `name` is how a table calls it."""

    rule: str
    pre: str = "none"
    momentum: float = 0.0

    @property
    def name(self):
        before = [] if self.pre == "none" else [self.pre]
        return ", ".join([*before, self.rule, f"momentum {self.momentum:g}"])


# By (are the clients alike?, can a loud lie reach the rule?, is f known?).
GUIDE = {
    ("alike", "anything may come"): Defence("trimmed mean", "mixing", 0.9),
    ("differ", "anything may come"): Defence("trimmed mean", "none", 0.9),
    ("differ", "no loud lies"): Defence(CLIPPING, "none", 0.0),
    ("alike", "f unknown"): Defence("geometric median", "none", 0.9),
}


def guide(alike, loud=True, knows_f=True):
    """The guide's line for a threat.

    Parameters
    ----------
    alike : bool
        Do the clients differ by less than the noise of one of their updates?
    loud : bool
        May an update be of any length? False where a limit is agreed and enforced.
    knows_f : bool
        Is there a number of liars that a rule can be told?

    Returns
    -------
    (threat, `Defence`): the two words under which `GUIDE` has it. For a threat without a line of
    its own that of the harder threat: anything may come where clients are alike; f unknown where
    they are, for where they differ no rule that is told nothing is good.
    """
    kind = "alike" if alike else "differ"
    reach = "anything may come" if loud or alike else "no loud lies"
    threat = (kind, reach) if knows_f else ("alike", "f unknown")
    return threat, GUIDE[threat]


def defence_named(name, momentum=0.0):
    """The `Defence` of a name such as "Krum" or "mixing, trimmed mean, momentum 0.9".

    momentum : of a name that says none. ValueError for names that there are not.
    """
    *before, last = [part.strip() for part in str(name).split(",")]
    if last.startswith("momentum ") and before:
        *before, rule = before
        try:
            momentum = float(last.removeprefix("momentum "))
        except ValueError:
            raise ValueError(f"no momentum {last!r}; write it as in 'Krum, momentum 0.9'") from None
    else:
        rule = last
    pre = before[0] if before else "none"
    if len(before) > 1 or (before and pre not in PRE[1:]):
        raise ValueError(f"no defence {name!r}; before a rule may stand {' or '.join(PRE[1:])}")
    rule_named(rule, pre)
    return Defence(rule, pre, as_number(momentum, "momentum", "a defence", "in [0, 1)"))


def promise(defence, n, f, radius=1.0):
    """What is proved of a defence when f of n lie: (kind, bound), ("none", inf) for nothing.

    "kappa": |F - m|^2 is at most so many honest variances, m the honest mean (`kappa_bound`).
    "reach": f liars move clipping by no more than f radius / n, against their sending nothing;
    behind mixing all rows move, and nothing of the kind is proved. ValueError where rule or helper
    does not allow n and f.
    """
    if defence.rule != CLIPPING:
        bound = float(kappa_bound(defence.rule, n, f, defence.pre))
        return ("kappa", bound) if bound < float("inf") else ("none", float("inf"))
    if defence.pre == "mixing":
        return "none", float("inf")
    rows = n if defence.pre == "none" else -(-n // 2)
    return "reach", f * radius / rows


def bears(defence, n):
    """How many liars of n a defence is proved to bear (`breakdown`); None for clipping.

    Its bound, f radius / n, grows with f and has no edge.
    """
    if defence.rule == CLIPPING:
        return None
    return int(breakdown(defence.rule, n, pre=defence.pre))
