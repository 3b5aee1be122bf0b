"""README and docs say what the program does: Python blocks and commands run, links hold.

The blocks of a page follow on each other. Sizes are made small; a `text` block after a Python block
is what it prints, to the letter. Commands that need a download, other hosts or a package of an
extra are parsed only, as are those of the paper's experiments, which have tests of their own.
"""

import importlib
import importlib.util
import re
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image

import emnist_jax as ej
from emnist_jax import figures, stats
from emnist_jax.cli import main, sweep, sweep_options
from emnist_jax.cli.options import parse
from experiments._options import options_of

ROOT = Path(__file__).parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in [*ROOT.glob("*.md"), *sorted(ROOT.glob("docs/**/*.md"))]
}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SMALL_SWEEP = ["--size=940", "--batch-size=5", "--epochs=1", "--seeds=2"]
ELSEWHERE = {"--data", "--out", "--coordinator", "--plan"}
TRACKERS = ("pyarrow", "tensorboard")
SMALL = {
    r"\bsize=\d+": "size=940",
    r"\bseeds=\d+": "seeds=2",
    r"\bmost_seeds=\d+": "most_seeds=4",
    r"\bepochs=\d+": "epochs=1",
}


def run(page, text):
    """Run a page's Python blocks, in small; return the names they leave."""
    names, printed = {}, []
    names["print"] = lambda *values: printed.append(" ".join(map(str, values)))
    for language, block in FENCE.findall(text):
        if language == "python":
            for usual, small in SMALL.items():
                block = re.sub(usual, small, block)
            printed.clear()
            exec(compile(block, page, "exec"), names)
        elif language == "py":  # of packages that are not installed
            compile(block, page, "exec")
        elif language == "text":
            assert "\n".join(printed) == block.rstrip("\n"), f"{page}: a block prints another text"
    return names


def words(page, language="sh"):
    """Return the commands of a page's shell blocks, each as a list of words."""
    blocks = [block for kind, block in FENCE.findall(PAGES[page]) if kind == language]
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [split for line in lines if (split := shlex.split(line, comments=True))]


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page, text in PAGES.items() if "```python" in text])
def test_the_python_blocks_run_in_order(page, monkeypatch, tmp_path):
    pictures = shutil.ignore_patterns("*.png", "*.svg")
    shutil.copytree(ROOT / "results", tmp_path / "results", ignore=pictures)
    shutil.copytree(ROOT / "docs/example", tmp_path / "docs/example", ignore=pictures)
    monkeypatch.chdir(tmp_path)
    names = run(page, PAGES[page])
    assert names.get("curves") is None or names["curves"].valid_accuracy.notnull().all()


@pytest.mark.parametrize(
    "block", ["```python\n1 / 0\n```\n", "```python\nprint(1)\n```\n\n```text\n2\n```\n"]
)
def test_a_block_that_fails_or_prints_something_else_is_noticed(block):
    with pytest.raises((ZeroDivisionError, AssertionError)):
        run("page", block)


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_outputs_shown_are_those_of_the_curves_stored(page):
    computed = PAGES["docs/gallery.md"].splitlines()  # executed, by the test above
    shown = [block for kind, block in FENCE.findall(PAGES[page]) if kind == "console"]
    assert shown and set("".join(shown).splitlines()) <= {*computed}


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if words(page)])
def test_the_commands_run_or_are_understood(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep, "figures", lambda curves: {})  # drawn in tests of their own
    monkeypatch.setattr(sweep, "figures_of_networks", lambda *_: {})
    Image.fromarray(ej.load("glyphs", size=940).test.images[0, ..., 0]).save("letter.png")
    for _, block in FENCE.findall(PAGES[page]):
        if named := re.match(r"# (\S+\.(?:py|toml))\n", block):
            Path(named[1]).write_text(block)
    makefile = (ROOT / "Makefile").read_text()
    for command, *arguments in words(page):
        if command == "make":
            for target in (word for word in arguments if "=" not in word):
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"
        elif command == "emnist-jax":
            obey(*arguments)
        elif arguments[:1] == ["-m"]:
            read(arguments[1], arguments[2:], monkeypatch)
        else:
            assert command in ("git", "pip", "python", "cd") or (ROOT / command).exists()


def obey(name, *arguments):
    """Run a command, in small and if that is cheap; else parse its arguments."""
    if name != "sweep":
        if name != "export" or all(map(importlib.util.find_spec, TRACKERS)):
            main.run([name, *arguments])
        return
    here = not ELSEWHERE & {*arguments}
    chosen = sweep_options.parse([*arguments, *(SMALL_SWEEP if here else ())])
    if here and chosen is not None:  # else it was --list
        sweep.run(chosen)


def read(name, arguments, monkeypatch):
    """Parse the arguments of a module as it would."""
    module = importlib.import_module(name)
    if name.startswith("experiments."):
        made = options_of(module.EXPERIMENT) if hasattr(module, "EXPERIMENT") else module.Options
        parse(made, f"python -m {name}", module.__doc__, arguments)


def test_a_command_that_fails_is_noticed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ej.InputError, match="holds no networks"):
        obey("predict", ".", "letter.png")


def test_every_message_of_troubleshooting_is_one_of_the_codes():
    code = "".join(path.read_text() for path in ROOT.glob("emnist_jax/**/*.py"))
    code = re.sub(r'"\s*f?"', "", code)  # lines of one text
    rows = re.findall(r"^\| (.*?) \|", PAGES["docs/troubleshooting.md"], re.MULTILINE)
    messages = [
        part
        for row in rows
        for message in re.findall("`(.*?)`", row)
        for part in message.split(" ... ")
    ]
    assert len(messages) > 9
    for message in messages:
        assert message.removesuffix(" ...") in code, message


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file(page):
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", FENCE.sub("", PAGES[page])):
        assert link.startswith("https://") or (ROOT / page).parent.joinpath(link).exists(), link


def test_every_page_can_be_found():
    listed = re.findall(r"([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert {f"docs/{name}" for name in listed} - {"docs/results/README.md"} == {
        page for page in PAGES if page.startswith("docs/")
    }


def members(path):
    """Return the public objects that a line `::: path` of the API page shows."""
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError:
        parent, _, name = path.rpartition(".")
        return [getattr(importlib.import_module(parent), name)]
    public = [name for name in vars(module) if not name.startswith("_")]
    return [module, *(getattr(module, name) for name in getattr(module, "__all__", public))]


def test_the_api_page_shows_every_public_name():
    pages = "".join(text for page, text in PAGES.items() if page.startswith("docs/api/"))
    paths = re.findall(r"^::: ([\w.]+)", pages, re.MULTILINE)
    shown = [thing for path in paths for thing in members(path)]
    for module in (ej, figures, stats):
        for name in module.__all__:
            assert any(getattr(module, name) is thing for thing in shown), name
