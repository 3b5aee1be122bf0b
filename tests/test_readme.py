"""The README says what the program does: its Python blocks run as they stand, its links hold."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_python_blocks_run_in_order(monkeypatch, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) >= 3
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert names["curves"].valid_accuracy.max() > 0.1
    assert names["networks"].epoch.sizes == {"seed": 2}


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_every_link_leads_to_a_file(link):
    assert link.startswith("https://") or (ROOT / link).exists()


def test_every_command_is_a_module_or_a_target():
    modules = set(re.findall(r"python -m (experiments\.\w+)", README))
    targets = set(re.findall(r"^make (\w+)", README, re.MULTILINE))
    assert modules and targets
    for module in modules:
        assert (ROOT / (module.replace(".", "/") + ".py")).exists()
    for target in targets:
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
