"""Stylized facts of five-minute candles: what a simulated market must share with a real one."""

import numpy as np
import pandas as pd

from byzlib.market.features import dataset, labels

# Bybit's linear BTCUSDT, five-minute candles of 2025-01 to 2026-07: the value, and the range within
# which a simulated year counts as like it (months and other venues vary by about as much).
REAL = {
    "return std, bp": (14.4, 12.0, 17.0),
    "Flat share": (0.70, 0.62, 0.76),
    "Up share - Down share": (0.0, -0.02, 0.02),
    "Flat in 200 candles 5 %": (0.41, 0.35, 0.47),
    "Flat in 200 candles 50 %": (0.70, 0.64, 0.76),
    "Flat in 200 candles 95 %": (0.95, 0.89, 1.0),
    "Hill index, top 1 %": (3.2, 2.6, 3.8),
    "largest |acf| of r, lags 1-100": (0.0, 0.0, 0.03),
    "acf |r| lag 1": (0.34, 0.28, 0.40),
    "acf |r| lag 10": (0.22, 0.16, 0.28),
    "acf |r| lag 50": (0.14, 0.08, 0.20),
    "acf |r| lag 100": (0.09, 0.03, 0.15),
    "acf |r| lag 288": (0.145, 0.085, 0.205),
    "daily log-volatility std": (0.45, 0.34, 0.50),
    "hour profile, peak / trough": (2.1, 1.7, 2.5),
    "hour of the peak, UTC": (14, 13, 16),
    "range / |r|": (1.93, 1.78, 2.08),
    "Parkinson / std": (0.98, 0.90, 1.06),
    "body 25 %": (0.26, 0.22, 0.30),
    "body 50 %": (0.50, 0.46, 0.54),
    "body 75 %": (0.72, 0.68, 0.76),
    "upper shadow 25 %": (0.05, 0.01, 0.09),
    "upper shadow 50 %": (0.20, 0.16, 0.24),
    "upper shadow 75 %": (0.40, 0.36, 0.44),
    "open = previous close": (1.0, 1.0, 1.0),
    "log-volume std": (1.03, 0.88, 1.18),
    "acf log-volume lag 1": (0.74, 0.66, 0.82),
    "acf log-volume lag 12": (0.49, 0.41, 0.57),
    "acf log-volume lag 100": (0.18, 0.10, 0.26),
    "log volume-ratio std": (0.75, 0.60, 0.85),
    "log volume-ratio acf 1": (-0.34, -0.45, -0.28),
    "volume ratio 1 %": (0.20, 0.14, 0.26),
    "volume ratio 95 %": (3.7, 2.59, 4.81),
    "volume ratio 99 %": (7.8, 5.46, 10.14),
    "volume ratio 99.9 %": (21.0, 14.7, 27.3),
    "rank corr volume, |r|": (0.53, 0.45, 0.61),
    "rank corr volume, range": (0.80, 0.72, 0.88),
    "high = low": (0.0, 0.0, 0.0),
    "zero volume": (0.0, 0.0, 0.0),
}


def measure(candles):
    """Numbers that describe a market of five-minute candles.

    Takes a DataFrame as `byzlib.market.engineer` does, without gaps and with volume in every
    candle. Returns a dict of float, the names of `REAL` among its keys. Returns are close-to-close,
    logarithmic; bp are basis points; "Flat in 200 candles" are percentiles, over all windows of 200
    candles, of the share of Flat labels.
    """
    o, h, low, c, v = (candles[k].to_numpy() for k in ("open", "high", "low", "close", "volume"))
    r = np.diff(np.log(c))
    size = np.abs(r)
    X, target = dataset(candles)[0], labels(candles)
    shares = np.bincount(target, minlength=3) / len(target)
    flat = np.convolve(target == 1, np.full(200, 1 / 200), mode="valid")
    by_hour = [size[candles.index[1:].hour == k].mean() for k in range(24)]
    daily = r[: len(r) // 288 * 288].reshape(-1, 288).std(axis=1)
    log_v, log_ratio = np.log(v), np.diff(np.log(v))
    r_acf, size_acf, v_acf = (
        autocorrelation(x, lags) for x, lags in ((r, 100), (size, 288), (log_v, 100))
    )
    out = {
        "return std, bp": 1e4 * r.std(),
        "Down share": shares[0],
        "Flat share": shares[1],
        "Up share": shares[2],
        "Up share - Down share": shares[2] - shares[0],
        "Hill index, top 1 %": hill(size),
        "excess kurtosis": np.mean((r - r.mean()) ** 4) / r.var() ** 2 - 3,
        "largest |acf| of r, lags 1-100": np.abs(r_acf[1:]).max(),
        "daily log-volatility std": np.log(daily).std(),
        "hour profile, peak / trough": max(by_hour) / min(by_hour),
        "hour of the peak, UTC": np.argmax(by_hour),
        "range / |r|": ((h - low) / o)[1:].mean() / size.mean(),
        "Parkinson / std": np.sqrt(np.mean(np.log(h / low) ** 2) / (4 * np.log(2))) / r.std(),
        "open = previous close": np.mean(o[1:] == c[:-1]),
        "log-volume std": log_v.std(),
        "log volume-ratio std": log_ratio.std(),
        "log volume-ratio acf 1": autocorrelation(log_ratio, 1)[1],
        "rank corr volume, |r|": rank_correlation(v[1:], size),
        "rank corr volume, range": rank_correlation(v, (h - low) / o),
        "high = low": np.mean(h == low),
        "zero volume": np.mean(v == 0),
    }
    out |= {f"acf |r| lag {k}": size_acf[k] for k in (1, 10, 50, 100, 288)}
    out |= {f"acf log-volume lag {k}": v_acf[k] for k in (1, 12, 100)}
    for name, column in [("body", X[:, 1]), ("upper shadow", X[:, 2])]:
        out |= {f"{name} {q} %": np.percentile(column, q) for q in (25, 50, 75)}
    out |= {f"Flat in 200 candles {q} %": np.percentile(flat, q) for q in (5, 50, 95)}
    out |= {f"volume ratio {q} %": np.percentile(X[:, 3], q) for q in (1, 95, 99, 99.9)}
    return {name: float(value) for name, value in out.items()}


def autocorrelation(x, lags):
    """Autocorrelations of x at lags 0..lags, by FFT."""
    x = x - x.mean()
    power = np.abs(np.fft.rfft(x, 1 << (len(x) + lags).bit_length())) ** 2  # no wrap-around
    covariance = np.fft.irfft(power)[: lags + 1]
    return covariance / covariance[0]


def hill(size, share=0.01):
    """Hill's tail index of the largest share of a positive sample."""
    top = np.sort(size)[-int(len(size) * share) - 1 :]
    return 1 / np.mean(np.log(top[1:] / top[0]))


def rank_correlation(a, b):
    """Spearman's correlation."""
    return np.corrcoef(pd.Series(a).rank(), pd.Series(b).rank())[0, 1]
