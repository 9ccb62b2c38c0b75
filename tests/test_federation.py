"""A real federation on this machine: it learns what the simulation learns, and leaves no trace."""

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
real = pytest.mark.skipif(
    not importlib.util.find_spec("flwr") or os.name != "posix",
    reason="needs Flower and process groups; `make test-federation` installs it",
)


def test_without_flower_one_sentence_says_how_to_install_it():
    code = "import sys; sys.modules['flwr'] = None; import byzlib.federated.flower"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    last = done.stderr.splitlines()[-1]
    assert last == (
        "ImportError: byzlib.federated.flower needs Flower 1.41 or newer: "
        'pip install "byzlib[flower]"'
    )


def left_behind(mark):
    """Processes that were told of a folder, where the system shows what processes were told."""
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in entry.read_bytes():
                yield entry.parent.name
        except OSError:
            continue


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where the federation keeps its folder, which must be empty afterwards."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield tmp_path
    assert list(tmp_path.iterdir()) == [] and not [*left_behind(str(tmp_path).encode())]


@real
def test_four_nodes_learn_what_the_simulation_learns(temporary):
    from examples.federation.__main__ import experiment

    table = experiment(
        rules=["trimmed mean"],
        desks=4,
        liars=1,
        rounds=2,
        timeout=150,
        killed=0,
        say=lambda _: None,
    )
    assert table["desks"].tolist() == ["0 1 2 3", "1 2 3"]  # one was cut off after the first round
    assert table["difference"].max() < 1e-6
    assert np.isfinite(table["accuracy"]).all() and (table["bytes"] > 2 * 4 * 2 * 8 * 194).all()


@real
def test_ctrl_c_ends_every_process(temporary):
    running = subprocess.Popen(
        [sys.executable, "-m", "examples.federation"],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + 120
        while not list(temporary.glob("federation-*/node 0.log")) and time.monotonic() < until:
            assert running.poll() is None, running.stderr.read()
            time.sleep(0.2)
        assert [*left_behind(str(temporary).encode())] or not Path("/proc").exists()
        os.killpg(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=60)
    finally:
        running.kill()
        running.wait()
    assert running.returncode and "KeyboardInterrupt" in said
