"""Re-execute the notebooks in place and renew figures/: `make notebooks`.

Usage: python -m notebooks.execute [NUMBER ...]
"""

import asyncio
import base64
import copy
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from joblib import Parallel, delayed
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from tqdm import tqdm

from notebooks import make_exercises

ROOT = Path(__file__).resolve().parent.parent
KERNEL = {
    "display_name": "Python 3 (ipykernel)",
    "language": "python",
    "name": "python3",
}
ANSI = re.compile(r"\x1b\[[0-9;]*m")
# What a shell may tell Python, but for where modules are and in what letters.
TOLD = re.compile(r"PYTHON(?!PATH$|HOME$|UTF8$)|MPLBACKEND$|MATPLOTLIBRC$")


def chapters(root=ROOT):
    return sorted((root / "notebooks").glob("*.ipynb"))


def exercises(root=ROOT):
    return sorted((root / "notebooks/exercises").glob("*.ipynb"))


def number(path):
    """What a chapter is called by: "03", or "A" for an appendix."""
    return path.stem.split("_")[0]


# --- one notebook ------------------------------------------------------------


def run(path, timeout=60):
    """Execute a notebook from scratch, in its folder; canonical form."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=timeout,  # of one cell, in seconds
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--IPKernelApp.log_level=40"],  # errors only
        resources={"metadata": {"path": str(path.parent)}},
    )
    asyncio.run(client.async_execute(env=environment()))
    return canonical(notebook, number(path))


def environment():
    """What a kernel is told; under PYTHONOPTIMIZE it would skip asserts."""
    return {
        name: value
        for name, value in os.environ.items()
        if not TOLD.match(name)
    }


def canonical(notebook, prefix):
    """The one form in which a notebook is kept: no clock, no machine."""
    kept = copy.deepcopy(notebook)
    kept.nbformat, kept.nbformat_minor = 4, 5
    language = {"name": "python"}
    kept.metadata = nbformat.from_dict(
        {"kernelspec": KERNEL, "language_info": language}
    )
    for i, cell in enumerate(kept.cells):
        cell.id = f"{prefix}-{i:02d}"
        marks = {
            key: cell.metadata[key]
            for key in ("nbgrader", "tags")
            if key in cell.metadata
        }
        if "hide-input" in marks.get("tags", []):
            marks["jupyter"] = {"source_hidden": True}  # for JupyterLab
        cell.metadata = nbformat.from_dict(marks)
        if cell.cell_type == "code":
            cell.outputs = join_streams(cell.outputs)
    return kept


def join_streams(outputs):
    """One text where the kernel happened to send several."""
    joined = []
    for output in outputs:
        last = joined[-1] if joined else {}
        if output.output_type == last.get("output_type") == "stream" and (
            output.name == last.name
        ):
            last.text += output.text
        else:
            joined.append(output)
    return joined


def text_of(notebook):
    return nbformat.writes(notebook) + "\n"


def write(path, content):
    """Write bytes or text, whole or not at all, and only where they differ."""
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".new")
    half.write_bytes(data)
    half.replace(path)


# --- many notebooks ----------------------------------------------------------


def run_all(paths, keep):
    """Execute two at a time and `keep(path, notebook)`; exit if one failed.

    Returns the seconds that each took, {name: seconds}.
    """
    failures, running, took = [], [], {}
    bar = tqdm(
        total=len(paths),
        disable=not paths,
        bar_format="executing {n}/{total} {bar:20} {elapsed}{postfix}",
    )

    def attempt(path):
        started = time.perf_counter()
        running.append(path.stem)
        bar.set_postfix_str(", ".join(running))
        try:
            keep(path, run(path))
            took[path.name] = seconds = time.perf_counter() - started
            bar.write(f"  {path.stem}: {seconds:.0f} s", sys.stderr)
        except Exception as error:  # a dead kernel or an endless cell, too
            failures.append(trouble(path, error))
        running.remove(path.stem)
        bar.set_postfix_str(", ".join(running))
        bar.update()

    with bar:
        two = Parallel(n_jobs=2, prefer="threads")
        two(delayed(attempt)(path) for path in paths)
    if failures:
        sys.exit("\n".join(["", *sorted(failures)]))
    return took


def trouble(path, error):
    """What a reader needs of a failed run: chapter, cell, line, error."""
    if not isinstance(error, CellExecutionError):
        return f"{path.stem}: {type(error).__name__}: {error}"
    trace = ANSI.sub("", error.traceback)
    where = re.search(r"^Cell In\[(\d+)\].*", trace, re.MULTILINE)
    line = re.search(r"^-+> *\d+ (.*)$", trace, re.MULTILINE)
    return "".join(
        [
            path.stem,
            f", cell [{where[1]}]" if where else "",
            f": {error.ename}: {error.evalue}",
            f"\n    {line[1].strip()}" if line else "",
        ]
    )


def save(only=(), root=ROOT):
    """Re-execute in place all notebooks, or those whose number is named."""
    paths = chapters(root) + exercises(root)
    if unknown := set(only) - {number(path) for path in paths}:
        sys.exit(f"There is no chapter {', '.join(sorted(unknown))}.")
    executed = {}
    chosen = [path for path in paths if not only or number(path) in only]
    run_all(chosen, executed.__setitem__)
    for path, notebook in executed.items():
        write(path, text_of(notebook))
    for kept in make_exercises.derive(root / "notebooks/exercises"):
        print(kept, file=sys.stderr)
    keep_figures(root)


# --- figures -----------------------------------------------------------------


def figures(notebook):
    """Every named picture of a notebook: (name, PNG bytes, description)."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            marks = output.get("metadata", {}).get("image/png", {})
            if "image/png" in output.get("data", {}) and "name" in marks:
                picture = base64.b64decode(output.data["image/png"])
                yield marks["name"], picture, marks.get("alt", "")


def figures_folder(paths):
    """What figures/ must hold: {file name: bytes}, with a README."""
    files, rows = {}, []
    for path in paths:
        folder = "exercises/" if path.parent.name == "exercises" else ""
        link = f"[{path.stem}](../notebooks/{folder}{path.name})"
        for name, png, alt in figures(nbformat.read(path, as_version=4)):
            if f"{name}.png" in files:
                raise ValueError(f"two figures are called {name}")
            files[f"{name}.png"] = png
            shown = alt.replace("|", r"\|")
            rows.append(f"| [{name}]({name}.png) | {link} | {shown} |")
    head = [
        "# Figures",
        "",
        "`make notebooks` writes this folder from the chapters' outputs.",
        "",
        "| picture | drawn in | what it shows |",
        "|---|---|---|",
    ]
    files["README.md"] = "\n".join([*head, *rows, ""]).encode()
    return files


def keep_figures(root=ROOT):
    """Make figures/ hold exactly the pictures of the stored notebooks."""
    files = figures_folder(chapters(root) + exercises(root))
    for name, content in files.items():
        write(root / "figures" / name, content)
    for picture in (root / "figures").glob("*.png"):
        if picture.name not in files:
            picture.unlink()


if __name__ == "__main__":
    save(sys.argv[1:])
