"""Code edited, or run again as it is, between two runs of a script into the same folder."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

Count = tuple[int, int]  # injected, lost

HELPERS = "def decay(): return 0.0\n"
SCRIPT = """
import functools, sys
import flax.linen as nn, optax
import emnist_jax as ej, helpers
FACTOR = 1.0
def mask(params): return None
def rule(learning_rate): return optax.adamw(FACTOR * learning_rate, weight_decay=helpers.decay())
class Base(nn.Module):
    SCALE = 1.0
    @property
    def shift(self): return 0.0
class Net(Base):
    act: object = nn.relu
    classes: int | None = None
    @nn.compact
    def __call__(self, x, train=False):
        x = self.SCALE * x.reshape(len(x), -1) + self.shift
        return nn.Dense(self.classes)(self.act(nn.Dense(4)(x)))
def metric(logits, labels): return logits.max(-1)
def metrics(kind="max"): return {"own": metric} if kind in {"max", "most", "top", "all"} else {}
try:
    ej.sweep(ej.load("glyphs", size=1316), Net(), functools.partial(rule), {"learning_rate": 1e-2},
             seeds=1, epochs=1, metrics=metrics(), progress_bar=False, out="run")
except ej.InputError as error:
    sys.exit(f"error: {error}")
"""
EDITS = {  # of what the run computes
    "return 0.0\n": "return 1.0\n",
    "FACTOR = 1.0": "FACTOR = 2.0",
    "SCALE = 1.0": "SCALE = 2.0",
    "shift(self): return 0.0": "shift(self): return 1.0",
    "act: object = nn.relu": "act: object = nn.tanh",
    "logits.max": "logits.min",
}
NO_EDITS = {  # of how it is written
    "": "",
    "import functools": "# a comment\n\n\nimport functools",
    "    @nn.compact": '    """A docstring."""\n    @nn.compact',
    '{"max", "most", "top", "all"}': '{"all", "top", "most", "max"}',
}


def edited(folder: Path, reference: Mapping[str, bytes]) -> Count:
    """Code edited after a finished run."""
    _write(folder)
    first, lost = _run(folder), 0
    for before, after in EDITS.items():
        _write(folder, before, after)
        lost += first[0] != 0 or "holds another run" not in _run(folder)[1]
    return len(EDITS), lost


def unchanged(folder: Path, reference: Mapping[str, bytes]) -> Count:
    """Same code, written otherwise."""
    lost = 0
    for seed, (before, after) in enumerate(NO_EDITS.items(), 1):
        _write(folder, before, after)
        lost += _run(folder, str(seed)) != (0, "")
    return len(NO_EDITS), lost


SCENARIOS = (edited, unchanged)


def _write(folder: Path, before: str = "", after: str = "") -> None:
    folder.mkdir(exist_ok=True)
    (folder / "helpers.py").write_text(HELPERS.replace(before, after) if before else HELPERS)
    (folder / "script.py").write_text(SCRIPT.replace(before, after) if before else SCRIPT)


def _run(folder: Path, hash_seed: str = "0") -> tuple[int, str]:
    """Return exit code and stderr of the script in a process of its own."""
    env = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONDONTWRITEBYTECODE": "1"}
    words = [sys.executable, "script.py"]
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True)
    return done.returncode, done.stderr
