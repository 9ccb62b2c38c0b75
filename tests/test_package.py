"""The wheel: what it carries, and that its book can be copied and read away from the checkout."""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import nbformat
import pytest

import byzlib.__main__ as package
from byzlib import __version__
from notebooks import execute, site_parts
from tests.test_project import blocks

ROOT = Path(__file__).parent.parent


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
