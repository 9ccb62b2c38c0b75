"""The house and what stands around it: imports, README, environment, make, workflow, shell."""

import ast
import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import byzlib
import byzlib.__main__ as package
from byzlib import __version__
from byzlib.market import BadRequest, load_klines, load_sample, main
from conftest import same
from notebooks import build_site, execute, site_parts
from tests.bybit_server import at, made_up, same_candles, serve

# --- the house: read from the ground up, a room imports only rooms above it in this list ------

LIBRARY = Path(byzlib.__file__).parent
ABOVE = {
    "theory": (),
    "metrics": ("theory",),
    "plotting": (),
    "aggregators": ("theory",),
    "attacks": ("theory", "aggregators"),
    "federated": ("theory", "metrics", "aggregators", "attacks"),
    "market": ("theory",),
    "risk": ("theory", "metrics"),
    "experiments": ("theory metrics plotting aggregators attacks federated market risk".split()),
    "checks": (
        "theory metrics plotting aggregators attacks federated market risk experiments".split()
    ),
}
FILES = {path.relative_to(LIBRARY).as_posix(): path for path in LIBRARY.rglob("*.py")}


def imports_of(path):
    """Names of the byzlib rooms that a file imports, and of the private modules."""
    rooms, private = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        found = []
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "byzlib":
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names if alias.name.startswith("byzlib.")]
        for name in found:
            _, room, *inner = name.split(".")
            rooms.add(room)
            private |= {room for part in inner[:1] if part.startswith("_")}
    return rooms - {"__version__"}, private


def test_the_top_holds_the_rooms_and_nothing_else():
    top = {
        p.stem for p in LIBRARY.iterdir() if not p.name.startswith("__") and p.suffix in ("", ".py")
    }
    assert top == set(ABOVE) == set(byzlib.ROOMS)


@pytest.mark.parametrize("file", FILES)
def test_imports_point_up_the_list(file):
    room = file.split("/")[0].removesuffix(".py")
    if not room.startswith("__"):
        rooms, private = imports_of(FILES[file])
        assert rooms <= {*ABOVE[room], room}
        assert private <= {room}, f"{file} reaches into another room's private modules"


def test_the_check_of_imports_can_fail(tmp_path):
    bad = tmp_path / "krum.py"
    bad.write_text("from byzlib.federated import ByzantineFL\nimport byzlib.risk._alarms\n")
    assert imports_of(bad) == ({"federated", "risk"}, {"risk"})


@pytest.mark.parametrize("file", [f for f in FILES if "/_" not in f or "_form" in f])
def test_public_functions_are_described(file):
    tree = ast.parse(FILES[file].read_text())
    assert ast.get_docstring(tree), f"{file} says nothing of itself"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{file}: {node.name} has no docstring"


@pytest.mark.parametrize("room", ABOVE)
def test_a_room_is_entered_by_its_name(room):
    door = getattr(byzlib, room)
    assert room in byzlib.__doc__ and all(
        hasattr(door, name) for name in getattr(door, "__all__", [])
    )


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
    """What everyone is given; Flower and the benchmark's libraries are asked for by name."""
    return sum((project["optional-dependencies"][name] for name in ("book", "test")), [])


def test_conda_users_get_the_same():
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    *lines, pip = yaml.safe_load(text)["dependencies"]
    project = PYPROJECT["project"]
    asked = requirements(project["dependencies"] + extras(project))
    asked |= {"python": SpecifierSet(project["requires-python"]), "pip": SpecifierSet()}
    assert "--no-deps -e ." in pip["pip"]
    assert requirements(lines + [line for line in pip["pip"] if line[0] != "-"]) == asked


@pytest.mark.parametrize("file, wanted", [
    ("constraints.txt", ("book", "test", "browser", "course")),
    ("constraints-federation.txt", ("flower", "test")),
])  # fmt: skip
def test_constraints_pin_what_is_needed_and_name_no_host(file, wanted):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert "://" not in text and "@" not in text and "--" not in text
    pins = {}
    for pin in map(Requirement, re.sub("  #.*", "", text).splitlines()):
        pins.setdefault(canonicalize_name(pin.name), []).append(str(pin.specifier)[2:])
        assert re.fullmatch(r"==[^,*]+", str(pin.specifier)), pin
    project = PYPROJECT["project"]
    offered = sum((project["optional-dependencies"][name] for name in wanted), [])
    for name, specifier in requirements(project["dependencies"] + offered).items():
        assert pins.get(name) and all(map(specifier.contains, pins[name])), name


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == byzlib.__version__ == metadata.version("byzlib")
    assert PYPROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "byzlib.__version__"}
    date = f"{citation['date-released']:%d %B %Y}"
    assert f"version {citation['version']}, {date}" in README
    assert f"## {citation['version']}, {date}" in (ROOT / "CHANGELOG.md").read_text("utf-8")
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
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "constraints-federation.txt"):
        shutil.copy(ROOT / name, folder)
    return folder


