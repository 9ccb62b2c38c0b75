"""One look for every figure of the book: the same rule has the same colour, marker and dash."""

import base64
import html
import io

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML, display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's colours, then Tol's; told apart without colour by marker and dash.
LOOK = {
    "mean": ("#D55E00", "X", (0, (1, 1))),
    "Krum": ("#0072B2", "o", "-"),
    "multi-Krum": ("#56B4E9", "p", (0, (7, 2))),
    "trimmed mean": ("#009E73", "s", (0, (5, 1))),
    "median": ("#CC79A7", "D", (0, (3, 1, 1, 1))),
    "geometric median": ("#E69F00", "^", (0, (8, 1, 1, 1))),
    "Bulyan": ("#332288", "P", (0, (2, 2))),
    "mean around median": ("#999933", "<", (0, (4, 1, 1, 1, 1, 1))),
    "minimum diameter average": ("#661100", ">", (0, (10, 3))),
}
CLASSES = {"Down": "#0072B2", "Flat": "#999999", "Up": "#E69F00"}
# Clients are drawn in no rule's colour: honest ones as grey dots, liars as black triangles.
HONEST = {"color": "#7A8793", "marker": "o", "linestyle": "none", "label": "honest"}
LIAR = {"color": "#000000", "marker": "v", "markersize": 9, "linestyle": "none", "label": "liar"}
PRICE = "#44546A"

STYLE = {
    "figure.figsize": (7.0, 3.6),
    "figure.dpi": 144,
    "font.size": 10.5,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "legend.frameon": False,
}


def style():
    """Switch this session's figures to the look of the book."""
    plt.rcParams.update(STYLE)


def look(rule):
    """Keyword arguments of `plot` that draw a rule, a key of `LOOK`, as in the whole book."""
    if rule not in LOOK:
        raise ValueError(f"no look for {rule!r}; there are {', '.join(LOOK)}")
    colour, marker, dash = LOOK[rule]
    return {"color": colour, "marker": marker, "linestyle": dash, "label": rule}


def name_line(ax, rule, x, y, **text):
    """Write a rule's name on its line, in its colour, instead of in a legend."""
    return ax.text(x, y, rule, color=LOOK[rule][0], fontweight="bold", **text)


def draw_scores(found, title=""):
    """A figure with a panel a measure and a row a rule, in peace and under attack.

    found : dict of (rule, state) -> {measure: `metrics.Score`}, see `metrics.forecast_scores`.
    Marks of the first state are open, those of others filled: means and 95 % intervals over the
    runs, times a hundred. Grey is what knowing nothing scores, give or take the window's width.
    """
    rules, first = list(dict.fromkeys(rule for rule, _ in found)), next(iter(found))
    with plt.rc_context(STYLE):
        fig = Figure((8.4, 1.7 + 0.4 * len(rules)), layout="constrained")
        panels = fig.subplots(1, len(found[first]), sharey=True, squeeze=False)[0]
        for ax, measure in zip(panels, found[first]):
            scores = {key: own[measure] for key, own in found.items()}
            wide, blind = max(own.width for own in scores.values()), scores[first].blind
            ax.axvspan(100 * (blind - wide), 100 * (blind + wide), color="#E3E6EA")
            for (rule, state), own in scores.items():
                e, style = own.interval, look(rule) | {"linestyle": "none"}
                lift, face = (0.14, "white") if state == first[1] else (-0.14, style["color"])
                level = lift - rules.index(rule)
                mean, half = 100 * e.mean, 100 * e.half_width
                ax.errorbar(mean, level, xerr=half, capsize=3, mfc=face, **style)
            ax.set(xlabel=f"{measure}, %", yticks=-np.arange(len(rules)), yticklabels=rules)
        fig.suptitle(title, x=0.01, ha="left", fontsize=10)
    return fig


def show(fig, name, alt):
    """Display a finished figure as a picture with its description, and close it.

    name : the picture's file name in figures/, without its ending, such as "01_one_liar".
    alt : one sentence that tells somebody who cannot see the figure what it shows.
    """
    picture = {"image/png": base64.b64encode(_png(fig)).decode(), "text/plain": alt}
    display(picture, raw=True, metadata={"image/png": {"alt": alt, "name": name}})


def slider(draw, values, label, alt, title, start=0):
    """A figure with a handle: one picture for each value, drawn now, shown without a kernel.

    draw : callable value -> Figure, all of one size. values : sequence, where the handle can stand.
    label, alt : callables value -> str, what stands below each picture and is read out when the
    handle moves, and each picture's description. title : what the handle changes, in a few words.
    start : index of the value shown first, and the only one on paper.
    """
    values, frames = list(values), []
    for i, value in enumerate(values):
        data = base64.b64encode(_drawn_once(draw(value))).decode()
        hidden = "" if i == start else " hidden"
        frames.append(
            f'<figure style="margin:0"{hidden}><img style="max-width:100%" '
            f'src="data:image/png;base64,{data}" alt="{html.escape(alt(value))}">'
            f"<figcaption>{html.escape(label(value))}</figcaption></figure>"
        )
    move = (
        "const f = this.parentNode.querySelectorAll('figure');"
        "f.forEach((e, i) => e.hidden = i != this.value);"
        "this.setAttribute('aria-valuetext', f[this.value].innerText)"
    )
    title, said = html.escape(title), html.escape(label(values[start]))
    handle = (
        f'<strong>{title}</strong><input type="range" min="0" max="{len(frames) - 1}" '
        f'value="{start}" style="width:100%" aria-label="{title}" aria-valuetext="{said}" '
        f'oninput="{move}">'
    )
    display(HTML(f'<div class="byzlib-slider">{handle}{"".join(frames)}</div>'))


# Pictures are PNG bytes that hold no date and no program name; the figure is closed.
_BARE = {"format": "png", "metadata": {"Software": None}}


def _png(fig):
    buffer = io.BytesIO()
    fig.savefig(buffer, bbox_inches="tight", **_BARE)
    plt.close(fig)
    return buffer.getvalue()


def _drawn_once(fig):
    """In the figure's own size; savefig would lay it out in one drawing and draw it in another."""
    fig.set_layout_engine("constrained")
    fig.set_dpi(96)
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    buffer = io.BytesIO()
    plt.imsave(buffer, canvas.buffer_rgba(), dpi=96, origin="upper", **_BARE)
    plt.close(fig)
    return buffer.getvalue()
