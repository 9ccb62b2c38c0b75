"""The book's claims hold under other floats and seeds, and fail where the library is wrong.

A small piece of `make test-portable`, and of `python -m tests.planted_errors`, which is the last
part of `make test-all`.
"""

import re

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from notebooks.execute import canonical, chapters, exercises, number
from tests import planted_errors as machine
from tests import portable
from tests.planted_list import ERRORS, wronged
from tests.player import play
from tests.portable import DRAWN, ROOT, Variant, play_all

AS_STORED = Variant("as stored")
JITTER = Variant("jitter", perturbed={"jitter": 1e-14})
SHIFT = Variant("seeds", perturbed={"shift": 1000}, compare=False)

# A map that doubles every error sixty times; a mean of four draws that seed 11 puts above zero.
CHAOTIC = "x = rng.random()\nfor _ in range(60):\n    x = 4 * x * (1 - x)\nprint(f'{x:.2f}')"
LUCKY = "assert rng.standard_normal(4).mean() > 0"
SOUND = "print(f'{rng.standard_normal(10_000).mean():.1f}')"


def notebook(path, *sources, tags=()):
    """A notebook of these cells, stored with what they show; the last one carries the tags."""
    cells = [new_code_cell("import numpy as np\n\nrng = np.random.default_rng(11)")]
    cells += [new_code_cell(source) for source in sources]
    cells[-1].metadata["tags"] = list(tags)
    whole = canonical(new_notebook(cells=cells), "03")
    for cell, played in zip(whole.cells, play(whole, path.parent), strict=True):
        assert not played.error
        text = "".join(one.removeprefix("stdout\n") for one in played.shown)
        cell.outputs = [nbformat.v4.new_output("stream", text=text)] if text else []
    nbformat.write(whole, path)
    return str(path)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    return {
        "chaotic": notebook(folder / "chaotic.ipynb", CHAOTIC),
        "lucky": notebook(folder / "lucky.ipynb", LUCKY),
        "marked": notebook(folder / "marked.ipynb", LUCKY, tags=[DRAWN]),
        "sound": notebook(folder / "sound.ipynb", SOUND),
    }


def failures(variant, path):
    return play_all(variant, [path])[2]


def test_a_chaotic_cell_and_a_lucky_claim_are_caught(planted):
    (said,) = failures(JITTER, planted["chaotic"])
    assert "chaotic, code cell 1: " in said and "is stored" in said
    (said,) = failures(SHIFT, planted["lucky"])
    assert f"lucky, code cell 1: AssertionError at {LUCKY}" in said


@pytest.mark.parametrize(
    "variant, name",
    [(AS_STORED, "chaotic"), (JITTER, "lucky"), (SHIFT, "marked"), (JITTER, "sound")],
    ids=lambda one: getattr(one, "name", one),
)
def test_what_holds_passes(variant, name, planted):
    cells, drawn, failed = play_all(variant, [planted[name]])
    assert (cells, drawn, failed) == (2, name == "marked", [])


def test_a_mark_excuses_nobody_from_comparison(planted):
    path = planted["marked"]
    changed = nbformat.read(path, as_version=4)
    changed.cells[1].source = "assert rng.standard_normal(4).mean() < 0"
    nbformat.write(changed, path.replace("marked", "changed"))
    assert failures(AS_STORED, path.replace("marked", "changed"))


@pytest.mark.slow  # `make test-portable` asks all of them
@pytest.mark.parametrize("variant", [JITTER, SHIFT], ids=lambda one: one.name)
def test_a_chapter_holds(variant):
    (path,) = [path for path in chapters(ROOT) if number(path) == "02"]
    cells, _, failed = play_all(variant, [str(path)])
    assert cells > 20 and failed == []


def test_few_cells_show_one_drawn_example():
    marked = [
        f"{path.stem}: {cell.source.splitlines()[0]}"
        for path in chapters(ROOT) + exercises(ROOT)
        for cell in nbformat.read(path, as_version=4).cells
        if DRAWN in cell.metadata.get("tags", ())
    ]
    assert len(marked) <= 12, marked


def test_the_table_tells_and_the_status_too(planted, monkeypatch, capsys):
    monkeypatch.setattr(portable, "variants", lambda: ([AS_STORED, SHIFT], ["Zen (runs as x)"]))
    monkeypatch.setattr(portable, "run", play_all)
    monkeypatch.setattr(portable, "notebooks", lambda only: [planted["lucky"], planted["sound"]])
    assert portable.main([]) == 1
    told = capsys.readouterr().out
    rows = {line[:20].strip(): line[20:].split() for line in told.splitlines()}
    assert rows["as stored"][:3] == ["4", "0", "0"] and rows["seeds"][:3] == ["4", "0", "1"]
    assert "Zen (runs as x)" in told and "seeds: " in told and LUCKY in told
    assert portable.main(["--variants", "stored"]) == 0
    with pytest.raises(SystemExit):
        portable.main(["--variants", "nothing"])


