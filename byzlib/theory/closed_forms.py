"""What the rules can promise, in closed form: worst cases, breakdown, thresholds, radii.

n clients, f of them Byzantine, h = n - f honest. Counts are integers or integer arrays, reals
floats or arrays; they broadcast, and so do the results. Constants marked *proved* follow from the
lines beside them or from an instance that attains them; those marked *published* are taken from
the paper named.
"""

import numpy as np
from scipy.special import gammaln, ndtri

from byzlib.theory.arguments import as_numbers, as_reals, as_updates, refuse_masked, to_unit_scale

EXACT = ("mean", "trimmed mean", "median")
_OTHERS = ("geometric median", "mean around median", "minimum diameter average")
# A rule accepts f if n >= slope * f + start.
LEGAL = dict.fromkeys((*EXACT, *_OTHERS, "nearest neighbor mixing"), (2, 1))
LEGAL |= {"Krum": (2, 3), "multi-Krum": (2, 3), "Bulyan": (4, 3)}
PRE = ("none", "mixing", "bucketing")  # what may stand before a rule; buckets hold two


# --- kappa: the worst case of a rule ---


def measured_kappa(result, updates, honest):
    """Squared error over honest variance, |F(x) - m|^2 / (1/h sum |x_i - m|^2), m the honest mean.

    The kappa of a rule is its supremum over all updates (Allouah et al., AISTATS 2023).

    result : (..., d) answer F(x); updates : (..., n, d); honest : (n,) bool. Returns (...) ratios,
    infinite for an error where all honest rows agree, 0 for no error; what is below 1e-13 of the
    honest rows' largest number is rounding, and no error.
    """
    updates = as_updates(updates, "measured_kappa").astype(np.float64)
    group, exponent = to_unit_scale(updates[..., np.asarray(honest, bool), :], axis=(-2, -1))
    result = np.ldexp(as_reals(result, "measured_kappa"), -exponent[..., 0])
    center = group.mean(axis=-2)
    error = ((result - center) ** 2).sum(axis=-1)
    spread = ((group - center[..., None, :]) ** 2).sum(axis=-1).mean(axis=-1)
    error, spread = (np.where(square < 1e-26, 0.0, square) for square in (error, spread))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error > 0, error / spread, 0.0)[()]


def kappa(rule, n, f, declared=None):
    """Exact worst-case coefficient: |F(x) - m|^2 <= kappa * honest variance, and no less will do.

    Trimmed mean told to expect b >= f: b / (n - f - b); infinite for b < f. Median: (n - 1) /
    (n + 1 - 2f) for odd n, (n - 2) / (n + 2 - 2f) for even n. Mean: infinite for f > 0, else 0.

    *Proved.* Coordinates add up, so take d = 1. Liars do most harm all at one end; the answer is
    then the mean of the honest order statistics b+1 .. n-b. For a given variance that is farthest
    from the honest mean when the top h - b values coincide, and so do the other b: error b / h,
    variance b (h - b) / h^2. The median keeps the middle one or two, b = (n - 1) // 2.

    rule : {"mean", "trimmed mean", "median"}; n > 2f; declared : int, optional, what the trimmed
    mean is told, n > 2 declared; f by default.
    """
    n, f, trim = _trimmed(rule, n, f, declared, "kappa")
    return np.where(trim < f, np.inf, trim / (n - f - trim))[()]


def kappa_lower_bound(n, f):
    """No rule has a smaller kappa than f / (n - 2f), which the trimmed mean attains; n > 2f.

    *Proved* by f ones among n - f zeros. If the zeros are honest, they agree and the answer must be
    0. If the ones and n - 2f zeros are, it is f / h from their mean at variance f (n - 2f) / h^2.
    """
    n, f = _crowd("kappa_lower_bound", n, f)
    return f / (n - 2 * f)


