"""Does the book hold elsewhere? `make test-portable` runs it as other machines and seeds would.

Every chapter and every solved exercise is played again

* with every random float moved by a rounding error (jitter 1e-15, 1e-14, 1e-12),
* with each kernel of OpenBLAS that this processor runs, and with NumPy's own dispatch turned down,
* with the lowest versions that pyproject.toml allows, in an environment of its own,
* with every seed shifted by 1,000 to 5,000.

Outputs are compared as `make test` compares them, but under shifted seeds, where only assertions
speak. There, a cell tagged "one-draw" may fail: its point is one drawn example, or a kept file of
results. A table says what was run and what failed; the exit status is 1 if anything did.

Usage: python -m tests.portable [--only NUMBER ...] [--variants WORD ...]
"""

import argparse
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
LOWEST = Path(f"{sys.prefix}-lowest")  # beside the environment that runs this
DRAWN = "one-draw"
KERNELS = [
    "Prescott", "Core2", "Nehalem", "Sandybridge", "Haswell", "Zen", "SkylakeX", "Cooperlake",
    "Sapphirerapids", "ARMV8", "NeoverseN1", "NeoverseV1", "NeoverseN2", "VORTEX",
]  # fmt: skip
HEAVY = ["pandas", "matplotlib.pyplot", "scipy.special", "tests.player"]


class Variant(NamedTuple):
    """One way to run the book: environment variables, perturbed randomness, interpreter."""

    name: str
    environment: dict = {}
    perturbed: dict = {}  # arguments of `install`
    compare: bool = True
    python: str = sys.executable


# --- the variants ----------------------------------------------------------------------------


def variants():
    """All variants that this machine can run, and sentences about those that it cannot."""
    known = [Variant("as stored")]
    known += [Variant(f"jitter {j:g}", perturbed={"jitter": j}) for j in (1e-15, 1e-14, 1e-12)]
    kernels, left_out = blas_kernels()
    known += [Variant(f"kernel {k}", {"OPENBLAS_CORETYPE": k}) for k in kernels]
    if features := dispatched():
        known.append(Variant("NumPy without dispatch", {"NPY_DISABLE_CPU_FEATURES": features}))
    known.append(Variant("lowest versions", python=str(LOWEST / interpreter())))
    for shift in range(1000, 6000, 1000):
        known.append(Variant(f"seeds + {shift}", perturbed={"shift": shift}, compare=False))
    return known, left_out


def interpreter():
    return "Scripts/python.exe" if os.name == "nt" else "bin/python"


def blas_kernels():
    """The kernel types that OpenBLAS really runs here, and a word on each of the others."""
    look = (
        "import numpy as np; from threadpoolctl import threadpool_info as info;"
        "a = np.random.default_rng(0).normal(size=(60, 60)); np.linalg.solve(a @ a, a);"
        "print(next(i['architecture'] for i in info() if i['internal_api'] == 'openblas'))"
    )
    ran, left_out = {}, []
    for kernel in KERNELS:
        done = subprocess.run(
            [sys.executable, "-c", look],
            env=os.environ | {"OPENBLAS_CORETYPE": kernel},
            capture_output=True,
            text=True,
        )
        got = done.stdout.strip()
        if done.returncode:
            left_out.append(f"{kernel} (stops with {done.returncode})")
        elif got in ran:
            left_out.append(f"{kernel} (runs as {ran[got]})")
        else:
            ran[got] = kernel
    return list(ran.values()), left_out


def dispatched():
    """What NumPy would choose by processor here, so that it can be told not to."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    return " ".join(name for name in __cpu_dispatch__ if __cpu_features__.get(name))


def set_up_lowest():
    """An environment with the lowest versions of what pyproject.toml names."""
    ready = LOWEST / ".ready"
    wanted = (ROOT / "pyproject.toml").read_text()
    if ready.exists() and ready.read_text() == wanted:
        return
    print(f"Making {LOWEST.name}, once", file=sys.stderr)
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--clear", "-p", sys.executable, LOWEST], check=True)
    lowest = ["--resolution", "lowest-direct", "--only-binary", ":all:", "--no-binary", "byzlib"]
    subprocess.run(
        [*uv, "pip", "install", "--quiet", "-p", LOWEST, *lowest, "-e", ".[book,test]"],
        cwd=ROOT,
        check=True,
    )
    ready.write_text(wanted)


# --- one variant, in a process of its own ----------------------------------------------------


def play_all(variant, paths):
    """Play notebooks two at a time; (cells, tagged, failures) where a failure is one sentence."""
    context = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
    if os.name == "posix":
        context.set_forkserver_preload(HEAVY)
    with ProcessPoolExecutor(2, mp_context=context, max_tasks_per_child=1) as pool:
        found = list(pool.map(play_one, paths, [variant] * len(paths)))
    return (
        sum(cells for cells, _, _ in found),
        sum(drawn for _, drawn, _ in found),
        [failure for _, _, failures in found for failure in failures],
    )


def play_one(path, variant):
    """(cells, tagged cells, failures) of one notebook under a variant."""
    if variant.perturbed:
        install(**variant.perturbed)

    import nbformat

    from tests.player import play

    cells, drawn, failures = 0, 0, []
    path = Path(path)
    name = f"{path.parent.name}/{path.stem}".removeprefix("notebooks/")
    for cell in play(nbformat.read(path, as_version=4), path.parent):
        cells += 1
        drawn += DRAWN in cell.tags
        if cell.error and (variant.compare or DRAWN not in cell.tags):
            failures.append(f"{name}, code cell {cell.number}: {cell.error}")
        elif variant.compare and not cell.error and not cell.as_stored():
            failures.append(f"{name}, code cell {cell.number}: {cell.difference()}")
    return cells, drawn, failures


def run(variant, paths):
    """What `play_all` finds, in a fresh interpreter that has the variant's environment."""
    plain = {
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
        "PYTHONPATH": str(ROOT),
    }
    order = json.dumps([variant._asdict(), list(map(str, paths))])
    try:
        done = subprocess.run(
            [variant.python, "-m", "tests.portable", "--play"],
            input=order,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=os.environ | plain | variant.environment,
        )
    except OSError as error:
        return 0, 0, [f"{variant.name} could not be run: {error}"]
    if done.returncode:
        return 0, 0, [f"{variant.name} could not be run: {done.stderr.strip()[-600:]}"]
    return json.loads(done.stdout.splitlines()[-1])


