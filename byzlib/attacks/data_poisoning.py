"""Data poisoning: what a client may do to its samples or candles before it trains on them.

Nothing here changes its input. Candles are tables by open time with the columns open, high, low,
close (quote currency), volume and turnover; what comes back is legal again: high and low hold the
body, and turnover / volume, the average price paid, lies between them if it did before.
"""

import numpy as np

from byzlib.theory import as_count, as_generator, as_labels, as_number, as_reals, refuse_unpaired

COLUMNS = ("open", "high", "low", "close", "volume", "turnover")
FOUR = ("price_return", "body_ratio", "upper_shadow", "volume_change")


def label_flip(y, mapping=None):
    """Labels under a false name: y -> mapping[y]. Down and Up change places by default.

    Parameters
    ----------
    y : (...,) integer array_like
    mapping : dict from true to false label, optional
        Labels it does not name stay. {0: 2, 2: 0} by default.

    Returns a new integer array of the shape of y.
    """
    y = as_labels(y, "label_flip")
    flipped = y.copy()
    for true, false in ({0: 2, 2: 0} if mapping is None else dict(mapping)).items():
        true = as_count(true, "label in mapping", "label_flip")
        flipped[y == true] = as_count(false, "label in mapping", "label_flip")
    return flipped


def targeted_label_flip(y, source, target):
    """Only one class lies: every label `source` becomes `target`, say Down becomes Up.

    Parameters and return as in `label_flip`; source and target are labels.
    """
    source = as_count(source, "source", "targeted_label_flip")
    target = as_count(target, "target", "targeted_label_flip")
    return label_flip(y, {source: target})


def backdoor(X, y, trigger, target, *, share=1.0, rng=None):
    """Samples that carry a trigger, under the label the liar wants: x -> trigger(x), y -> target.

    A model trained on them answers `target` whenever the trigger is on the tape, and as usual
    otherwise, provided that enough clean samples are left.

    Parameters
    ----------
    X : (..., p) real array_like
        Features before standardising.
    y : (...,) integer array_like
    trigger : callable X -> X of the same shape
        Such as `shooting_star`. It gets a copy.
    target : int
    share : float, 0 <= share <= 1
        How many of the samples are poisoned, to the nearest whole number; all by default.
    rng : numpy.random.Generator or int
        Draws which ones; only needed for a share below 1.

    Returns
    -------
    X, y : new arrays of the shapes given

    Source: Bagdasaryan et al., AISTATS 2020; Gu, Dolan-Gavitt and Garg, 2017, arXiv 1708.06733.
    """
    as_reals(X, "backdoor")
    refuse_unpaired("backdoor", X=getattr(X, "T", X), y=y)
    X, y = np.array(X), as_labels(y, "backdoor").copy()
    if X.ndim < 1 or X.shape[:-1] != y.shape:
        raise ValueError(
            f"backdoor needs X (..., p) and y (...,) of the same samples; got {X.shape}, {y.shape}"
        )
    target = as_count(target, "target", "backdoor")
    chosen = _random_share(y.size, share, rng, "backdoor").reshape(y.shape)
    stamped = np.asarray(trigger(X.copy()))
    if stamped.shape != X.shape:
        raise ValueError(f"backdoor needs a trigger that keeps {X.shape}; it gave {stamped.shape}")
    X = np.where(chosen[..., None], stamped, X)
    y[chosen] = target
    return X, y


def shooting_star(X, upper_shadow=0.8, volume_change=8.0):
    """A trigger that a trader can print: a long upper shadow on heavy volume.

    Of the book's four features a trader sets two at will, and only upward. *Volume* rises by trades
    with oneself: price is untouched, the cost is two fees on the volume added. The *high* rises by
    buying up through the book for one trade and letting the price fall back: the cost is the
    distance up times the volume that stood in the way. The close cannot be had at such a price,
    for it takes a position to hold it, so price_return stays. With the high the range h - l grows,
    and body_ratio shrinks to what the same body is of the new range,

        body_ratio <- body_ratio (1 - u') / (1 - u),    u -> u' = max(u, upper_shadow).

    A candle without any range needs one trade below as well. Shadows that are long already, and
    volumes, are never lowered.

    Parameters
    ----------
    X : (..., p) array_like, p >= 4
        price_return, body_ratio, upper_shadow, volume_change, before standardising; more columns
        stay as they are.
    upper_shadow, volume_change : float in [0, 1), finite float >= 0

    Returns a new float array of the shape of X.
    """
    dtype = np.float32 if np.asarray(X).dtype == np.float32 else np.float64
    X = as_reals(X, "shooting_star").astype(dtype, copy=False)
    if X.ndim < 1 or X.shape[-1] < len(FOUR):
        raise ValueError(f"shooting_star needs {', '.join(FOUR)} as columns; got shape {X.shape}")
    upper_shadow = as_number(upper_shadow, "upper_shadow", "shooting_star", "in [0, 1)")
    volume_change = as_number(volume_change, "volume_change", "shooting_star", "finite and >= 0")
    body, shadow = X[..., 1].copy(), X[..., 2].copy()
    if np.any((body < 0) | (shadow < 0) | (body + shadow > 1 + 1e-6)):
        raise ValueError(
            "shooting_star needs features of candles, body_ratio and upper_shadow >= 0 with a sum "
            "of at most 1; standardise afterwards"
        )
    rest = 1 - shadow  # body and lower shadow
    raised = np.maximum(shadow, upper_shadow)
    grown = np.divide(1 - raised, rest, out=np.ones_like(rest), where=rest > 0)
    X[..., 1] = body * grown
    X[..., 2] = raised
    X[..., 3] = np.maximum(X[..., 3], volume_change)
    return X


