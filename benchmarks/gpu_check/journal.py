"""Results as they come: printed at once, and on disk before the next one, so that a kill loses nothing."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blindsr.runtime import files

Cell = str | float | int | None


class Journal:
    """Writes report.md and report.json, and tables as CSV, into a folder."""

    def __init__(self, folder: Path, title: str) -> None:
        """Makes the folder. Raises UserError where it cannot be written."""
        self.folder = folder
        self._title = title
        self._machine: dict[str, str] = {}
        self._parts: dict[str, dict[str, Any]] = {}
        self._write()

    def machine(self, facts: Mapping[str, str]) -> None:
        """Print and keep what the report says of hardware and versions."""
        self._machine |= facts
        for name, fact in facts.items():
            print(f"{name}: {fact}", flush=True)
        self._write()

    def line(self, part: str, text: str, *, failed: bool = False, **data: Any) -> None:
        """One result: `text` for people, `data` (as JSON has it) for programs."""
        text = f"FAILED: {text}" if failed else text
        print(f"[{part}] {text}", flush=True)
        self._part(part)["lines"].append({"text": text, "failed": failed, **data})
        self._write()

    def table(self, part: str, title: str, rows: Sequence[Mapping[str, Cell]]) -> None:
        """A table of a part, in place of an older one of this title; printed when the part is over (`end`)."""
        self._part(part)["tables"][title] = [dict(row) for row in rows]
        self._write()

    def end(self, part: str, seconds: float) -> None:
        """A part is over."""
        self._part(part)["seconds"] = round(seconds, 1)
        for title, rows in self._part(part)["tables"].items():
            print("\n".join(["", title, *_markdown(rows), ""]), flush=True)
        print(f"[{part}] took {seconds:.0f} s", flush=True)
        self._write()

    def csv(self, name: str, rows: Sequence[Mapping[str, Cell]]) -> None:
        """Write a file of rows; its columns are those of all of them, in order of appearance."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _shown(value) for key, value in row.items()} for row in rows)
        files.write_atomic(self.folder / name, text.getvalue())

    @property
    def failures(self) -> int:
        """Lines that say that something failed."""
        return sum(line["failed"] for part in self._parts.values() for line in part["lines"])

    def _part(self, name: str) -> dict[str, Any]:
        return self._parts.setdefault(name, {"seconds": None, "lines": [], "tables": {}})

    def _write(self) -> None:
        content = {"title": self._title, "machine": self._machine, "parts": self._parts}
        files.write_atomic(self.folder / "report.json", json.dumps(content, indent=1) + "\n")
        text = [f"# {self._title}", "", *(f"- {name}: {fact}" for name, fact in self._machine.items()), ""]
        for name, part in self._parts.items():
            took = "not over yet" if part["seconds"] is None else f"{part['seconds']:g} s"
            text += [f"## {name} ({took})", "", *(f"- {line['text']}" for line in part["lines"]), ""]
            for title, rows in part["tables"].items():
                text += [f"### {title}", "", *_markdown(rows), ""]
        files.write_atomic(self.folder / "report.md", "\n".join(text))


def _markdown(rows: Sequence[Mapping[str, Cell]]) -> list[str]:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return lines + ["| " + " | ".join(_shown(row.get(key)) for key in columns) + " |" for row in rows]


def _shown(value: Cell) -> str:
    if value is None:
        return ""
    return f"{value:.5g}" if isinstance(value, float) else str(value)
