"""The trading example: candles, ten clients of whom three lie, and what each rule makes of it.

    python examples/trading_example.py [--symbol ETHUSDT] [--days 30] [--attack "min-max"] ...

The candles are Bybit's newest; --candles FILE reads a file instead, --sample the simulated ones.
"""

import argparse
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

from byzlib import market, metrics, plotting
from byzlib.aggregators import RULES
from byzlib.experiments import attack_named
from byzlib.federated import ByzantineFL, SimpleModel, split_iid

FOUR = ["mean", "Krum", "trimmed mean", "median"]
MODEL, ROUNDS, RATE, BATCH = SimpleModel(n_features=4, n_hidden=8), 100, 0.5, 100
FEE = 0.00055  # of what is traded, on each side
MEASURES = ["accuracy", "balanced accuracy", "profit after fees"]


def candles_of(asked):
    """The candles that were asked for, and no others in their place."""
    series = asked.symbol or "BTCUSDT", asked.interval or "5"
    if not asked.sample and asked.candles is None:
        if asked.days is None:
            return market.fetch_klines(*series, limit=asked.limit or 1000)
        newest = market.fetch_klines(*series, limit=1).index[0]  # by the exchange's clock
        return market.load_klines(*series, newest - timedelta(days=asked.days), deadline=600)
    if asked.interval or asked.symbol and not asked.sample:
        raise ValueError("--symbol and --interval ask the exchange, and a file has its own")
    candles = market.load_sample(series[0]) if asked.sample else market.read_candles(asked.candles)
    first = candles.index[-1] - timedelta(days=asked.days or 36525)
    return candles[candles.index >= first].tail(asked.limit or len(candles))


def split(times, y, n):
    """Train on half of the time and test on the next eighth, four times, on one clock for all."""
    few = ValueError(
        f"{len(times)} candles with features and a label are too few, or too scattered, to train "
        f"{n} clients on half of the time and to test on the rest: ask for more"
    )
    if len(times) < 2 * n + 8:
        raise few
    span, step = times[-1] - times[0], times.to_series().diff().median()
    folds = market.walk_forward(times, train=span / 2, test=span / 8, purge=2 * step)
    masks = [(fold.train_mask(times), fold.test_mask(times)) for fold in folds]
    if any(past.sum() < n or not future.any() for past, future in masks):
        raise few
    tested = np.any([future for _, future in masks], axis=0)
    for rows in [*(past for past, _ in masks), tested]:
        if np.ptp(y[rows]) == 0:
            when, one = times[rows].strftime("%Y-%m-%d %H:%M"), market.CLASSES[y[rows][0]]
            raise ValueError(f"{when[0]} to {when[-1]} is all {one}, one class: ask for more")
    return masks, tested


def trained(rule, attack, folds, X, y, n, f, seeds):
    """What the models that n clients train under a rule say of the test, (seeds, candles)."""
    (lie, poison), said = attack, []
    for past, future in folds:
        known, new = market.standardize(X[past], X[future])
        # The past is dealt to the clients, anew for each seed; the last f of them lie.
        deals = [np.random.default_rng([seed, 1]) for seed in range(seeds)]
        dealt = [split_iid(known, y[past], n, rng) for rng in deals]
        dealt = [own[:-f] + [replace(one, poison=poison) for one in own[-f:]] for own in dealt]
        # In each round clients send gradients, liars lie, and the server steps along the answer.
        fl = ByzantineFL(MODEL, dealt, RULES[rule], f, lie, learning_rate=RATE, batch_size=BATCH)
        history = fl.run(ROUNDS, seeds=seeds, trust=False)
        if lost := sum(end is not None for end in history.diverged_at):
            raise ValueError(f"{lost} of {seeds} runs diverged")
        said.append(MODEL.predict(history.theta, new))
    return np.hstack(said)


def measured(said, y, ahead):
    """The measures in per cent, (3, seeds), and how wide so many candles leave them, (3,).

    That is 1.96 standard errors, as if the candles were drawn one by one.
    """
    right, profit = said == y, metrics.profit_and_loss(ahead, metrics.positions(said), FEE)
    scores = metrics.accuracy(y, said), metrics.balanced_accuracy(y, said), profit.sum(axis=-1)
    weight = len(y) / (len(np.unique(y)) * np.bincount(y)[y])  # of a candle, in the balanced one
    spread = np.std([right, right * weight, len(y) * profit], axis=-1).mean(axis=-1)
    return 100 * np.stack(scores), 196 * spread / np.sqrt(len(y))


def picture(found, calm, floors, widths, title, file):
    """Draw the measures of each rule: open marks where nobody lies, filled ones where some do."""
    plotting.style()
    rules = list(dict.fromkeys(rule for rule, _ in found))
    fig, axes = plt.subplots(1, 3, sharey=True, figsize=(8.4, 1.5 + 0.4 * len(rules)))
    for k, ax in enumerate(axes):
        ax.axvspan(floors[k] - widths[k], floors[k] + widths[k], color="#E3E6EA")
        for (rule, state), scores in found.items():
            e, style = metrics.t_interval(scores[k]), plotting.look(rule) | {"linestyle": "none"}
            lift, face = (0.14, "white") if state == calm else (-0.14, style["color"])
            level = lift - rules.index(rule)
            ax.errorbar(e.mean, level, xerr=e.half_width, capsize=3, markerfacecolor=face, **style)
        ax.set(xlabel=f"{MEASURES[k]}, %", yticks=-np.arange(len(rules)), yticklabels=rules)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10)
    fig.tight_layout()
    fig.savefig(file)
    plt.close(fig)


