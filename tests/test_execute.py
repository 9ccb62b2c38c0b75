"""Executing and saving: one canonical form, the same bytes twice, faults told in a sentence."""

import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from notebooks import build_site
from notebooks.execute import canonical, chapters, save, text_of

DOT = (  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M/wHwAEBgIApD5fRAAAAABJRU5ErkJggg=="
)
DRAW = f"""\
marks = {{{{"alt": "One axis without anything in it, and it is small.", "name": "{{}}"}}}}
display({{{{"image/png": "{DOT}"}}}}, raw=True, metadata={{{{"image/png": marks}}}})
"""


def tree(root, **sources):
    """A book of chapters with one code cell each."""
    (root / "notebooks/exercises").mkdir(parents=True)
    (root / "figures").mkdir()
    (root / "byzlib").mkdir()
    (root / "constraints.txt").write_text("", encoding="utf-8")
    for name, source in sources.items():
        cells = [new_markdown_cell("# A title"), new_code_cell(source)]
        path = root / f"notebooks/{name.removeprefix('c')}.ipynb"
        nbformat.write(new_notebook(cells=cells), path)
    return root


def files(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_canonical_form_forgets_clock_machine_and_chance():
    cell = new_code_cell("print(1)", execution_count=1)
    cell.metadata = {"execution": {"iopub": "now"}, "tags": ["hide-input"], "collapsed": True}
    streams = [("stdout", "a\n"), ("stdout", "b\n"), ("stderr", "c\n"), ("stdout", "d\n")]
    cell.outputs = [new_output("stream", name=name, text=text) for name, text in streams]
    metadata = {
        "language_info": {"name": "python", "version": "3.11.7"},
        "kernelspec": {"name": "conda", "display_name": "my own"},
    }
    kept = canonical(new_notebook(cells=[cell], metadata=metadata), "03")
    assert kept.cells[0].id == "03-00" and kept.cells[0].metadata == {"tags": ["hide-input"]}
    assert kept.metadata.language_info == {"name": "python"}
    assert kept.metadata.kernelspec.name == "python3"
    assert [o.text for o in kept.cells[0].outputs] == ["a\nb\n", "c\n", "d\n"]
    assert text_of(canonical(kept, "03")) == text_of(kept) and text_of(kept).endswith("}\n")
    assert len(cell.outputs) == 4  # what was given is not changed


def test_saving_twice_leaves_the_same_bytes_and_the_figures(tmp_path):
    root = tree(tmp_path, c03_draw=DRAW.format("03_axis"), c04_say="print(2)")
    (root / "figures/02_old.png").write_bytes(b"stale")
    save(root=root)
    first = files(root)
    assert {path.name for path in first if path.parent.name == "figures"} == {
        "03_axis.png",
        "README.md",
    }
    readme = (root / "figures/README.md").read_text(encoding="utf-8")
    assert "[03_draw](../notebooks/03_draw.ipynb) | One axis without" in readme
    save(["03"], root=root)
    assert files(root) == first
    with pytest.raises(SystemExit, match="no chapter 05"):
        save(["05"], root=root)


def test_a_failing_chapter_is_named_with_cell_and_error_and_nothing_is_saved(tmp_path):
    root = tree(tmp_path, c03_good="print(1)", c04_bad="x = 1\nx / 0  # oh\n")
    before = files(root)
    with pytest.raises(SystemExit) as stop:
        save(root=root)
    message = str(stop.value.code)
    assert "04_bad, cell [1]: ZeroDivisionError: division by zero\n    x / 0  # oh" in message
    assert "03_good" not in message and files(root) == before


def test_book_executes_only_what_changed(tmp_path, monkeypatch, capsys):
    root = tree(tmp_path, c03_one="print(1)", c04_two="print(2)")
    (root / "notebooks/conf.py").write_text("", encoding="utf-8")
    built = []

    def build_pages(executed, build):
        built.append([nbformat.read(path, 4).cells[1].outputs[0].text for path in executed])
        (build / "html").mkdir(exist_ok=True)
        (build / "html/index.html").write_text("", encoding="utf-8")

    monkeypatch.setattr(build_site, "build_pages", build_pages)
    build_site.book(root)
    assert built == [["1\n", "2\n"]]
    assert capsys.readouterr().out == f"{root / '_build/html/index.html'}\n"

    stored = (root / "_build/executed/03_one.ipynb").stat()
    build_site.book(root)
    assert len(built) == 1 and "executing" not in capsys.readouterr().err

    path = root / "notebooks/04_two.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("print(2)", "print(3)"), "utf-8")
    build_site.book(root)
    assert built[-1] == ["1\n", "3\n"]
    assert (root / "_build/executed/03_one.ipynb").stat() == stored
    assert "03_one" not in capsys.readouterr().err

    # A new picture or output in the stored chapter changes nothing; the library does.
    known = build_site.changing(root)
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["cells"][1]["execution_count"] = 7
    path.write_text(json.dumps(notebook), encoding="utf-8")
    assert build_site.changing(root) == known
    (root / "byzlib/krum.py").write_text("", encoding="utf-8")
    assert not set(known.items()) & set(build_site.changing(root).items())


def test_a_failing_chapter_keeps_the_others_of_the_run(tmp_path):
    root = tree(tmp_path, c03_good="print(1)", c04_bad="1 / 0")
    with pytest.raises(SystemExit, match="04_bad"):
        build_site.book(root)
    record = json.loads((root / "_build/record.json").read_text(encoding="utf-8"))
    assert set(record) == {"03_good.ipynb"} and len(chapters(root)) == 2