@make
def test_help_lists_the_targets(bare):
    listed = run_make(bare)
    assert listed.returncode == 0 and not (bare / ".venv").exists()
    assert set(re.findall(r"^make ([a-z-]+) ", listed.stdout, re.MULTILINE)) == TARGETS


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


@make
def test_make_passes_on_what_leads_to_the_network_and_not_what_changes_python(bare):
    foreign = {"PYTHONOPTIMIZE", "PYTHONPATH", "VIRTUAL_ENV", "MPLBACKEND", "JUPYTER_PATH"}
    foreign |= {"PIP_TARGET", "PIP_USER", "PIP_NO_DEPS", "PIP_CONSTRAINT", "UV_CONSTRAINT"}
    foreign |= {"UV_RESOLUTION", "UV_SYSTEM_PYTHON", "PYTEST_ADDOPTS", "PYTEST_PLUGINS"}
    kept = {"PIP_INDEX_URL", "PIP_CERT", "UV_INDEX_URL", "SSL_CERT_FILE", "https_proxy", "PATH"}
    seen = told(bare, **dict.fromkeys(foreign | kept, "x") | {"PATH": os.environ["PATH"]})
    assert not seen.keys() & foreign and seen.keys() >= kept
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
@pytest.mark.parametrize("target, place, pins, wanted", [
    ("federation", "federation", "constraints-federation.txt", "flower,test"),
    ("test-federation", "federation", "constraints-federation.txt", "flower,test"),
    *[(target, "course", "constraints.txt", "book,test,course")
      for target in ("course", "grade", "grade-demo", "slides")],
])  # fmt: skip
def test_a_federation_and_a_class_have_environments_of_their_own(bare, target, place, pins, wanted):
    for given, there in (((), f".venv-{place}"), (("VENV=/a/v",), f"/a/v-{place}")):
        planned = run_make(bare, "-n", target, *given).stdout
        assert f"-p {there} -c {pins} -e '.[{wanted}]'" in planned
        assert f"{there}/bin/python -m" in planned and ".venv/bin" not in planned


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


# --- the workflow ---------------------------------------------------------------------------

JOBS = yaml.safe_load(WORKFLOW)["jobs"]


def test_the_workflow_makes_what_can_be_made():
    said = "\n".join(step.get("run", "") for job in JOBS.values() for step in job["steps"])
    made = set(re.findall(r"\bmake ([a-z-]+)", said))
    made |= set(JOBS["weekly"]["strategy"]["matrix"]["target"])
    assert {"test", "test-all", "test-portable", "book"} <= made <= TARGETS
    assert _recipe("PYTEST") in said and "ruff check ." in said and "ruff format --check ." in said


def _recipe(name):
    return re.search(rf"^{name} := \$\(PY\) (.*)$", MAKEFILE, re.MULTILINE)[1]


def test_the_workflow_may_read_and_only_the_last_jobs_may_publish():
    whole = yaml.safe_load(WORKFLOW)
    assert whole[True].keys() == {"push", "pull_request", "workflow_dispatch", "schedule"}
    assert whole["permissions"] == {"contents": "read"}
    writing = {name: job["permissions"] for name, job in JOBS.items() if "permissions" in job}
    assert writing == {
        "publish": {"pages": "write", "id-token": "write"}, "launch": {"contents": "write"}
    }  # fmt: skip
    for name in writing:
        assert "github.event_name == 'push' && github.ref == 'refs/heads/main'" in JOBS[name]["if"]


def test_actions_are_pinned():
    used = re.findall(r"uses: (.*)", WORKFLOW)
    pins = dict(re.fullmatch(r"(actions/[\w-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)", use).groups()
                for use in used)  # fmt: skip
    assert {f"{action}@{commit}" for action, commit in pins.items()} == set(used)


posix = pytest.mark.skipif(os.name != "posix", reason="this system knows no such thing")