def report(asked):
    """Train under each rule, with and without liars; print and draw what came of it."""
    n, f, seeds = asked.clients, asked.liars, asked.seeds
    if n <= 2 * f or seeds < 2:
        need = "more clients than twice the liars, and 2 seeds or more"
        raise ValueError(f"needs {need}; got {n} clients, {f} liars, seeds = {seeds}")
    if asked.attack == "none":
        raise ValueError("--attack none is what the lines of 'nobody lies' show: name another")
    calm, lying = "nobody lies", f"{f} of {n} lie"
    attacks = {calm: (None, None), lying: attack_named(asked.attack, asked.strength)}
    candles = candles_of(asked)
    X, y, times = market.dataset(candles)
    folds, tested = split(times, y, n)
    truth, ahead = y[tested], market.next_returns(candles).reindex(times[tested]).to_numpy()
    m, share = len(truth), 100 * metrics.majority_share(truth)
    common = market.CLASSES[np.bincount(truth).argmax()]

    name = [candles.attrs.get("symbol"), candles.attrs["source"], Path(asked.candles or "").name]
    name = ", ".join(dict.fromkeys(filter(None, name)))
    lie = asked.attack + (f" of strength {asked.strength:g}" if asked.strength else "")
    first, *_, last = candles.index.strftime("%Y-%m-%d %H:%M")
    print(f"{name}: {len(candles)} candles, {first} to {last} UTC")
    print(f"four times trained on half of the time and tested on the eighth after it: {m} rows")
    print(f"{n} clients, {f} liars: {lie}; fee {FEE:.3%} a side; {seeds} paired seeds, 95 %")
    print(f"{'in %':>29}{'accuracy':>14}{'majority':>10}{'balanced':>14}{'profit':>16}")
    found, widths = {}, np.zeros(3)
    rules = dict.fromkeys([*FOUR, *asked.rules])
    for rule, state in tqdm([(r, s) for r in rules for s in attacks], disable=None, leave=False):
        try:
            said = trained(rule, attacks[state], folds, X, y, n, f, seeds)
        except ValueError as error:  # a rule that does not bear so many liars, or that they broke
            tqdm.write(f"{rule:>16}{state:>13}  {error}")
            continue
        scores, width = measured(said, truth, ahead)
        found[rule, state], widths = scores, np.maximum(widths, width)
        rows = {state: scores}
        if state == lying and (rule, calm) in found:
            rows["difference"] = scores - found[rule, calm]
        for label, values in rows.items():
            a, b, money = (f"{metrics.t_interval(value):z.1f}" for value in values)
            beside = f"{share:.1f}" if label == state else ""
            tqdm.write(f"{rule:>16}{label:>13}{a:>14}{beside:>10}{b:>14}{money:>16}")

    wide = ", ".join(f"{what} +- {w:.1f}" for what, w in zip(MEASURES, widths, strict=True))
    print(f"a window of {m} rows leaves {wide},")
    print("and more, for quiet candles come together")
    floors = [share, 100 / len(np.unique(truth)), 0]
    for k, what in [(0, f"always naming {common}"), (2, "no trade at all")]:
        lows = {key: metrics.t_interval(scores[k]).low for key, scores in found.items()}
        above = [", ".join(key) for key, low in lows.items() if low > floors[k] + widths[k]]
        print(f"better than {what} by more than that: {'; '.join(above) or 'none'}")
    title = f"{name}\nopen: {calm}; filled: {lying}, {lie}; grey: knows nothing"
    picture(found, calm, floors, widths, title, asked.picture)
    print(f"drawn in {asked.picture}")


def above_zero(kind):
    """A number above 0 from the command line."""

    def read(text):
        if not 0 < (value := kind(text)) < float("inf"):
            raise argparse.ArgumentTypeError(f"needs a number above 0; got {text}")
        return value

    read.__name__ = kind.__name__
    return read


def main(arguments=None):
    """The command line; whatever is wrong is said in one sentence, with exit status 2."""
    made = argparse.ArgumentParser(prog="trade", description=__doc__.partition("\n")[0])
    made.error = lambda said: made.exit(2, f"trade: {said}\n")
    whole, real, one_of = above_zero(int), above_zero(float), made.add_mutually_exclusive_group
    add, window, place = made.add_argument, one_of().add_argument, one_of().add_argument
    add("--symbol", help="default: BTCUSDT")
    add("--interval", help="minutes, D, W or M; default: 5")
    window("--limit", type=whole, help="the newest so many; default: 1000, or all that a file has")
    window("--days", type=real, help="those of the newest so many days")
    add("--clients", type=whole, default=10, help="default: 10")
    add("--liars", type=whole, default=3, help="default: 3")
    add("--attack", default="sign flip", help="default: sign flip; others: byzlib.attacks.ATTACKS")
    add("--strength", type=real, help="of the attack, where it has one")
    add("--seeds", type=whole, default=10, help="default: 10")
    add("--rules", nargs="+", choices=RULES, default=[], metavar="RULE", help="beside the four")
    place("--candles", metavar="FILE", help="a CSV of candles instead of the exchange")
    place("--sample", action="store_true", help="the simulated sample instead of the exchange")
    add("--picture", metavar="FILE", default="trading_example.png", help="where it is drawn")
    try:
        report(made.parse_args(arguments))
    except market.BadRequest as error:
        made.error(error)
    except market.BybitError as error:
        made.error(f"{error}; --sample needs no network")
    except OSError as error:
        made.error(f"{error.filename}: {error.strerror}")
    except (ValueError, OverflowError) as error:
        made.error(error)


if __name__ == "__main__":
    main()
