"""What stands around the book keeps its word: README, environment, constraints, make, workflow."""

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
from notebooks import build_site
from tests.bybit_server import serve

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
WORKFLOW = (ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8")
make = pytest.mark.skipif(
    os.name != "posix" or not shutil.which("make"), reason="make is not installed"
)


def blocks(language, text=README):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


# --- README ---------------------------------------------------------------------------------


def test_readme_names_targets_that_exist():
    prose = re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
    spoken = set(re.findall(r"`make ([a-z-]+)", prose))
    typed = set(re.findall(r"^make ([a-z-]+)", "".join(blocks("bash")), re.MULTILINE))
    assert {"book", "test"} <= typed and {"lab", "test-all", "test-portable"} <= spoken
    assert typed | spoken <= TARGETS


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
    for pin in map(Requirement, re.sub("  #.*", "", text).splitlines()):
        pins.setdefault(canonicalize_name(pin.name), []).append(str(pin.specifier)[2:])
        assert re.fullmatch(r"==[^,*]+", str(pin.specifier)), pin
    project = PYPROJECT["project"]
    for name, specifier in requirements(project["dependencies"] + extras(project)).items():
        assert pins.get(name) and all(map(specifier.contains, pins[name])), name


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == byzlib.__version__ == metadata.version("byzlib")
    assert PYPROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "byzlib.__version__"}
    assert citation["license"] == PYPROJECT["project"]["license"].split(" AND ")


# --- Makefile -------------------------------------------------------------------------------


