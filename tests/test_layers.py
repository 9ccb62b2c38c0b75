"""The house is read from the ground up: a room imports only rooms above it in this list."""

import ast
from pathlib import Path

import pytest

import byzlib

ROOT = Path(byzlib.__file__).parent
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
FILES = {path.relative_to(ROOT).as_posix(): path for path in ROOT.rglob("*.py")}


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
    top = {p.stem for p in ROOT.iterdir() if not p.name.startswith("__")}
    assert top == set(ABOVE) == set(byzlib.ROOMS)


@pytest.mark.parametrize("file", FILES)
def test_imports_point_up_the_list(file):
    room = file.split("/")[0].removesuffix(".py")
    if room != "__init__":
        rooms, private = imports_of(FILES[file])
        assert rooms <= {*ABOVE[room], room}
        assert private <= {room}, f"{file} reaches into another room's private modules"


def test_the_check_can_fail(tmp_path):
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
