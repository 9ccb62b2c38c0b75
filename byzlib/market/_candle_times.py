"""When candles open. They are numbered, so that ranges, pages and gaps are whole numbers.

Minutes and days are counted from 1970-01-01, weeks from the first Monday (1970-01-05), and months
from the year 0; all in UTC. Candle `number + 1` opens at the instant at which `number` closes.
"""

from datetime import UTC, datetime, timedelta
from numbers import Integral

EARLIEST, LATEST = 1_262_304_000_000, 4_102_444_800_000  # years 2010 to 2100, in milliseconds

_MINUTE = 60_000
_DAY = 1440 * _MINUTE
_MONDAY = 4 * _DAY
_STEPS = {str(m): m * _MINUTE for m in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)}
_STEPS |= {"D": _DAY, "W": 7 * _DAY}
INTERVALS = (*_STEPS, "M")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def candle_number(ms, interval):
    """The number of the candle that holds the instant `ms` (milliseconds since 1970, UTC)."""
    if interval == "M":
        day = _EPOCH + timedelta(milliseconds=ms)
        return 12 * day.year + day.month - 1
    return (ms - _origin(interval)) // _STEPS[interval]


def open_time(number, interval):
    """The instant, in milliseconds, at which candle `number` opens."""
    if interval == "M":
        first = datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)
        return (first - _EPOCH) // timedelta(milliseconds=1)
    return _origin(interval) + number * _STEPS[interval]


def _origin(interval):
    return _MONDAY if interval == "W" else 0


def milliseconds(value, up=False):
    """An aware datetime, or an integer already in milliseconds, as milliseconds since 1970.

    None where it is neither, or outside the years 2010 to 2100.
    """
    ms = int(value) if is_whole(value) else None
    if isinstance(value, datetime) and value.tzinfo is not None:
        since, unit = value - _EPOCH, timedelta(milliseconds=1)
        ms = -(-since // unit) if up else since // unit
    return ms if ms is not None and EARLIEST <= ms <= LATEST else None


def is_whole(value):
    """An integer of any type, but not a bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def utc(ms):
    """`ms` as people write it, to the minute: 2024-05-01 00:05."""
    return f"{_EPOCH + timedelta(milliseconds=ms):%Y-%m-%d %H:%M}"