def test_variants_are_run_in_processes_of_their_own(planted):
    """What cannot be run is a failure, not passed over."""
    assert portable.run(AS_STORED, [planted["sound"]]) == [2, 0, []]
    for name, python in (("no python", "no-such-python"), ("no NumPy", "false")):
        _, _, (said,) = portable.run(Variant(name, python=python), [planted["sound"]])
        assert f"{name} could not be run" in said


# --- the hook --------------------------------------------------------------------------------


@pytest.fixture
def hooked(monkeypatch):
    monkeypatch.setattr(np.random, "default_rng", np.random.default_rng)
    return portable.install


def test_jitter_moves_floats_a_little_and_always_alike(hooked):
    plain = np.random.default_rng(5)
    drawn = plain.standard_normal(100), plain.integers(9, size=50), plain.uniform(2, 3, (4, 2))
    hooked(jitter=1e-12)
    for _ in range(2):
        rng = np.random.default_rng(5)
        assert isinstance(rng, np.random.Generator) and np.random.default_rng(rng) is rng
        moved = rng.standard_normal(100), rng.integers(9, size=50), rng.uniform(2, 3, (4, 2))
        for old, new in zip(drawn, moved, strict=True):
            assert np.allclose(old, new, rtol=1e-12, atol=0)
        assert (drawn[0] != moved[0]).mean() > 0.9 and np.array_equal(drawn[1], moved[1])


def test_shift_moves_every_whole_number_of_a_seed(hooked):
    expected = np.random.default_rng(1005).random(), np.random.default_rng([1001, 1002]).random()
    given = np.random.default_rng(7)
    hooked(shift=1000)
    assert np.random.default_rng(5).random() == expected[0]
    assert np.random.default_rng([1, 2]).random() == expected[1]
    assert np.random.default_rng(given) is given


def test_every_way_to_draw_a_float_is_moved(hooked):
    """A method of NumPy's generator that hands out floats, and is not known here, would hide."""
    rng = np.random.default_rng(0)
    known = {*portable.FLOATS, "spawn", "bytes", "shuffle", "permutation", "permuted", "choice"}
    whole = {"integers", "poisson", "binomial", "geometric", "hypergeometric", "multinomial"}
    whole |= {"negative_binomial", "logseries", "zipf", "multivariate_hypergeometric"}
    public = {name for name in dir(rng) if not name.startswith("_")} - {"bit_generator"}
    assert public - known - whole == set()


# --- the claims can fail: errors planted in the library turn chapters and tests red -------------


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return machine.copy(tmp_path_factory.mktemp("planted") / "tree")


def test_there_are_enough_errors_of_many_kinds():
    assert len({error.what for error in ERRORS}) == len(ERRORS) >= 60
    assert len({error.name for error in ERRORS}) >= 35


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.what)
def test_what_an_error_names_exists(error):
    file, name = machine.home(error.name)
    text = machine.planted_text(error.what, name, (machine.ROOT / file).read_text("utf-8"))
    compile(text, file, "exec")
    assert text.count("wronged(") == 1
    for test in error.tests.split():
        file, _, function = test.partition("::")
        text = (machine.ROOT / "tests" / file).read_text(encoding="utf-8")
        defined = f"^def {function}[(]" if function else "^def test_"
        assert re.search(defined, text, re.MULTILINE), test
    for one in error.chapters.split():
        assert len(list(machine.chapter(machine.ROOT, one))) == 1, one
    assert error.tests


def test_the_copy_is_whole_again_after_an_error(tree):
    plant = machine.Plant(ERRORS[0], tree)
    with pytest.raises(KeyError), plant:
        assert plant.path.read_text("utf-8") != plant.sound
        raise KeyError
    assert plant.path.read_text("utf-8") == plant.sound


def test_a_wrong_version_looks_like_the_right_one():
    def krum(updates, f, *, return_weights=False):
        """Right."""
        return (updates[f], [1]) if return_weights else updates[f]

    lying = wronged("Krum counts a neighbour too many", krum)
    assert lying.__doc__ == "Right." and lying.__wrapped__ is krum
    assert lying("abc", 2) == "b" and lying("abc", f=2, return_weights=True) == ("b", [1])


def test_another_byzlib_is_no_answer(tmp_path):
    with pytest.raises(RuntimeError, match="00 could not be asked"):
        machine.fails(tmp_path, "00")
