"""How a stored output and a new one are compared, for nbval and for everything else here.

Words and whole numbers must be equal; decimals may differ by one unit of the last printed digit,
because other processors add in another order; pictures must look the same.
"""

import base64
import functools
import importlib.metadata
import io
import json
import os
import re
import signal
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from nbval.plugin import IPyNbCell, IPyNbFile
from PIL import Image, ImageChops, ImageFilter

# What a shell may tell Python, but for where modules are and in what letters.
TOLD = re.compile(r"PYTHON(?!PATH$|HOME$|UTF8$)|MPLBACKEND$|MATPLOTLIBRC$")


def pytest_configure(config):
    """Nothing that a shell holds changes what tests, and the kernels that they start, do."""
    if sys.flags.optimize:
        raise pytest.UsageError("Python leaves assertions out: unset PYTHONOPTIMIZE, or no -O")
    for name in filter(TOLD.match, list(os.environ)):
        del os.environ[name]
    if not lives_somewhere():
        home = tempfile.TemporaryDirectory()
        config.add_cleanup(home.cleanup)
        os.environ["HOME"] = home.name


def pytest_runtest_setup():
    """What tests start hears Ctrl-C, also where they were told not to: in a script's background.

    Children inherit that a signal is ignored, but no handler, even one that does nothing.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda *_: None)


def lives_somewhere():
    """Is there a home folder, and may one write in it? Jupyter and Matplotlib need one."""
    try:
        return Path.home().is_dir() and os.access(Path.home(), os.W_OK)
    except RuntimeError:
        return False


# The same examples in every run, and no clock that decides.
hypothesis.settings.register_profile("book", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("book")

DECIMAL = re.compile(
    r"(?:(?<![\w.)])[-+])?"  # a sign, not the dash of a range
    r"(?:\d{1,3}(?:,\d{3})+|\d+)\.\d+"
    r"(?:[eE][-+]?\d+)?"
)
PICTURE = re.compile(r"(?:data:image/png;base64,)?(iVBORw0KGgo[A-Za-z0-9+/=\n]+)")
ROUNDED = 12  # more digits than this were printed by no one on purpose


def same(stored, new):
    """Do two outputs, of text that may hold pictures, say the same?"""
    old_pictures, new_pictures = PICTURE.findall(stored), PICTURE.findall(new)
    return (
        len(old_pictures) == len(new_pictures)
        and same_text(PICTURE.sub("(picture)", stored), PICTURE.sub("(picture)", new))
        and all(map(same_picture, old_pictures, new_pictures))
    )


def same_text(stored, new):
    """Equal words and whole numbers, decimals within the last printed digit, blanks free."""
    words, new_words = (" ".join(DECIMAL.sub(" # ", text).split()) for text in (stored, new))
    return words == new_words and all(
        map(same_decimal, DECIMAL.findall(stored), DECIMAL.findall(new))
    )


def same_decimal(stored, new):
    """Within one unit of the last printed digit; within 1e-6 where nobody rounded."""
    (a, unit, places), (b, new_unit, new_places) = map(printed, (stored, new))
    if max(len(x.as_tuple().digits) for x in (a, b)) > ROUNDED:
        return abs(a - b) <= Decimal("1e-6") * max(abs(a), abs(b))
    return abs(a - b) <= (max(unit, new_unit) if places == new_places else 0)


def printed(text):
    """A number, the unit of its last printed digit, and the digits printed after the point."""
    number = Decimal(text.replace(",", ""))
    places = len(re.search(r"\.(\d+)", text)[1])
    return number, Decimal(1).scaleb(number.as_tuple().exponent), places


def same_picture(stored, new):
    """Do two PNGs, in base64, show the same?

    With the matplotlib of constraints.txt, which drew the stored picture, every pixel must occur
    within one pixel of its place. Another one sets its letters elsewhere: there a picture may
    have some pixels, of letters, that do not occur within seven.
    """
    if stored == new:
        return True
    a, b = (opaque(text) for text in (stored, new))
    if importlib.metadata.version("matplotlib") == pinned_matplotlib():
        return a.size == b.size and strange_pixels(a, b, reach=1, contrast=32) == 0
    size = tuple(map(min, a.size, b.size))
    if any(abs(x - y) > 0.03 * x for x, y in zip(a.size, b.size, strict=True)):
        return False
    a, b = (picture.crop((0, 0, *size)) for picture in (a, b))
    return strange_pixels(a, b, reach=7, contrast=64) <= size[0] * size[1] / 2000


def opaque(text):
    """The picture on white."""
    picture = Image.open(io.BytesIO(base64.b64decode(text))).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def strange_pixels(a, b, reach, contrast):
    """How many pixels of either picture differ by more than `contrast` from all near ones?"""
    return max(outside(a, b, reach, contrast), outside(b, a, reach, contrast))


def outside(a, b, reach, contrast):
    darkest = brightest = a
    for _ in range(reach):
        darkest = darkest.filter(ImageFilter.MinFilter(3))
        brightest = brightest.filter(ImageFilter.MaxFilter(3))
    beyond = ImageChops.lighter(ImageChops.subtract(darkest, b), ImageChops.subtract(b, brightest))
    return int((np.asarray(beyond) > contrast).any(axis=-1).sum())


@functools.cache
def pinned_matplotlib():
    constraints = Path(__file__).with_name("constraints.txt").read_text()
    return re.search(r"^matplotlib==([\w.]+)", constraints, re.MULTILINE)[1]


class Output(str):
    """A text that equals another when both say the same; nbval compares with != alone."""

    __slots__ = ()

    def __eq__(self, other):
        return same(str(self), str(other))

    def __ne__(self, other):
        return not self == other

    __hash__ = str.__hash__


def comparable(cell, value):
    """What nbval compares of one part of an output: its text, or the names of its pictures."""
    if isinstance(value, str):
        return Output(value)
    if isinstance(value, dict):
        picture = value.get("image/png", {})
        return json.dumps({key: picture[key] for key in ("name", "alt") if key in picture})
    return value


def compare_pictures_too(notebook, *args, _init=IPyNbFile.__init__, **kwargs):
    """nbval leaves pictures, and what is said of them, out of the comparison."""
    _init(notebook, *args, **kwargs)
    unseen = {"image/png", "metadata"}
    notebook.skip_compare = tuple(key for key in notebook.skip_compare if key not in unseen)


def refuse_stripped(cell, _runtest=IPyNbCell.runtest):
    if cell.cell.execution_count is None:
        cell.raise_cell_error("The stored notebook was not executed: make notebooks")
    _runtest(cell)


IPyNbCell.runtest = refuse_stripped
IPyNbCell.sanitize = comparable
IPyNbFile.__init__ = compare_pictures_too
