"""Execute every chapter from scratch and build the reading site: `make book`.

What has not changed since the last time is neither executed nor built again.

Usage: python -m notebooks.build_site [FOLDER]
"""

import copy
import datetime
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def book(root=ROOT, build="_build"):
    """Build the book into a folder and print the path of its first page."""
    build = own(root / build)
    page, record = build / "html/index.html", build / "record.json"
    done = json.loads(record.read_text()) if record.exists() else {}
    needs = changing(root)
    if done != needs or not page.exists():
        execute_changed(root, build / "executed", record, done, needs)
        print("building the pages", file=sys.stderr)
        names = [name for name in needs if name != "site"]
        build_pages([build / "executed" / name for name in names], build)
        record.write_text(json.dumps(needs, indent=1))
    print(page)


def own(build):
    """A folder, made if need be, that holds a book or nothing."""
    other = "name another place: make book BUILD=/another/place/site"
    try:
        build.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in build.iterdir()} - {".gitignore"}
        if names and not names & {"executed", "record.json"}:
            sys.exit(f"{build} holds {min(names)}; {other}")
        (build / ".gitignore").write_text("*\n")
    except OSError as error:
        sys.exit(f"{build} cannot be written ({error.strerror}); {other}")
    return build


def changing(root):
    """A digest of all that each chapter, and the site, is made from."""
    notebooks = root / "notebooks"
    common = of_files(
        root,
        [
            *(root / "byzlib").rglob("*"),
            *notebooks.glob("*.py"),
            root / "constraints.txt",
        ],
    )
    needs = {
        path.name: digest(common, cells(path))
        for path in sorted(notebooks.glob("*.ipynb"))
    }
    pages = [
        path
        for path in notebooks.rglob("*")
        if path.suffix != ".ipynb" or path.parent.name == "exercises"
    ]
    needs["site"] = digest(*needs.values(), of_files(root, pages))
    return needs


def execute_changed(root, executed, record, done, needs):
    """Execute the chapters that changed; each is remembered when it ends."""
    from notebooks import execute  # slow to import, and seldom needed

    def keep(path, notebook):
        execute.write(executed / path.name, execute.text_of(notebook))
        done[path.name] = needs[path.name]
        record.write_text(json.dumps(done, indent=1))

    changed = [
        path
        for path in execute.chapters(root)
        if done.get(path.name) != needs[path.name]
        or not (executed / path.name).exists()
    ]
    took = execute.run_all(changed, keep)
    times = executed.parent / "times.json"
    known = json.loads(times.read_text()) if times.exists() else {}
    today = datetime.date.today().isoformat()
    known |= {name: [seconds, today] for name, seconds in took.items()}
    times.write_text(json.dumps(known, indent=1))


def of_files(root, paths):
    kept = {path.relative_to(root): path for path in paths if path.is_file()}
    passing = re.compile(r"\.|__pycache__$|student$")
    return digest(
        *(
            f"{name} {path.read_bytes()}"
            for name, path in sorted(kept.items())
            if not any(map(passing.match, name.parts))
        )
    )


def cells(path):
    """What a notebook says and does, without what came out."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return json.dumps(
        [[cell["cell_type"], cell["source"]] for cell in notebook["cells"]]
    )


def digest(*texts):
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def build_pages(executed, build, root=ROOT):
    """Turn executed notebooks and the Markdown beside them into pages."""
    import nbformat

    from notebooks import execute, make_exercises, site_parts

    for old in ("notebooks", "figures", "doctrees", "html"):
        shutil.rmtree(build / old, ignore_errors=True)
    source = build / "notebooks"
    skip = shutil.ignore_patterns("*.ipynb", "*.py", "student", ".*", "__*")
    shutil.copytree(root / "notebooks", source, ignore=skip)
    shutil.copy(root / "notebooks/conf.py", source)
    for name, content in execute.figures_folder(executed).items():
        execute.write(build / "figures" / name, content)
    pages = site_parts.library_pages() if root == ROOT else {}
    for name, text in pages.items():
        execute.write(source / "api" / name, text)
    teachers_page(root, source)
    times = run_times(executed, build, site_parts.repository())
    execute.write(source / "run_times.md", times)
    pages = {source / path.name: (path, described) for path in executed}
    for path in execute.exercises(root):
        page = source / "exercises/student" / path.name
        pages[page] = path, make_exercises.student
    for page, (path, shown) in pages.items():
        notebook = shown(nbformat.read(path, as_version=4))
        execute.write(page, execute.text_of(notebook))
    command = [sys.executable, "-m", "sphinx", "-b", "html"]
    strict = ["-W", "--keep-going", "-n", "-q"]
    places = ["-d", build / "doctrees", source, build / "html"]
    done = subprocess.run([*command, *strict, *map(str, places)])
    if done.returncode:
        sys.exit("The pages have the faults listed above.")
    for page in (build / "html/_sources").glob("*.ipynb"):
        execute.write(page, site_parts.alone(page))


def teachers_page(root, source):
    """The page of course/ for the site, and the link that leads to it."""
    page, readme = root / "course/README.md", source / "exercises/README.md"
    if page.exists():
        text = page.read_text("utf-8").replace("](../notebooks/", "](")
        (source / "teaching.md").write_text(text, "utf-8")
        text = readme.read_text("utf-8")
        text = text.replace("../../course/README.md", "../teaching.md")
        readme.write_text(text, "utf-8")


NO_BUTTONS = """\
There are no buttons to edit a chapter, to report a mistake or to launch it,
because this site was built without `BYZLIB_REPOSITORY`, the address of its
source."""


def run_times(executed, build, repository):
    """A page: when each chapter was executed, and how long that took."""
    times = build / "times.json"
    known = json.loads(times.read_text()) if times.exists() else {}
    lines = ["---", "orphan: true", "---", "", "# Run times", ""]
    lines += ["Each was executed for this site.", ""]
    lines += ["| chapter | seconds | executed on |", "|---|---|---|"]
    for path in executed:
        seconds, day = known.get(path.name, (None, "not for this site"))
        shown = "" if seconds is None else f"{seconds:.0f}"
        lines.append(f"| [{path.stem}]({path.name}) | {shown} | {day} |")
    if not repository:
        lines += ["", NO_BUTTONS]
    return "\n".join([*lines, ""])


def described(notebook):
    """A copy whose pictures carry their description to the page."""
    page = copy.deepcopy(notebook)
    for cell in page.cells:
        for output in cell.get("outputs", []):
            marks = output.get("metadata", {}).get("image/png", {})
            if "alt" in marks:
                cell.metadata["mystnb"] = {"image": {"alt": marks["alt"]}}
    return page


if __name__ == "__main__":
    book(ROOT, *sys.argv[1:])
