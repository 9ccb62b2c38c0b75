"""What stands around the book keeps its word: README, environment, constraints, Makefile."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import byzlib
from byzlib.market import load_sample
from conftest import same
from tests.bybit_server import serve

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
make = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


def blocks(language, text=README):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


# --- README ---------------------------------------------------------------------------------


def test_readme_names_targets_that_exist():
    spoken = set(re.findall(r"\bmake ([a-z]+)\b", "".join(re.findall("`[^`]+`", README))))
    typed = set(re.findall(r"^make ([a-z]+)", "".join(blocks("bash")), re.MULTILINE))
    assert {"book", "test"} <= typed and typed | spoken <= TARGETS


def test_readme_code_runs_and_prints_what_it_says(tmp_path):
    """In the order in which it is read, and against candles from this machine only."""
    code = "".join(blocks("python"))
    candles = load_sample("BTCUSDT").head(300)
    file = tmp_path / "bybit_linear_BTCUSDT_5m.csv"
    opened = candles.index.as_unit("ms").asi8
    candles.set_axis(opened).to_csv(file, index_label="ts_ms")
    with serve(file) as url:
        there = os.environ | {"BYZLIB_BYBIT_URL": url, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env=there,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        asked = len(url.log)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert asked or "fetch_klines" not in code
    printed = done.stdout.splitlines()
    promised = re.findall(r"^print\(.*\) +# ([\[\d].*)$", code, re.MULTILINE)
    assert promised
    for line in promised:
        assert any(same(line, other) for other in printed), f"{line} is not printed"


# --- environment ----------------------------------------------------------------------------


def requirements(lines):
    return {canonicalize_name(r.name): r.specifier for r in map(Requirement, lines)}


def extras(project):
    """What everyone is given; the other libraries of the benchmark are asked for by name."""
    offered = project["optional-dependencies"].items()
    return sum((lines for name, lines in offered if name != "bench"), [])


def drift(environment, project):
    """In what a conda environment and pyproject.toml differ."""
    lines = [line for line in environment["dependencies"] if isinstance(line, str)]
    (pip,) = (line["pip"] for line in environment["dependencies"] if isinstance(line, dict))
    offered = requirements(lines + [line for line in pip if not line.startswith("--no-deps")])
    needed = requirements(project["dependencies"] + extras(project))
    needed["python"], needed["pip"] = SpecifierSet(project["requires-python"]), SpecifierSet()
    for name in sorted(offered.keys() | needed.keys()):
        if offered.get(name) != needed.get(name):
            yield f"{name}: conda {offered.get(name)}, pyproject.toml {needed.get(name)}"
    if "--no-deps -e ." not in pip:
        yield "byzlib itself is not installed"


def environment():
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


def test_conda_users_get_the_same():
    assert list(drift(environment(), PYPROJECT["project"])) == []


@pytest.mark.parametrize(
    "old, new, complaint",
    [
        ("numpy>=2.0", "numpy>=1.26", "numpy"),
        ("nbval>=0.11", "", "nbval"),
        ("python>=3.11", "python>=3.10", "python"),
        ("sphinx-mathjax-offline>=0.0.2", "sphinx-mathjax-offline", "sphinx-mathjax-offline"),
        ("ruff>=0.6", "ruff>=0.6\n  - polars", "polars"),
        ("--no-deps -e .", "--no-deps -e ..", "byzlib itself"),
    ],
)
def test_drift_is_noticed(old, new, complaint):
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert old in text
    dependencies = yaml.safe_load(text.replace(old, new))
    dependencies["dependencies"] = [line for line in dependencies["dependencies"] if line]
    (fault,) = drift(dependencies, PYPROJECT["project"])
    assert fault.startswith(complaint)


def test_each_dependency_has_a_reason():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lists = re.findall(r"^\w+ = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    lines = "".join(lists[:4]).splitlines()
    assert len(lines) > 20 and all(re.search(r'^ +"[^"]+", +# \w', line) for line in lines)
    conda = (ROOT / "environment.yml").read_text(encoding="utf-8")
    unexplained = re.findall(r"^ +- [^#\n]*$", conda.split("dependencies:")[1], re.MULTILINE)
    assert [line.strip() for line in unexplained] == ["- python>=3.11", "- pip:"]


def test_constraints_pin_what_is_needed_and_name_no_host():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert "://" not in text and "@" not in text and "--" not in text
    pins = {}
    for pin in map(Requirement, text.splitlines()):
        pins.setdefault(canonicalize_name(pin.name), []).append(str(pin.specifier)[2:])
        assert re.fullmatch(r"==[^,*]+", str(pin.specifier)), pin
    project = PYPROJECT["project"]
    for name, specifier in requirements(project["dependencies"] + extras(project)).items():
        assert pins.get(name) and all(map(specifier.contains, pins[name])), name


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    version = PYPROJECT["project"]["version"]
    assert version == citation["version"] == byzlib.__version__ == metadata.version("byzlib")
    assert citation["license"] == PYPROJECT["project"]["license"].split(" AND ")


# --- Makefile -------------------------------------------------------------------------------


def run_make(folder, *arguments):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=clean, capture_output=True, text=True
    )


@pytest.fixture
def bare(tmp_path):
    """The files that decide what make does, without an environment."""
    folder = tmp_path / "a bare clone"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    return folder


@make
def test_help_lists_the_targets(bare):
    listed = run_make(bare)
    assert listed.returncode == 0 and not (bare / ".venv").exists()
    assert set(re.findall(r"^make ([a-z-]+) ", listed.stdout, re.MULTILINE)) == TARGETS
    assert TARGETS >= {"setup", "book", "test", "lab", "notebooks", "exercises", "help"}


@make
def test_an_old_python_is_refused_in_one_sentence(bare):
    for python in ("false", "no-such-python"):
        refused = run_make(bare, "test", f"PYTHON={python}")
        assert refused.returncode
        first = refused.stderr.splitlines()[0]
        assert first.startswith("byzlib needs Python 3.11 or newer") and python in first


@make
@pytest.mark.parametrize("target", sorted(TARGETS - {"help", "setup"}))
def test_every_target_sets_itself_up(bare, target):
    planned = run_make(bare, "--dry-run", target).stdout
    assert "uv pip install" in planned.split("notebooks.")[0]


def test_ci_runs_the_tests_and_nothing_else():
    path = ROOT / ".ci/run"
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/usr/bin/env bash" and "set -euo pipefail" in lines
    assert [line for line in lines if "make" in line] == ["make test"]
    assert os.access(path, os.X_OK)