# --- random numbers that are moved a little, or drawn from other seeds ------------------------
# Moving every float by a rounding error shows numbers that hang on rounding, shifting every seed
# shows claims that hang on luck.

SEEDED = np.random.default_rng
FLOATS = [
    "random", "standard_normal", "normal", "uniform", "standard_t", "exponential",
    "standard_exponential", "gamma", "standard_gamma", "beta", "chisquare", "dirichlet", "laplace",
    "logistic", "lognormal", "multivariate_normal", "pareto", "rayleigh", "standard_cauchy",
    "triangular", "vonmises", "weibull", "f", "gumbel", "power", "wald", "noncentral_chisquare",
    "noncentral_f",
]  # fmt: skip


class Jittered(np.random.Generator):
    """A generator whose floats are moved by at most `relative`, each by a function of itself."""

    relative = 0.0

    def __reduce__(self):
        return type(self), (self.bit_generator,)


def moved(x, relative):
    """x (1 + relative u), with u in [-1, 1] a function of x that no neighbour shares."""
    if isinstance(x, np.ndarray):
        return x * (1 + relative * np.sin(1e9 * x.astype(float))).astype(x.dtype)
    return float(x * (1 + relative * np.sin(1e9 * x)))


def _jittered(name):
    draw = getattr(np.random.Generator, name)

    def method(self, *args, out=None, **kwargs):
        found = moved(draw(self, *args, **kwargs), self.relative)
        if out is None:
            return found
        out[...] = found
        return out

    return method


for _name in FLOATS:
    setattr(Jittered, _name, _jittered(_name))


def shifted(seed, shift):
    """Every whole number of a seed, moved."""
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
        return int(seed) + shift
    if isinstance(seed, (list, tuple, np.ndarray)):
        return [shifted(one, shift) for one in seed]
    return seed


def install(jitter=0.0, shift=0):
    """From now on generators have their floats moved, or their seeds shifted, in this process."""
    Jittered.relative = jitter

    def default_rng(seed=None):
        rng = SEEDED(shifted(seed, shift))
        return Jittered(rng.bit_generator) if jitter and not isinstance(rng, Jittered) else rng

    np.random.default_rng = default_rng


# --- the table -------------------------------------------------------------------------------


def notebooks(only=()):
    from notebooks.execute import chapters, exercises, number

    return [p for p in chapters(ROOT) + exercises(ROOT) if not only or number(p) in only]


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="make test-portable", description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", default=[], metavar="NUMBER")
    parser.add_argument("--variants", nargs="+", default=[], metavar="WORD")
    parser.add_argument("--play", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if sys.flags.optimize:
        parser.error("Python leaves assertions out: unset PYTHONOPTIMIZE")
    if asked.play:
        variant, paths = json.load(sys.stdin)
        print(json.dumps(play_all(Variant(**variant), paths)))
        return 0
    known, left_out = variants()
    chosen = [v for v in known if not asked.variants or any(w in v.name for w in asked.variants)]
    if not chosen:
        parser.error(f"no such variant; there are {', '.join(v.name for v in known)}")
    if any(v.name == "lowest versions" for v in chosen):
        set_up_lowest()
    print(f"{platform.machine()}, Python {platform.python_version()}, {len(chosen)} variants")
    print(f"{'variant':<26}{'cells':>7}{'one draw':>10}{'failures':>10}{'seconds':>9}")
    failed = []
    for variant in chosen:
        start = time.monotonic()
        cells, drawn, failures = run(variant, notebooks(asked.only))
        seconds = time.monotonic() - start
        print(
            f"{variant.name:<26}{cells:>7}{drawn:>10}{len(failures):>10}{seconds:>9.0f}",
            flush=True,
        )
        failed += [f"{variant.name}: {failure}" for failure in failures]
    if left_out:
        print(f"OpenBLAS kernels not run here: {', '.join(left_out)}")
    print("\n".join(failed))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
