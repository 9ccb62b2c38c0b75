"""Files of a reader: what memory holds of them, whose they are, and what else lies beside them."""

import gzip
import os
import shutil
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from byzlib.experiments import own_data, read_folder, robustness_report
from byzlib.experiments.__main__ import main
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


# Folders as readers have them: labels and times of all kinds

FEW = 120
ASKED = ["--label", "up", "--time", "time", "--seeds", "2", "--rounds", "10", "--hidden", "0",
         "--rules", "median", "--attacks", "none", "--jobs", "1", "--batch", "8"]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Three clients, written by `write`, which maps a table and its number to another."""
    return write(tmp_path / "desks")


def write(folder, change=lambda table, i: table):
    folder.mkdir(exist_ok=True)
    for i in range(3):
        rng = np.random.default_rng(i)
        table = pd.DataFrame(rng.normal(size=(FEW, 2)), columns=["a", "b"])
        table["up"] = rng.integers(1, 3, FEW)
        table["time"] = 1_735_689_600 + 300 * np.arange(FEW)
        change(table, i).to_csv(folder / f"desk{i}.csv", index=False)
    return folder


def read(folder):
    return read_folder(folder, "up", "time", least=8, work=folder / "work")


def test_files_that_are_no_clients_are_left_and_capitals_are_not(folder):
    (folder / "notes.tar.gz").write_bytes(gzip.compress(b"notes"))
    (folder / "._desk0.csv").write_bytes(b"\0\5\26\7")  # as some systems leave behind
    (folder / "desk2.csv").rename(folder / "DESK2.CSV")
    packed = gzip.compress((folder / "desk1.csv").read_bytes())
    (folder / "desk1.csv").unlink()
    (folder / "desk1.csv.GZ").write_bytes(packed)
    own, _, _ = read(folder)
    assert sorted(client.name for client in own[0]) == ["DESK2", "desk0", "desk1"]


@pytest.mark.parametrize("broken", [lambda packed: packed[:-200], lambda packed: b"a,b\n1,2\n"])
def test_a_packed_file_that_is_broken_is_told_in_a_sentence(broken, folder, capsys):
    packed = gzip.compress((folder / "desk0.csv").read_bytes())
    (folder / "desk9.csv.gz").write_bytes(broken(packed))
    assert main([str(folder), *ASKED]) == 2
    told = capsys.readouterr().err
    assert "desk9.csv.gz cannot be read as a table" in told and told.count("\n") == 1


def other(table, labels):
    return table.assign(up=np.where(table["up"] == 1, *labels))


@pytest.mark.parametrize(
    "change, classes",
    [
        (lambda t, i: t.assign(up=t["up"].astype(float)) if i else t, [1, 2]),
        # A file with one word in it holds text, and the 1 of other files is the same class.
        (lambda t, i: t if i else t.assign(up=t["up"].astype(object).mask(t.index % 7 == 0, "?")),
         ["1", "2", "?"]),
        (lambda t, i: other(t, ("True", "False")) if i else other(t, ("True", "maybe")),
         ["False", "True", "maybe"]),
        (lambda t, i: other(t, (np.inf, 1.0)), [1.0, np.inf]),
        (lambda t, i: other(t, (1e300, 1.0)), [1, int(1e300)]),
    ],
)  # fmt: skip
def test_a_class_is_what_is_written(change, classes, folder):
    write(folder, change)
    own, tests, about = read(folder)
    assert about["classes"] == classes
    seen = {k for client in (*own[0], *tests[0]) for k in np.unique(client.y)}
    assert seen == set(range(len(classes)))


@pytest.mark.parametrize(
    "times, sentence",
    [
        (pd.date_range("2005-01-01", periods=FEW).strftime("%Y%m%d").astype(int),
         "desk0.csv has a time that counts from 1970 or is a date .* 20050101: write dates as"),
        (np.r_[np.inf, 1.0 : FEW], "desk0.csv has a time that is no time, inf"),
        (1e30 + 1e27 * np.arange(FEW), "desk0.csv has a time that is no time, 1.1"),
        (np.arange(FEW) % 2 == 0, "desk0.csv has a time that is no time, True"),
    ],
)  # fmt: skip
def test_numbers_that_are_no_times_are_refused_by_the_name_of_their_file(times, sentence, folder):
    write(folder, lambda table, i: table.assign(time=times))
    with pytest.raises(ValueError, match=sentence):
        read(folder)


def test_runs_in_one_place_do_not_write_over_each_other(folder):
    """Workers open the arrays by their names, while another run may read other files there."""
    first = read(folder)[0][0][0].X
    before = first.copy()
    write(folder, lambda table, i: table.assign(a=-table["a"]))
    assert not np.array_equal(read(folder)[0][0][0].X, before)
    again = np.load(first.filename)[: len(before)]
    np.testing.assert_array_equal(again, before)


def test_what_is_kept_is_of_the_rows_that_are_there(folder, capsys):
    """A file that has shrunk is another client; written as before, it is the first one again."""
    asked, shown = [str(folder), *ASKED, "--out", str(folder / "out")], []
    for rows in (FEW, FEW - 20, FEW):
        write(folder, lambda table, i, rows=rows: table.head(rows))
        assert main(asked) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[2] != shown[1]
    shutil.rmtree(folder / "out")
    (folder / "out").write_text("no folder")
    assert main(asked) == 2
    assert capsys.readouterr().err.count("\n") == 1
