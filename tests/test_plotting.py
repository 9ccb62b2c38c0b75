"""Figures: one look per rule, a description on each picture, the same bytes twice."""

import base64
import io

import matplotlib
import numpy as np
import pytest
from PIL import Image

from byzlib import plotting
from byzlib.aggregators import RULES

matplotlib.use("Agg")
plt = matplotlib.pyplot


@pytest.fixture
def shown(monkeypatch):
    """What `display` was asked to show; no figure of another test is open."""
    plt.close("all")
    calls = []
    monkeypatch.setattr(plotting, "display", lambda *args, **kwargs: calls.append((args, kwargs)))
    return calls


def drawing(slope=1):
    plotting.style()
    fig, ax = plt.subplots()
    ax.plot([0, 1], [0, slope], **plotting.look("Krum"))
    return fig


def test_every_rule_has_its_own_look():
    unseen = set(RULES) - set(plotting.LOOK)
    assert not unseen, f"give {unseen} a colour, marker and dash in LOOK in byzlib/plotting.py"
    for part in range(3):
        parts = [look[part] for look in plotting.LOOK.values()]
        assert len(set(map(str, parts))) == len(parts)
    with pytest.raises(ValueError, match="no look for 'Kram'; there are mean, Krum"):
        plotting.look("Kram")


def test_show_displays_a_named_described_picture(shown):
    plotting.show(drawing(), "02_a_line", "A line that rises from zero to one.")
    (bundle,), options = shown[0]
    assert bundle["text/plain"] == "A line that rises from zero to one."
    assert options["metadata"]["image/png"] == {
        "alt": "A line that rises from zero to one.",
        "name": "02_a_line",
    }
    picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert picture.format == "PNG" and picture.width > 600
    assert "Software" not in picture.info
    assert not plt.get_fignums()


def test_the_same_figure_has_the_same_bytes(shown):
    for _ in range(2):
        plotting.show(drawing(), "02_a_line", "A line that rises from zero to one.")
    assert shown[0] == shown[1]


def test_slider_holds_one_described_picture_a_value(shown):
    figures = {slope: drawing(slope) for slope in (1, 2, 3)}
    alt = "A line of slope {} & more".format
    plotting.slider(figures.get, figures, "slope {}".format, alt, "How <steep>", 1)
    page = shown[0][0][0].data
    assert all(type(f.get_layout_engine()).__name__ == "ConstrainedLayoutEngine"
               for f in figures.values())  # fmt: skip
    assert page.count("data:image/png;base64,") == page.count("alt=") == 3
    assert 'max="2" value="1"' in page and page.count(" hidden>") == 2
    assert "slope 2 &amp; more" in page
    assert page.count("How &lt;steep&gt;") == 2 and 'aria-valuetext="slope 2"' in page
    assert not plt.get_fignums()


def test_names_stand_on_lines_in_their_colour():
    fig = drawing()
    label = plotting.name_line(fig.axes[0], "Krum", 0.5, 0.5)
    assert label.get_text() == "Krum" and label.get_color() == plotting.LOOK["Krum"][0]
    plt.close(fig)


def test_looks_are_told_apart_by_colour_blind_readers():
    """Okabe and Ito's palette: every two colours differ clearly in simulated deuteranopia."""
    to_deuteranope = np.array(
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
    )
    colours = np.array([matplotlib.colors.to_rgb(look[0]) for look in plotting.LOOK.values()])
    seen = colours @ to_deuteranope.T
    gaps = np.linalg.norm(seen[:, None] - seen, axis=-1) + np.eye(len(seen))
    assert gaps.min() > 0.15
