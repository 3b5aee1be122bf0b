"""The notebook runs from top to bottom, in small; what it shows came from a whole run of itself."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

PATH = Path(__file__).parent.parent / "notebooks" / "emnist_jax.ipynb"
SMALL = 'DATA, SIZE, SEEDS, EPOCHS = "glyphs", 940, 2, 1'


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    notebook = nbformat.read(PATH, as_version=4)
    (parameters,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    parameters.source = SMALL
    folder = {"metadata": {"path": str(tmp_path_factory.mktemp("notebook"))}}
    return NotebookClient(notebook, timeout=300, resources=folder).execute()


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def kinds(notebook):
    return [sorted(output.get("data", {})) for output in outputs(notebook)]


@pytest.mark.slow
def test_it_runs_and_shows_what_it_showed_when_it_was_committed(executed):
    committed = nbformat.read(PATH, as_version=4)
    assert kinds(executed) == kinds(committed)
    assert sum("image/png" in kind for kind in kinds(committed)) >= 5


@pytest.mark.slow
def test_the_progress_bar_needs_no_widget_and_ends_full(executed):
    shown = [str(output.get("data", {}).get("text/html", "")) for output in outputs(executed)]
    bars = [re.sub("<[^>]*>", "", html) for html in shown if "━" in html]
    counts = [re.search(r"(\d+)/(\d+)", bar).groups() for bar in bars]
    assert len(counts) == 2 and all(done == total for done, total in counts)


def test_the_committed_outputs_are_of_one_whole_run():
    text = PATH.read_text()
    assert len(text) < 1_000_000
    cells = [cell for cell in nbformat.reads(text, 4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not re.search(r"/(home|root|tmp|work|Users)/", text)
