"""Whatever the reader's shell holds: variables, no home, no place to write.

What make does of it is tested in test_project.py, what pytest and kernels do in test_execute.py.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import conftest
from byzlib.market import BadRequest, cache_path, default_cache, load_klines, main
from notebooks.execute import environment
from tests.bybit_server import at, made_up, same_candles, serve

ROOT = Path(__file__).resolve().parents[1]
posix = pytest.mark.skipif(os.name != "posix", reason="this system knows no such thing")


def python(*arguments, **environment):
    """A fresh interpreter, in an environment with these changes; None takes a variable out."""
    there = {name: value for name, value in (os.environ | environment).items() if value is not None}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=there, capture_output=True, text=True)


# --- What the shell tells Python ---

TOLD = ["PYTHONOPTIMIZE", "PYTHONWARNINGS", "PYTHONINSPECT", "PYTHONHASHSEED", "MPLBACKEND"]


def test_a_kernel_is_told_where_things_are_and_nothing_else(monkeypatch):
    for name in [*TOLD, "PYTHONPATH", "PYTHONUTF8", "MY_PYTHON"]:
        monkeypatch.setenv(name, "1")
    told = environment()
    assert not told.keys() & set(TOLD)
    assert told.keys() >= {"PYTHONPATH", "PYTHONUTF8", "MY_PYTHON", "PATH"}


def test_tests_without_assertions_are_refused_in_one_sentence():
    plain = {"FORCE_COLOR": None, "PY_COLORS": "0"}
    refused = python("-m", "pytest", "tests/test_illegal.py", PYTHONOPTIMIZE="1", **plain)
    assert refused.returncode and "passed" not in refused.stdout
    assert refused.stderr.strip().startswith("ERROR: Python leaves assertions out")
    assert refused.stderr.strip().count("\n") == 0


@posix
@pytest.mark.parametrize("home", ["/dev/null", "/no/such/folder"])
def test_a_home_is_a_folder(home, monkeypatch):
    monkeypatch.setenv("HOME", home)
    assert not conftest.lives_somewhere()


# --- Where candles are kept ---

PLACES = ["HOME", "USERPROFILE", "HOMEPATH", "XDG_CACHE_HOME", "LOCALAPPDATA", "BYZLIB_BYBIT_CACHE"]


@pytest.fixture
def nobody(monkeypatch):
    """A user without a home, and without an entry that names one."""
    for name in PLACES:
        monkeypatch.delenv(name, raising=False)
    if os.name == "posix":
        monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)


def test_without_a_home_candles_want_a_named_place(nobody, tmp_path, monkeypatch, capsys):
    rows, file = made_up(20), tmp_path / "c.sqlite"
    asked = {"start": at(0), "end": at(9)}
    with pytest.raises(BadRequest, match="no home folder.* cache= .* BYZLIB_BYBIT_CACHE$") as error:
        load_klines(**asked)
    assert re.findall(r"\. |\n", str(error.value)) == []
    with serve(rows) as url:
        same_candles(load_klines(**asked, cache=file, base_url=url), rows[:10])
        day = ["BTCUSDT", "--start", "2024-05-01", "--end", "2024-05-01T00:45", "--base-url", url]
        assert main([*day, "--cache", str(file)]) == 0
        assert "10 of them kept before; " in capsys.readouterr().out
        assert main(day) == 2 and "BYZLIB_BYBIT_CACHE" in capsys.readouterr().err
        monkeypatch.setenv("BYZLIB_BYBIT_CACHE", str(file))
        assert main(day) == 0


@posix
def test_the_command_explains_itself_without_a_home(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import pwd\n\npwd.getpwuid = {}.__getitem__\n")
    shell = dict.fromkeys(PLACES) | {"PYTHONPATH": str(tmp_path)}
    helped = python("-m", "byzlib.market", "--help", **shell)
    assert helped.returncode == 0 and "$BYZLIB_BYBIT_CACHE" in helped.stdout, helped.stderr


def test_a_home_may_be_called_anything(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "100%done %s %(prog)s"))
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    shown = "".join(capsys.readouterr().out.split())
    assert stop.value.code == 0 and "100%done%s%(prog)s/byzlib/candles.sqlite" in shown


@posix
def test_a_path_that_leads_nowhere_is_refused():
    for bad in ("~nosuchuser/c.sqlite", Path("~nosuchuser/c.sqlite")):
        with pytest.raises(BadRequest, match="cache ~nosuchuser/c.sqlite leads nowhere"):
            load_klines(cache=bad)


@posix
def test_a_deleted_working_directory_is_noticed(monkeypatch, tmp_path):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(BadRequest, match="cache c.sqlite leads nowhere .*: give an absolute path"):
        load_klines(cache="c.sqlite")
    assert cache_path(tmp_path / "c.sqlite") == tmp_path / "c.sqlite"


def test_a_relative_cache_folder_is_ignored_as_the_standard_says(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for relative in ("", "caches", "./caches", "../caches"):
        monkeypatch.setenv("XDG_CACHE_HOME", relative)
        assert default_cache() == tmp_path / ".cache" / "byzlib" / "candles.sqlite"