def run_make(folder, *arguments, **environment):
    """make, in an environment with these changes; None takes a variable out."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    there = {name: value for name, value in (clean | environment).items() if value is not None}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=there, capture_output=True, text=True
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
    assert TARGETS >= {"test-all", "test-portable", "test-claims"}


@make
def test_all_tests_are_the_tests_with_the_slow_ones_and_the_planted_errors(bare):
    usual, whole = (run_make(bare, "-n", name).stdout for name in ("test", "test-all"))
    *style, test = usual.replace("make test", "make test-all").splitlines()
    slow, planted = f'{test} -m ""', ".venv/bin/python -m tests.planted_errors"
    assert whole.splitlines() == [*style, slow, planted]
    options = PYPROJECT["tool"]["pytest"]["ini_options"]
    assert "-m not slow" in " ".join(options["addopts"]) and options["markers"][0][:5] == "slow:"


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


def told(folder, *arguments, **environment):
    """The environment of the recipes of a Makefile."""
    (folder / "tell.mk").write_text("include Makefile\ntell:\n\t@env\n")
    lines = run_make(folder, "-f", "tell.mk", "tell", *arguments, **environment).stdout.splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


RUNNING = ["PYTHONOPTIMIZE", "PYTHONWARNINGS", "PYTHONSAFEPATH", "PYTHONINSPECT", "PYTHONPATH"]
RUNNING += ["VIRTUAL_ENV", "MPLBACKEND", "JUPYTER_PATH"]
INSTALLING = ["PIP_TARGET", "PIP_USER", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIRE_VIRTUALENV"]
INSTALLING += ["PIP_CONSTRAINT", "PIP_NO_DEPS", "UV_CONSTRAINT", "UV_RESOLUTION"]
INSTALLING += ["UV_SYSTEM_PYTHON"]
TESTING = ["PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
KEPT = ["PIP_INDEX_URL", "PIP_CERT", "UV_INDEX_URL", "SSL_CERT_FILE", "https_proxy", "PATH"]


@make
def test_make_passes_on_what_leads_to_the_network_and_not_what_changes_python(bare):
    foreign = [*RUNNING, *INSTALLING, *TESTING]
    shell = dict.fromkeys([*foreign, *KEPT], "x") | {"PATH": os.environ["PATH"]}
    seen = told(bare, **shell)
    assert not seen.keys() & set(foreign) and seen.keys() >= set(KEPT)
    assert seen["PYTHONUTF8"] == "1"
    assert seen["JUPYTER_RUNTIME_DIR"] == f"{bare}/.venv/runtime"


@make
@pytest.mark.parametrize("home", [None, "", "/dev/null", "/no/such/folder"])
def test_make_gives_a_home_to_those_who_have_none(bare, tmp_path, home):
    assert told(bare, HOME=str(tmp_path))["HOME"] == str(tmp_path)
    assert told(bare, HOME=home)["HOME"] == f"{bare}/.venv/home"


@make
def test_what_make_does_is_typed_and_not_found_in_the_shell(bare):
    shell = {"ONLY": "99", "VARIANTS": "none", "VENV": "/usr", "BUILD": "/usr", "SIZES": "99"}
    for target in ("test-portable", "book", "bench"):
        assert run_make(bare, "-n", target, **shell).stdout == run_make(bare, "-n", target).stdout
    typed = run_make(bare, "-n", "test-portable", "ONLY=03 07", "VARIANTS=jitter").stdout
    assert "--only 03 07 --variants jitter" in typed


@make
def test_another_place_for_the_environment_and_the_site(bare, tmp_path):
    for place in (f"{tmp_path}/v", "sub/v"):
        planned = run_make(bare, "-n", "book", f"VENV={place}", "BUILD=/a site").stdout
        assert f'{place}/bin/python -m notebooks.build_site "/a site"' in planned
        assert "-p .venv" not in planned and ".venv/bin" not in planned
        assert told(bare, f"VENV={place}")["IPYTHONDIR"] == str(bare / place / "ipython")
    for place in ("", "a b", "~/v"):
        refused = run_make(bare, "-n", "book", f"VENV={place}")
        assert refused.returncode and "VENV names one folder" in refused.stderr


@make
def test_a_place_that_cannot_be_written_is_named_with_a_way_out(bare):
    for target, way in [
        ("test", "make test VENV=/another/place"),
        ("book", "make book VENV=/another/place BUILD=/another/place/site"),
    ]:
        refused = run_make(bare, target, "VENV=/dev/null/v")
        said = f"/dev/null/v cannot be written; name another place: {way}"
        assert refused.stderr.splitlines()[0] == said and refused.returncode
    with pytest.raises(SystemExit, match="^/dev/null/site cannot be written .* BUILD=/another"):
        build_site.own(Path("/dev/null/site"))


@make
def test_a_folder_that_holds_something_else_is_left_alone(bare, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter").write_text("dear")
    refused = run_make(bare, "setup", f"VENV={tmp_path}/mine")
    assert refused.returncode and "mine holds something else" in refused.stderr
    with pytest.raises(SystemExit, match="mine holds letter; .* BUILD="):
        build_site.own(tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter"]


def test_ci_runs_the_tests_and_nothing_else():
    path = ROOT / ".ci/run"
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/usr/bin/env bash" and "set -euo pipefail" in lines
    assert [line for line in lines if "make" in line] == ["make test"]
    assert os.access(path, os.X_OK)


# --- the workflow ---------------------------------------------------------------------------

JOBS = yaml.safe_load(WORKFLOW)["jobs"]


def legs(job):
    """What the matrix of a job holds, beside single runs: a dict each."""
    matrix = JOBS[job]["strategy"]["matrix"]
    plain = [{"os": name, "python": python} for name in matrix.get("os", [])
             for python in matrix["python"]]  # fmt: skip
    return plain + matrix.get("include", [])


def test_the_workflow_makes_what_can_be_made():
    said = "\n".join(step.get("run", "") for job in JOBS.values() for step in job["steps"])
    made = set(re.findall(r"\bmake ([a-z-]+)", said))
    made |= set(JOBS["weekly"]["strategy"]["matrix"]["target"])
    assert {"test", "test-all", "test-portable", "book"} <= made <= TARGETS
    assert _recipe("PYTEST") in said and "ruff check ." in said and "ruff format --check ." in said


def _recipe(name):
    return re.search(rf"^{name} := \$\(PY\) (.*)$", MAKEFILE, re.MULTILINE)[1]


def test_the_workflow_runs_every_python_that_is_allowed():
    allowed = SpecifierSet(PYPROJECT["project"]["requires-python"])
    everywhere = legs("test") + legs("without-make")
    assert all(allowed.contains(leg["python"]) for leg in everywhere)
    here = [int(leg["python"][2:]) for leg in legs("test") if leg["os"] == "ubuntu-24.04"]
    assert here == list(range(min(here), max(here) + 1))
    assert not allowed.contains(f"3.{min(here) - 1}")
    for system in ("-arm", "macos", "windows"):
        both = {leg["python"] for leg in everywhere if system in leg["os"]}
        assert both == {f"3.{min(here)}", f"3.{max(here)}"}
    versions = {leg["versions"]: leg["how"] for leg in legs("without-make")}
    assert versions.keys() == {"pinned", "lowest", "newest"} and not versions["newest"]


def test_the_workflow_may_read_and_only_the_last_job_may_publish():
    whole = yaml.safe_load(WORKFLOW)
    assert whole[True].keys() == {"push", "pull_request", "workflow_dispatch", "schedule"}
    assert whole["permissions"] == {"contents": "read"}
    writing = {name: job["permissions"] for name, job in JOBS.items() if "permissions" in job}
    assert writing == {"publish": {"pages": "write", "id-token": "write"}}
    assert "github.ref == 'refs/heads/main'" in JOBS["publish"]["if"]


def test_actions_are_pinned():
    used = re.findall(r"uses: (.*)", WORKFLOW)
    pins = dict(re.fullmatch(r"(actions/[\w-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)", use).groups()
                for use in used)  # fmt: skip
    assert {f"{action}@{commit}" for action, commit in pins.items()} == set(used)
