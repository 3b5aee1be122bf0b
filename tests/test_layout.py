"""Imports go one way: no cycle in the library, and nothing there knows of the study."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import emnist_jax

ROOT = Path(emnist_jax.__file__).parent
FILES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
}


def imported(statements):
    """Yield the names of all modules, and of what is taken from them, that statements import."""
    for one in statements:
        if isinstance(one, ast.ImportFrom):
            yield from (one.module, *(f"{one.module}.{name.name}" for name in one.names))
        elif isinstance(one, ast.Import):
            yield from (name.name for name in one.names)


def test_the_library_imports_nothing_of_the_study():
    for path in FILES.values():
        names = imported(ast.walk(ast.parse(path.read_text("utf-8"))))
        assert not [n for n in names if n.partition(".")[0] in ("experiments", "benchmarks")], path


def test_no_two_modules_import_each_other():
    graph = {}
    for module, path in FILES.items():
        body = ast.parse(path.read_text("utf-8")).body  # what is imported when the module is
        found = {name for name in imported(body) if name in FILES}
        graph[module] = {name for name in found if not f"{module}.".startswith(f"{name}.")}
    assert len(list(TopologicalSorter(graph).static_order())) == len(FILES) > 80