def python(*arguments, **environment):
    """A fresh interpreter, in an environment with these changes; None takes a variable out."""
    there = {name: value for name, value in (os.environ | environment).items() if value is not None}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=there, capture_output=True, text=True)


# --- the reader's shell: variables, no home, no place to write ------------------------------

WORDS = ["PYTHONOPTIMIZE", "PYTHONWARNINGS", "PYTHONINSPECT", "PYTHONHASHSEED", "MPLBACKEND"]


def test_a_kernel_is_told_where_things_are_and_nothing_else(monkeypatch):
    for name in [*WORDS, "PYTHONPATH", "PYTHONUTF8", "MY_PYTHON"]:
        monkeypatch.setenv(name, "1")
    seen = execute.environment()
    assert not seen.keys() & set(WORDS)
    assert seen.keys() >= {"PYTHONPATH", "PYTHONUTF8", "MY_PYTHON", "PATH"}


def test_tests_without_assertions_are_refused_in_one_sentence():
    plain = {"FORCE_COLOR": None, "PY_COLORS": "0"}
    refused = python("-m", "pytest", "tests/test_illegal.py", PYTHONOPTIMIZE="1", **plain)
    assert refused.returncode and "passed" not in refused.stdout
    assert refused.stderr.strip().startswith("ERROR: Python leaves assertions out")
    assert refused.stderr.strip().count("\n") == 0


# --- where candles are kept -----------------------------------------------------------------

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
    with pytest.raises(BadRequest, match="leads nowhere .* cache= .* BYZLIB_BYBIT_CACHE$") as error:
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
def test_a_cache_that_leads_nowhere_is_refused(monkeypatch, tmp_path):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for file in ("~nosuchuser/c.sqlite", Path("~nosuchuser/c.sqlite"), "c.sqlite"):
        with pytest.raises(BadRequest, match=f"cache {file} leads nowhere"):
            load_klines(cache=file)


# --- types: they name what is there, and a user's strict checker is content ------------------

ROOMS = [room for room in byzlib.ROOMS if room != "checks"]  # one line for all checkers


def stub(room):
    folder = ROOT / "byzlib" / room
    file = folder / "__init__.pyi" if folder.is_dir() else folder.with_suffix(".pyi")
    return ast.parse(file.read_text(encoding="utf-8"))


def names(room):
    """What the room shows: functions, classes and tables of its own."""
    module = importlib.import_module(f"byzlib.{room}")
    listed = getattr(module, "__all__", None)
    for name in listed or vars(module):
        thing = getattr(module, name)
        of_module = getattr(thing, "__module__", None)
        own = of_module == module.__name__ or (of_module is None and name.isupper())
        if not inspect.ismodule(thing) and (listed or own and not name.startswith("_")):
            yield name


