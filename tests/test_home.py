"""The project's address is chosen in one place, pyproject.toml; every mention of it agrees."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HOME = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
NAME = HOME.removeprefix("https://github.com/")
COLAB = f"https://colab.research.google.com/github/{NAME}/blob/main/notebooks/emnist_jax.ipynb"
MENTIONS = {
    "README.md": f"]({COLAB})",
    "CITATION.cff": f'repository-code: "{HOME}"',
    "mkdocs.yml": f"repo_url: {HOME}\n",
    "notebooks/emnist_jax.ipynb": f"emnist_jax @ git+{HOME}\\",
    "Makefile": f"{{{NAME}}}{{$(REPO)}}",
}


@pytest.mark.parametrize("file", MENTIONS)
def test_the_address_is_pyprojects(file):
    assert MENTIONS[file] in (ROOT / file).read_text()


def test_the_notebook_that_the_badge_opens_is_there():
    assert (ROOT / COLAB.partition("/blob/main/")[2]).exists()


def test_no_other_address_is_named():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "pyproject.toml"]
    texts = "".join(path.read_text() for path in [*pages, *(ROOT / file for file in MENTIONS)])
    repository = re.escape(NAME.partition("/")[2])
    assert set(re.findall(rf"github(?:\.com)?/([\w-]+/{repository})\b", texts)) == {NAME}
