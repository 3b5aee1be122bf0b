"""The site's links out of docs/: results/ becomes a part of the site, other files the repository's.

The pages name files as GitHub needs it, `../results/README.md`, so both places can be read.
"""

import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent


def on_files(files, config):
    """Add the report of full runs, its pages, figures and tables, to the site."""
    shown = {".png", ".svg", ".csv", ".nc"}
    paths = [p for p in (ROOT / "results").rglob("*.*") if p.suffix in shown]
    for path in [*sorted(ROOT.glob("results/*.md")), *sorted(paths)]:
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Turn links `../FILE` of the pages in docs/ to the site's results/, or to the repository."""
    if page.file.src_uri.startswith("results/"):
        return markdown
    markdown = re.sub(r"\]\(\.\./(results/[^)]*)\)", r"](\1)", markdown)
    return re.sub(r"\]\(\.\./([^)]*)\)", rf"]({config.repo_url}/blob/main/\1)", markdown)
