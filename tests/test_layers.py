"""The library is read from the ground up: a module imports only modules below it in the house."""

import ast
from pathlib import Path

import pytest

import byzlib

ROOT = Path(byzlib.__file__).parent
SHARED = ["_threads", "_contract"]
WINGS = {
    "rules": [
        "_networks",
        "_order",
        "_distances",
        "_weiszfeld",
        "_subsets",
        "preaggregators",
        "centers",
        "aggregators",
        "_lies",
        "crafted",
        "worst_case",
        "schedules",
        "poisoning",
        "attacks",
        "theory",
    ],
    "learning": ["model", "metrics", "clients", "history", "_stacks", "_rounds", "federated"],
    "market": [
        "_bybit_errors",
        "_candle_times",
        "_bybit_wire",
        "_bybit_http",
        "_bybit_request",
        "_candle_file",
        "candle_store",
        "_bybit_pages",
        "bybit",
        "_tape",
        "_planted",
        "market",
        "_splits",
        "features",
        "_alarms",
        "_backtests",
        "risk",
    ],
}
MEETING = ["experiments", "trials", "results", "plotting", "tables", "checks"]


def imports_of(path):
    """Names of the byzlib modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "byzlib":
            parts = node.module.split(".")[1:]
            found |= {parts[0]} if parts else {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("byzlib.")}
    return found


def allowed(module):
    for names in WINGS.values():
        if module in names:
            return {*SHARED, *names[: names.index(module)]}
    if module in SHARED:
        return set(SHARED[: SHARED.index(module)])
    if module in MEETING:
        below = MEETING[: MEETING.index(module)]
        return {*SHARED, *below, *(name for names in WINGS.values() for name in names)}
    return set()


FILES = {
    path.relative_to(ROOT).with_suffix("").as_posix(): path
    for path in [*ROOT.glob("*.py"), *ROOT.glob("checks/*.py")]
    if path.parent != ROOT or path.stem != "__init__"
}
MODULES = sorted(FILES)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downward(module):
    path, (module, _, inner) = FILES[module], module.partition("/")
    assert module in {*SHARED, *MEETING, *(n for names in WINGS.values() for n in names)}
    itself = {module} if inner else set()
    upward = imports_of(path) - allowed(module) - itself - {"datasets", "__version__"}
    assert not upward, f"{module} imports {upward}"


def test_the_check_can_fail(tmp_path):
    bad = tmp_path / "krum.py"
    bad.write_text("from byzlib.federated import ByzantineFL\nimport byzlib.risk\n")
    assert imports_of(bad) == {"federated", "risk"}
    assert "federated" not in allowed("aggregators") and "clients" in allowed("federated")


@pytest.mark.parametrize("module", [m for m in MODULES if "_form" in m or not m.startswith("_")])
def test_public_functions_are_described(module):
    tree = ast.parse(FILES[module].read_text())
    assert ast.get_docstring(tree), f"{module} says nothing of itself"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{module}.{node.name} has no docstring"
