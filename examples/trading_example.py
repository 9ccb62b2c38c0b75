"""The trading example: candles, ten clients of whom three lie, and what each rule makes of it.

    python examples/trading_example.py [--symbol ETHUSDT] [--days 30] [--attack "min-max"] ...

The candles are Bybit's newest; --candles FILE reads a file instead, --sample the simulated ones.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from byzlib import market, metrics, plotting
from byzlib.aggregators import RULES
from byzlib.experiments import attack_named, score_table, split_by_time
from byzlib.federated import ByzantineFL, Client, SimpleModel, split_iid

FOUR = ["mean", "Krum", "trimmed mean", "median"]
MODEL, ROUNDS, RATE, BATCH = SimpleModel(n_features=4, n_hidden=8), 100, 0.5, 100
FEE = 0.00055  # of what is traded, on each side


def trained(rule, lie, poison, folds, n, f, seeds):
    """What the models that n clients train under a rule say of the tests, (seeds, candles)."""
    said = []
    for [past], [future] in folds:
        # The past is dealt to the clients, anew for each seed; the last f of them lie.
        dealt = [split_iid(past.X, past.y, n, np.random.default_rng([k, 1])) for k in range(seeds)]
        dealt = [own[:-f] + [replace(one, poison=poison) for one in own[-f:]] for own in dealt]
        # In each round clients send gradients, liars lie, and the server steps along the answer.
        fl = ByzantineFL(MODEL, dealt, RULES[rule], f, lie, learning_rate=RATE, batch_size=BATCH)
        history = fl.run(ROUNDS, seeds=seeds, trust=False)
        if lost := sum(end is not None for end in history.diverged_at):
            raise ValueError(f"{lost} of {seeds} runs diverged")
        said.append(MODEL.predict(history.theta, future.X))
    return np.hstack(said)


def trade(asked):
    """Train under each rule, with and without liars; print and draw what came of it."""
    n, f, seeds, attack = asked.clients, asked.liars, asked.seeds, asked.attack
    if not 0 < 2 * f < n or seeds < 2 or attack == "none":
        need = "a liar, more clients than twice the liars, 2 seeds or more, and an attack"
        raise ValueError(f"it needs {need}; got {f} liars, {n} clients, {seeds} seeds, {attack}")
    calm, lying = "nobody lies", f"{f} of {n} lie"
    attacks = {calm: (None, None), lying: attack_named(attack, asked.strength)}

    # Candles, four features of each, and whether the next one closes lower, the same or higher.
    window = asked.interval, asked.limit, asked.days
    candles = market.load_candles(asked.source, asked.symbol, *window)
    about, (X, y, times) = market.describe(candles), market.dataset(candles)

    # Four times: train on half of the time, and test on the eighth after it, on one clock.
    pasts, futures, windows = split_by_time([Client(X, y, "the market")], [times], folds=4, least=n)
    if any(np.ptp(past.y) == 0 for [past] in pasts):
        raise ValueError(f"{about}, and half of them in a row have one class: ask for more")
    tested = np.any([fold.test_mask(times) for fold in windows], axis=0)
    truth, ahead = y[tested], market.next_returns(candles)[times[tested]].to_numpy()
    lie = attack + (f" of strength {asked.strength:g}" if asked.strength else "")
    print(about)
    print(f"four times trained on half of the time, tested on the eighth after: {len(truth)} rows")
    print(f"{n} clients, {f} liars: {lie}; fee {FEE:.3%} a side; {seeds} paired seeds, 95 %, in %")

    found, rules = {}, dict.fromkeys([*FOUR, *asked.rules])
    cells = [(rule, state) for rule in rules for state in attacks]
    try:
        for rule, state in tqdm(cells, disable=None, leave=False):
            try:
                said = trained(rule, *attacks[state], zip(pasts, futures), n, f, seeds)
                found[rule, state] = metrics.forecast_scores(truth, said, ahead, FEE)
            except ValueError as error:  # a rule that does not bear so many, or that they broke
                tqdm.write(f"{rule} {state}  {error}")
    finally:  # a run that is stopped shows what it has
        print(score_table(found).to_string(sparsify=False) if found else "no model was trained")

    every = list(found.values())
    widths = {what: max(own[what].width for own in every) for what in every[0]}
    wide = ", ".join(f"{what} +- {100 * width:.1f}" for what, width in widths.items())
    print(f"a window of {len(truth)} rows leaves {wide},\nand more, as quiet candles come together")
    common = market.CLASSES[np.bincount(truth).argmax()]
    idle = f"always naming {common}", "naming any one class", "no trade at all"
    for what, than in zip(widths, idle, strict=True):
        above = [", ".join(key) for key, own in found.items() if own[what].lead > widths[what]]
        print(f"{what} above {than} by more than that:\n    {'; '.join(above) or 'none'}")
    marks = f"\nopen: {calm}; filled: {lying}, {lie}; grey: knows nothing"
    plotting.draw_scores(found, about.replace(": ", "\n") + marks).savefig(asked.picture)
    print(f"drawn in {asked.picture}")


def main(arguments=None):
    """The command line; whatever is wrong is said in one sentence, with exit status 2."""
    made = argparse.ArgumentParser(prog="trade", description=__doc__.partition("\n")[0])
    made.error = lambda said: made.exit(2, f"trade: {said}\n")
    add, one_of = made.add_argument, made.add_mutually_exclusive_group
    window, place = one_of().add_argument, one_of().add_argument
    add("--symbol", help="default: BTCUSDT")
    add("--interval", help="minutes, D, W or M; default: 5")
    window("--limit", type=int, help="the newest so many; default: 1000, or all that a file has")
    window("--days", type=float, help="those of the newest so many days")
    add("--clients", type=int, default=10, help="default: 10")
    add("--liars", type=int, default=3, help="default: 3")
    add("--attack", default="sign flip", help="default: sign flip; others: byzlib.attacks.ATTACKS")
    add("--strength", type=float, help="of the attack, where it has one")
    add("--seeds", type=int, default=10, help="default: 10")
    add("--rules", nargs="+", choices=RULES, default=[], metavar="RULE", help="beside the four")
    place("--candles", dest="source", type=Path, metavar="FILE", help="a CSV of candles")
    place("--sample", dest="source", action="store_const", const="sample", help="simulated ones")
    add("--picture", metavar="FILE", default="trading_example.png", help="where it is drawn")
    try:
        trade(made.parse_args(arguments))
    except KeyboardInterrupt:
        made.error("stopped")
    except OSError as error:
        made.error(f"{error.filename}: {error.strerror}")
    except (market.BybitError, ValueError) as error:
        offline = isinstance(error, market.BybitError) and not isinstance(error, market.BadRequest)
        made.error(f"{error}{'; --sample needs no network' if offline else ''}")


if __name__ == "__main__":
    main()