def kappa_published(rule, n, f):
    """Upper bounds on kappa as printed by Allouah et al., AISTATS 2023 (*published*).

    With r = f / (n - 2f): trimmed mean 6r (1 + r), Krum 6 (1 + r), median and geometric median
    4 (1 + r)^2. Their Krum counts n - f - 1 nearest others, one more than that of Blanchard et al.
    and of byzlib, for which `kappa_bound` holds. n, f in the legal range of the rule.
    """
    _known(rule, ("trimmed mean", "Krum", "median", "geometric median"), "kappa_published")
    n, f = _crowd("kappa_published", n, f, rule)
    r = f / (n - 2 * f)
    return {"trimmed mean": 6 * r * (1 + r), "Krum": 6 * (1 + r)}.get(rule, 4 * (1 + r) ** 2)


def kappa_bound(rule, n, f, pre="none"):
    """An upper bound on kappa for the rules as byzlib defines them, told the true f (*proved*).

    In honest standard deviations: q honest rows average to within sqrt((h - q) / q) of the honest
    mean m, and f honest rows lie at most sqrt(f h) from m in sum.
    Mean, trimmed mean, median: the exact `kappa`.
    Krum: its score is at most the honest average 2c, c = h (h - 2) / (h - 1), and covers
    q = n - 2f - 1 honest rows, so kappa <= (sqrt(2c) + sqrt(f + 1))^2 / q.
    Multi-Krum (m = n - f), minimum diameter average, mean around median: f liars x_b replace f
    honest x_i, an error of 1/h sum (x_b - x_i). A liar was taken since its score was not above that
    of x_i, the diameter not above sqrt(2h), its distance to the median not above that of x_i.
    Geometric median: (h - f) |F - m| <= 2 sum |x_i - m|, so kappa <= 4 (h / (n - 2f))^2.
    Bulyan: the median of the n - 2f selected rows is within sqrt(k) of m, k = (h - q) / q,
    q = ceil(n/2) - 2f, and the answer within sqrt(h / (n - 3f) (1 + k)) of it; 0 for f = 0.

    pre : what stands before the rule, one of `PRE`; the bound holds for both together. Behind
    nearest neighbor mixing 8 f / h (1 + kappa), for mixing leaves a variance and a squared shift
    that add up to at most 8 f / h (*published*: Allouah et al., AISTATS 2023). Behind
    buckets of two, N = ceil(n/2) of which N - f are clean, (1 + kappa') h / (N - f), kappa' that of
    N and f: clean means have variance and squared shift of at most h / (N - f) in sum.
    """
    _known(pre, PRE, "kappa_bound")
    if pre != "none":
        n, f = _crowd("kappa_bound", n, f)
        rows = n if pre == "mixing" else -(-n // 2)
        left = 8 * f / (n - f) if pre == "mixing" else (n - f) / (rows - f)
        return (1 + kappa_bound(rule, rows, f)) * left
    _known(rule, [name for name in LEGAL if name != "nearest neighbor mixing"], "kappa_bound")
    if rule in EXACT:
        return kappa(rule, n, f)
    n, f = _crowd("kappa_bound", n, f, rule)
    h = n - f
    left_out = np.sqrt(f * h)  # f honest rows, from m, in sum
    if rule in ("Krum", "multi-Krum"):
        q, c = h - f - 1, h * (h - 2) / (h - 1)
        if rule == "Krum":
            return (np.sqrt(2 * c / q) + _off(q, h)) ** 2
        return (np.sqrt(c / q * f * (f + h)) + f * _off(q, h) + left_out) ** 2 / h**2
    if rule == "minimum diameter average":
        return (f * np.sqrt(2 * h) + f * _off(h - f, h) + left_out) ** 2 / h**2
    if rule == "mean around median":
        return 4 * (left_out + f * np.sqrt(kappa("median", n, f))) ** 2 / h**2
    if rule == "geometric median":
        return 4 * (h / (h - f)) ** 2
    center = _off((n + 1) // 2 - 2 * f, h)  # Bulyan
    return np.where(f > 0, (center + np.sqrt(h / (h - 2 * f) * (1 + center**2))) ** 2, 0.0)[()]


def worst_case_instance(rule, n, f, declared=None):
    """Zeros and ones on which a rule does as badly as its exact kappa says (*proved* there).

    b honest clients send 0, the other honest ones 1, and so do the f liars, who need not even
    leave the honest range; b is what the rule trims at each end. Against a rule that trims fewer
    than f the honest clients all send 0, and the ratio is infinite. Parameters as in `kappa`, but
    single numbers. Returns updates (n, 1) and the mask honest (n,), the liars last.
    """
    n, f, trim = _trimmed(rule, n, f, declared, "worst_case_instance")
    zeros = trim if trim >= f else n - f
    return (np.arange(n) >= zeros).astype(np.float64)[:, None], np.arange(n) < n - f


# --- How many liars ---


def breakdown(rule, n, declared=None, pre="none"):
    """How many liars out of n a rule survives with a bounded error, by its own theorem.

    Mean 0, Krum and multi-Krum (n - 3) // 2 (where one more moves them little), Bulyan
    (n - 3) // 4, the others (n - 1) // 2, no more than they were told to expect. No rule that moves
    with its input survives more than that (*published*: Lopuhaa and Rousseeuw, Ann. Stat. 1991).
    rule : a key of `LEGAL`; declared : int, optional, what it is told; the mean and the medians are
    told nothing; pre : one of `PRE`: buckets of two leave ceil(n/2) rows, and mixing as many as
    there were.
    """
    _known(rule, LEGAL, "breakdown")
    _known(pre, PRE, "breakdown")
    if pre == "bucketing":
        return breakdown(rule, (_counts("breakdown", "n", n, 1) + 1) // 2, declared)
    told = declared is not None and rule not in ("mean", "median", "geometric median")
    n, declared = _crowd("breakdown", n, declared if told else 0, rule)
    slope, start = LEGAL[rule]
    most = 0 * n if rule == "mean" else (n - start) // slope
    return declared + 0 * n if told else most


def breakdown_fraction(B):
    """Share of liars no rule survives if 1/h sum |g_i - g|^2 <= G^2 + B^2 |g|^2: 1 / (2 + B^2).

    One half for B = 0, less where honest clients differ more the steeper the loss (*published*:
    Allouah et al., NeurIPS 2023). B >= 0.
    """
    return 1 / (2 + as_numbers(B, "B", "breakdown_fraction", ">= 0") ** 2)


def oversampled(n, f, sampled, bear):
    """Probability that a sample of the clients holds more than `bear` of the f liars.

    Of n clients `sampled` are drawn, all subsets alike: P(X > bear) for the hypergeometric X, the
    sum over x > bear of C(f, x) C(n - f, sampled - x) / C(n, sampled). What a rule bears among
    those who answer is `breakdown(rule, sampled)`. In r rounds that draw anew, one such round comes
    with 1 - (1 - P)^r. 0 <= f <= n, 1 <= sampled <= n, bear >= 0.
    """
    from scipy.stats import hypergeom  # half a second, which who does not sample need not wait

    caller = "oversampled"
    n, sampled = _counts(caller, "n", n, 1), _counts(caller, "sampled", sampled, 1)
    f, bear = _counts(caller, "f", f, 0), _counts(caller, "bear", bear, 0)
    for name, part in (("f", f), ("sampled", sampled)):
        if np.any(part > n):
            raise ValueError(f"{caller} needs {name} <= n; got {name} = {part}, n = {n}")
    return hypergeom.sf(bear, n, f, sampled)[()]


# --- Krum, and what attacks reach ---


def eta(n, f):
    """Krum points the right way if eta * sqrt(d) * s < |g|, noise s per coordinate; n >= 2f + 3.

    eta^2 = 2 (n - f + (f (n - f - 2) + f^2 (n - f - 1)) / (n - 2f - 2)). Then its expected inner
    product with the true gradient g is at least (1 - sin a) |g|^2, sin a = eta sqrt(d) s / |g|.
    *Published*: Blanchard et al., NeurIPS 2017, Proposition 4.2.
    """
    n, f = _crowd("eta", n, f, "Krum")
    lies = f * (n - f - 2) + f**2 * (n - f - 1)
    return np.sqrt(2 * (n - f + lies / (n - 2 * f - 2)))


def krum_clique_distance(n, f):
    """How far D from the honest clients' true mean f equal liars may stand and win, in s sqrt(d).

    sqrt((n - 3) / (n - 2f - 1)) for honest noise N(0, s^2 I), large d, a direction it knows nothing
    of; n >= 2f + 3, f >= 1. From the mean of the n - f themselves, 1 / (n - f) more in the square.
    *Proved*: a liar has f - 1 copies at distance 0 and n - 2f - 1 honest neighbours at D^2 + d s^2,
    an honest client n - f - 2 at 2 d s^2. A sign flip of scale c stands 1 + c times the honest
    mean away from that mean, so it wins up to chapter 03's (3.9).
    """
    n, f = _crowd("krum_clique_distance", n, f, "Krum", least=1)
    return np.sqrt((n - 3) / (n - 2 * f - 1))


def sign_flip_border(n, f):
    """Scale of the sign flip beyond which the mean of all points backward: (n - f) / f; n > 2f.

    *Proved*: f clients at -c m among n - f of mean m average to (n - f - c f) / n * m, below the
    border just a shorter step. Infinite for f = 0.
    """
    n, f = _crowd("sign_flip_border", n, f)
    with np.errstate(divide="ignore"):
        return np.divide(n - f, f)


def alie_z_max(n, f):
    """How many standard deviations f liars can shift unseen: Q((n - f - s) / (n - f)); n > 2f > 0.

    Q is the normal quantile, s = n // 2 + 1 - f the honest supporters that make a majority of them.
    Returned raw: zero or negative in small crowds, where too few supporters lie so far out. An
    attack then takes 0 or sets its own z. *Published*: Baruch et al., NeurIPS 2019.
    """
    n, f = _crowd("alie_z_max", n, f, least=1)
    return ndtri((n - (n // 2 + 1)) / (n - f))


def worst_case_bias(rule, alpha):
    """Bias over N(0, 1) when a share alpha of endlessly many clients sends infinity.

    Mean infinite; median Q(1 / (2 (1 - alpha))), Q the normal quantile; trimmed mean, alpha at each
    end, the average of N(0, 1) above its quantile at alpha / (1 - alpha). *Proved*: both rules are
    monotone. The median's is the least of all rules that move with their input (Huber,
    Ann. Math. Stat. 1964), though its `kappa` is not. Inner product manipulation -epsilon g makes
    the median of g plus noise s max(g - bias * s, -epsilon g), so it turns g < bias * s round.
    rule : {"mean", "median", "trimmed mean"}; 0 <= alpha < 1/2.
    """
    _known(rule, EXACT, "worst_case_bias")
    alpha = as_numbers(alpha, "alpha", "worst_case_bias", "in [0, 1/2)")
    if rule == "mean":
        return np.where(alpha > 0, np.inf, 0.0)[()]
    if rule == "median":
        return ndtri(0.5 / (1 - alpha))
    return _density(ndtri(alpha / (1 - alpha))) * (1 - alpha) / (1 - 2 * alpha)


def asymptotic_variance(rule, *, trim=0.0, d=1):
    """Limit of n * variance per coordinate over N(0, I) without liars; 1 / it is the efficiency.

    Mean 1; median pi / 2; trimmed mean (E[x^2; |x| < q] + 2 trim q^2) / (1 - 2 trim)^2, q the
    quantile at 1 - trim, the share trimmed at each end, 0 <= trim < 1/2; geometric median (d/2)
    (Gamma(d/2) / Gamma((d+1)/2))^2, which alone feels the dimension (*published*: Huber and
    Ronchetti, Robust Statistics, 2009; Brown, JRSS B 1983).
    """
    _known(rule, (*EXACT, "geometric median"), "asymptotic_variance")
    if rule in ("mean", "median"):
        return 1.0 if rule == "mean" else np.pi / 2
    if rule == "geometric median":
        d = _counts("asymptotic_variance", "d", d, least=1)
        return d / 2 * np.exp(2 * (gammaln(d / 2) - gammaln((d + 1) / 2)))
    trim = as_numbers(trim, "trim", "asymptotic_variance", "in [0, 1/2)")
    q = -ndtri(np.maximum(trim, 1e-300))  # finite
    return (1 - 2 * trim - 2 * q * _density(q) + 2 * trim * q**2) / (1 - 2 * trim) ** 2


# --- What training reaches ---


def gradient_floor(kappa, G, B=0.0):
    """Size of the true gradient that descent is sure to reach: sqrt(kappa / (1 - kappa B^2)) G.

    For honest gradients with 1/h sum |g_i - g|^2 <= G^2 + B^2 |g|^2, an L-smooth loss and step 1/L,
    (1 - kappa B^2) mean_t |g_t|^2 <= 2L (loss_0 - loss*) / T + kappa G^2 (*proved*: sum the descent
    lemma). Infinite for kappa B^2 >= 1. All arguments >= 0.
    """
    given = {"kappa": kappa, "G": G, "B": B}
    kappa, G, B = (as_numbers(x, name, "gradient_floor", ">= 0") for name, x in given.items())
    with np.errstate(divide="ignore", invalid="ignore"):
        room = 1 - kappa * B**2
        return np.where(room > 0, np.sqrt(kappa / room) * G, np.inf)[()]


def radius_strongly_convex(kappa, G, mu, B=0.0):
    """Distance to the optimum that descent is sure to reach: gradient_floor / mu, mu > 0.

    For mu-strongly convex losses. *Proved*: if B = 0, a step up to 2 / (mu + L) takes the distance
    down by 1 - step * mu, and the error adds step * gradient_floor; else |g|^2 >= 2 mu (loss -
    loss*) >= mu^2 |theta - theta*|^2.
    """
    return gradient_floor(kappa, G, B) / as_numbers(mu, "mu", "radius_strongly_convex")


def _off(q, h):
    """How far the mean of q of h rows can be from that of all, in standard deviations."""
    return np.sqrt((h - q) / q)


def _density(x):
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def _known(rule, names, caller):
    if rule not in names:
        raise ValueError(f"{caller} knows {', '.join(names)}; got {rule!r}")


def _counts(caller, name, value, least):
    refuse_masked(value, caller)
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{caller} needs an integer {name}; got {value!r}")
    if np.any(array < least):
        raise ValueError(f"{caller} needs {name} >= {least}; got {name} = {array.min()}")
    return array.astype(np.int64)[()]


def _crowd(caller, n, f, rule="mean", least=0):
    """n and f as integers, in the legal range of the rule."""
    n, f = _counts(caller, "n", n, 1), _counts(caller, "f", f, least)
    slope, start = LEGAL[rule]
    for a, b in np.broadcast(n, f):
        if a < slope * b + start:
            condition = "n > 2f" if start == 1 else f"n >= {slope}f + {start} for {rule}"
            raise ValueError(f"{caller} needs {condition}; got n = {a}, f = {b}")
    return n, f


def _trimmed(rule, n, f, declared, caller):
    """n, f, and how many values the rule drops at each end."""
    _known(rule, EXACT, caller)
    n, f = _crowd(caller, n, f)
    if rule == "trimmed mean":
        return n, f, f if declared is None else _crowd(f"{caller}, as declared,", n, declared)[1]
    return n, f, (n - 1) // 2 if rule == "median" else 0 * n