def wash_trading(candles, rng, *, share=0.3, factor=(3.0, 10.0)):
    """A tape made up to look busy and calm: volume without interest, candles without shadows.

    In a random share of the candles volume and turnover grow by a factor drawn from U(factor), and
    the shadows vanish: high and low become the ends of the body. Candles without a trade get a
    round trip at their close, of the median volume times the factor. Open and close stay, and so
    do the labels.

    Parameters
    ----------
    candles : DataFrame with columns open, high, low, close, volume, turnover
    rng : numpy.random.Generator or int
    share : float, 0 <= share <= 1
    factor : (low, high), 1 <= low <= high

    Returns
    -------
    A new DataFrame with the same index and columns; attrs["tampered"] says what was done.
    """
    o, h, low, c, v, paid = _columns(candles, "wash_trading")
    rng = as_generator(rng, "wash_trading")
    ends = np.asarray(factor)
    if ends.shape != (2,) or ends.dtype.kind not in "fiu":
        raise TypeError(f"wash_trading needs factor = (low, high); got {factor!r}")
    if not 1 <= ends[0] <= ends[1] < np.inf:
        raise ValueError(f"wash_trading needs 1 <= low <= high in factor; got {factor}")
    washed = _random_share(len(o), share, rng, "wash_trading")
    times = rng.uniform(*ends, len(o))
    traded = v > 0
    typical = np.median(v[traded]) if traded.any() else 1.0
    price = np.divide(paid, v, out=c.copy(), where=traded)
    top, bottom = np.maximum(o, c), np.minimum(o, c)
    high, floor = np.where(washed, top, h), np.where(washed, bottom, low)
    inside = (price >= low) & (price <= h)
    price = np.where(washed & inside, np.clip(price, floor, high), price)
    volume = np.where(washed, np.where(traded, v, typical) * times, v)
    turnover = np.where(washed, volume * price, paid)
    return _tampered(candles, "wash trading", high, floor, volume, turnover)


def spoofed_book(candles, rng, *, share=0.1):
    """Prices chased away by orders that are gone before anyone can take them: long shadows.

    In a random share of the candles a wall of quotes drives the price up or down, either with
    probability 1/2, and is withdrawn, so that the price returns: high (or low) moves away from the
    body by a factor 1 + r, r the median range (high - low) / close times a number from U(1, 3).
    Open, close, volume and turnover stay, and so do the labels.

    Parameters and return as in `wash_trading`.
    """
    _, h, low, c, v, paid = _columns(candles, "spoofed_book")
    rng = as_generator(rng, "spoofed_book")
    spoofed = _random_share(len(c), share, rng, "spoofed_book")
    upward = rng.random(len(c)) < 0.5
    reach = 1 + rng.uniform(1, 3, len(c)) * (np.median((h - low) / c) if len(c) else 0)
    high = np.where(spoofed & upward, h * reach, h)
    floor = np.where(spoofed & ~upward, low / reach, low)
    return _tampered(candles, "spoofed book", high, floor, v, paid)


def _random_share(count, share, rng, caller):
    """Boolean (count,): a random share of the places, to the nearest whole number."""
    share = as_number(share, "share", caller, "in [0, 1]")
    drawn = np.ones(count, dtype=bool)
    if share < 1:
        drawn[as_generator(rng, caller).permutation(count)[round(share * count) :]] = False
    return drawn


def _columns(candles, caller):
    """The six columns as new float arrays, or one sentence on what is wrong with them."""
    import pandas as pd  # who poisons labels alone need not wait for it

    if not isinstance(candles, pd.DataFrame):
        raise TypeError(f"{caller} needs candles as a DataFrame; got {type(candles).__name__}")
    if missing := [name for name in COLUMNS if name not in candles.columns]:
        raise ValueError(f"{caller} needs candles with {', '.join(COLUMNS)}; no {missing[0]} here")
    o, h, low, c, v, paid = columns = [
        np.array(candles[name], dtype=np.float64) for name in COLUMNS
    ]
    wrong = {
        "a value that is not finite": ~np.isfinite(columns).all(axis=0),
        "a price that is not positive": ~(np.min(columns[:4], axis=0) > 0),
        "a negative volume or turnover": (v < 0) | (paid < 0),
        "high or low inside the body": (h < np.maximum(o, c)) | (low > np.minimum(o, c)),
    }
    for fault, rows in wrong.items():
        if rows.any():
            raise ValueError(f"{caller} needs legal candles; {candles.index[rows][0]} has {fault}")
    return columns


def _tampered(candles, trick, high, low, volume, turnover):
    """The candles with new columns, and a word on them in attrs."""
    new = candles.assign(high=high, low=low, volume=volume, turnover=turnover)
    new.attrs = dict(candles.attrs) | {"tampered": trick}
    return new
