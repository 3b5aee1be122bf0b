"""How times and tables are written."""

from collections.abc import Iterable, Mapping


def find(rows: Iterable[Mapping], **wanted) -> list[Mapping]:
    """Return the rows that have these values."""
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def milliseconds(row: Mapping | None) -> str:
    """Write milliseconds: median (least to most)."""
    if row is None:
        return ""
    digits = 3 if row["ms"] < 1 else 2
    return f"{row['ms']:.{digits}f} ({row['least']:.{digits}f} to {row['most']:.{digits}f})"


def in_ms(row: Mapping) -> dict:
    """Return a row of seconds in milliseconds."""
    return {"ms": row["seconds"] * 1000, "least": row["least"] * 1000, "most": row["most"] * 1000}


def span(timing: Mapping) -> str:
    """Write seconds: median (least to most)."""
    return f"{timing['median']:.2f} ({timing['least']:.2f} to {timing['most']:.2f})"


def cell(column: str, value) -> str:
    """Write what stands in a column of a scaling study."""
    if column == "chosen":
        return "by default" if value else ""
    if column in ("matrix_rate", "efficiency"):
        return f"{value:.0%}"
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


def table(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """Return a table as Markdown."""
    head = list(head)
    rows = [head, ["---"] * len(head), *map(list, lines)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
