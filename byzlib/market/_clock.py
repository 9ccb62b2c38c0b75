"""Times and durations as people write them. A number without a unit is neither."""

import re
from numbers import Real

import numpy as np
import pandas as pd


def as_duration(value, name, caller):
    """`value` as a pandas Timedelta: "10min", "60D", or a timedelta of any library.

    pandas alone would read 2 and "2" as two nanoseconds.
    """
    number = isinstance(value, Real | np.bool) and not isinstance(value, np.timedelta64)
    if number or (isinstance(value, str) and not re.search("[A-Za-z:]", value)):
        raise TypeError(f"{caller} needs {name} with its unit, such as '10min'; got {value!r}")
    try:
        return pd.Timedelta(value)
    except (ValueError, TypeError):
        raise ValueError(f"{caller} needs {name} such as '10min' or '60D'; got {value!r}") from None


def as_time(value, name, caller):
    """`value` as a pandas Timestamp in UTC, which is the zone where none is named."""
    if isinstance(value, Real | np.bool):
        raise TypeError(f"{caller} needs {name} as a date, such as '2025-01-31'; got {value!r}")
    time = pd.Timestamp(value)
    return time.tz_localize("UTC") if time.tz is None else time.tz_convert("UTC")


def usual_step(times):
    """The most common difference between neighbours in time of a DatetimeIndex, a Timedelta.

    ValueError where fewer than two of its times differ.
    """
    gaps, counts = np.unique(np.diff(np.unique(times.asi8)), return_counts=True)
    if not len(gaps):
        raise ValueError(f"usual_step needs two times or more; got {times.nunique()}")
    return pd.Timedelta(int(gaps[counts.argmax()]), unit=times.unit)


def refuse_mixed_zones(caller, *times):
    """Times with a zone and times without cannot be compared."""
    if len({time.tz is None for time in times}) > 1:
        raise ValueError(
            f"{caller} needs all times with a time zone or none; got both: use tz_localize('UTC')"
        )