@pytest.mark.parametrize("room", ROOMS)
def test_the_stub_names_what_the_room_shows(room):
    typed = {}
    for line in stub(room).body:
        if isinstance(line, ast.FunctionDef | ast.ClassDef):
            typed.setdefault(line.name, line)
        elif isinstance(line, ast.AnnAssign):
            typed[line.target.id] = line
    missing = set(names(room)) - set(typed)
    assert not missing, f"write the types of {missing} into the .pyi of byzlib/{room}"
    module = importlib.import_module(f"byzlib.{room}")
    for name, line in typed.items():
        assert hasattr(module, name) or isinstance(line, ast.ClassDef), name
        if isinstance(line, ast.FunctionDef):
            asked = [*line.args.args, *line.args.kwonlyargs]
            taken = inspect.signature(getattr(module, name)).parameters.values()
            plain = [p.name for p in taken if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
            assert [one.arg for one in asked] == plain, (name, plain)


USER = """
import numpy as np
from byzlib.aggregators import krum, median, trimmed_mean
from byzlib.attacks import sign_flip
from byzlib.federated import ByzantineFL, SimpleModel, split_iid
from byzlib.metrics import t_interval

rng = np.random.default_rng(0)
X, y = rng.standard_normal((300, 4)), rng.integers(0, 3, 300)
clients = split_iid(X, y, 10, rng)
model = SimpleModel(n_features=4)
fl = ByzantineFL(model, clients, trimmed_mean, 3, sign_flip, learning_rate=0.1)
history = fl.run(rounds=3, rng=0, evaluate=(X, y))
answer, weights = krum(rng.standard_normal((10, 4)), 3, return_weights=True)
print(history.table.tail(), median(rng.standard_normal((5, 2))).shape, answer + weights.sum())
print(t_interval([1.0, 2.0, 3.0]).mean)
"""


def checked(path, *options):
    mypy = [sys.executable, "-m", "mypy", "--no-incremental", "--cache-dir", str(path.parent)]
    done = subprocess.run([*mypy, *options, str(path)], capture_output=True, text=True, cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_a_users_strict_checker_is_content_and_sees_a_mistake(tmp_path):
    user = tmp_path / "user.py"
    user.write_text(USER)
    subprocess.run([sys.executable, str(user)], check=True, capture_output=True, cwd=ROOT)
    assert checked(user, "--strict") == (0, "Success: no issues found in 1 source file\n")
    user.write_text(USER + 'krum([[1.0]], f="three")\n')
    code, said = checked(user, "--strict")
    assert code == 1 and "user.py:17: error" in said


# --- the wheel: what it carries; its book can be read away from the checkout -----------------


def test_the_command_says_where_the_book_lies(capsys):
    package.main([])
    said = capsys.readouterr().out
    assert f"byzlib {__version__}" in said and str(ROOT / "notebooks") in said


def read_by_chapters():
    """Files that some chapter opens, seen from notebooks/."""
    found = set()
    for path in execute.chapters(ROOT):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                found |= set(re.findall(r'"([\w./]+\.(?:csv|toml|bib))"', cell.source))
    return found


def test_a_copy_holds_all_that_chapters_read_and_writes_nothing_over(tmp_path, capsys):
    package.main(["copy", str(tmp_path / "mine")])
    assert capsys.readouterr().out.startswith("jupyter lab ")
    names = {path.name for path in (tmp_path / "mine/notebooks").glob("*.ipynb")}
    assert names == {path.name for path in execute.chapters(ROOT)}
    wanted = read_by_chapters()
    assert len(wanted) > 5
    for file in wanted:
        assert (tmp_path / "mine/notebooks" / file).is_file(), file
    first = tmp_path / "mine/notebooks/00_start_here.ipynb"
    first.write_text("mine now")
    with pytest.raises(SystemExit, match="is there already"):
        package.copy(tmp_path / "mine")
    assert first.read_text() == "mine now"


def test_a_chapter_taken_from_the_site_gets_what_it_reads(tmp_path, monkeypatch):
    """In a folder of its own, by its first cell; without byzlib that says where to get it."""
    chapter = tmp_path / "C_alone.ipynb"
    chapter.write_text(site_parts.alone(ROOT / "notebooks/C_claims_of_the_chapter.ipynb"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    execute.run(chapter)
    assert (tmp_path / "byzlib-book/notebooks/claims.toml").is_file()
    monkeypatch.delenv("BYZLIB_REPOSITORY", raising=False)
    assert "pip install FOLDER" in site_parts.how()
    monkeypatch.setenv("BYZLIB_REPOSITORY", "https://github.com/you/book/")
    assert site_parts.how().endswith('"byzlib @ git+https://github.com/you/book"')


def run(*command, **options):
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([*map(str, command)], env=bare, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_alone_is_enough(tmp_path):
    """README's code, the command and a chapter run with byzlib from a wheel alone."""
    source = tmp_path / "source"
    tracked = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    for name in filter(None, tracked):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip"]
    build = ["wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", tmp_path, source]
    run(*pip, *build)
    (wheel,) = tmp_path.glob("byzlib-*.whl")
    bare = tmp_path / "bare"
    venv.create(bare, with_pip=False)
    python = bare / ("bin/python" if os.name == "posix" else "Scripts/python.exe")
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel)
    # The other packages are borrowed by their path; this checkout's byzlib is not on it.
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    Path(site, "borrowed.pth").write_text(str(Path(nbformat.__file__).parent.parent) + "\n")
    there = run(python, "-m", "byzlib", cwd=tmp_path)
    assert str(bare.resolve()) in there and str(ROOT) not in there
    run(python, "-m", "byzlib", "copy", "mine", cwd=tmp_path)
    run(python, "-c", blocks("python")[0], cwd=tmp_path)
    chapter = tmp_path / "mine/notebooks/C_claims_of_the_chapter.ipynb"
    cells = nbformat.read(chapter, as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    run(python, "-c", "import matplotlib; matplotlib.use('agg')\n" + code, cwd=chapter.parent)
