"""Files of a reader: what memory holds of them, and whose they are."""

import os
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from byzlib.experiments import own_data, read_folder, robustness_report
from byzlib.federated import SimpleModel

ROWS = 4000


def files(folder, n, ending="csv", start=1_700_000_000):
    folder.mkdir(exist_ok=True)
    for i in range(n):
        rng = np.random.default_rng(i)
        table = pd.DataFrame(rng.normal(size=(ROWS, 4)), columns=list("abcd"))
        table["up"] = np.array(["Down", "Up"])[rng.integers(0, 2, ROWS)]
        table["time"] = start + 300 * np.arange(ROWS)
        table.to_csv(folder / f"desk.{i}.{ending}", index=False)
    return folder


def reported(folder):
    own, tests, _ = read_folder(folder, "up", "time", work=folder / "kept")
    quick = {"seeds": 2, "rounds": 10, "batch_size": 8, "n_jobs": 1, "progress": False}
    return robustness_report(own, SimpleModel(4, 0, 2), 1, "median", "none", tests=tests, **quick)


def test_memory_does_not_grow_with_the_number_of_files(tmp_path):
    """A client more costs its name and its batches, and no array that is as long as its file."""
    few, many = files(tmp_path / "few", 3), files(tmp_path / "many", 9)
    reported(few)  # what is made once
    peaks = []
    for folder in (few, many):
        tracemalloc.start()
        reported(folder)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 6 < ROWS * 8  # bytes


def test_files_are_told_apart_by_all_of_their_names(tmp_path):
    folder = files(tmp_path / "desks", 3)
    own, _, _ = read_folder(folder, "up", "time", work=tmp_path / "kept")
    assert [client.name for client in own[0]] == ["desk.0", "desk.1", "desk.2"]
    assert not np.array_equal(own[0][0].X, own[0][1].X)
    files(folder, 1, "csv.gz")
    with pytest.raises(ValueError, match="two files called desk.0: one a client"):
        read_folder(folder, "up", "time", work=tmp_path / "kept")


@pytest.mark.skipif(os.name != "posix", reason="a file that is looked at cannot be replaced here")
def test_what_was_read_stays_when_the_folder_is_read_again(tmp_path):
    folder = files(tmp_path / "desks", 3)
    first = read_folder(folder, "up", "time", work=tmp_path / "kept")[0][0][0]
    before = first.X.copy()
    for path in folder.glob("*.csv"):
        path.write_text("".join(path.read_text().splitlines(keepends=True)[: ROWS // 2]))
    read_folder(folder, "up", "time", work=tmp_path / "kept")
    assert np.array_equal(first.X, before)


def test_a_zone_is_one_clock_in_summer_and_in_winter(tmp_path, monkeypatch):
    """As Parquet keeps it: two of the files begin in summer time, the third after it."""

    def read(path):
        table = pd.read_csv(path)
        times = pd.to_datetime(table["time"], unit="s", utc=True).dt.tz_convert("Europe/Berlin")
        return table.assign(time=times).iloc[500 * (path.stem == "desk.2") :]

    monkeypatch.setitem(own_data.READERS, ".csv", read)
    folder = files(tmp_path / "desks", 3, start=1_698_400_000)  # 27 October 2023, 11:46 in Berlin
    own, _, about = read_folder(folder, "up", "time", work=tmp_path / "kept")
    assert about["rows"] == 3 * ROWS - 500 and about["folds"][0].train_start.utcoffset().seconds
