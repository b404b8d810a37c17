"""What a measurement says, beside its baseline and its bar; the table and the file of all of them."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
from rich.table import Table

FILE = Path(__file__).parent / "results.json"


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure must reach: the ratio to the baseline `at_least`, or the value itself `at_most`."""

    at_least: float | None = None
    at_most: float | None = None

    def met(self, value: float, ratio: float | None) -> bool:
        """Whether it is reached."""
        if self.at_most is not None:
            return value <= self.at_most
        assert self.at_least is not None
        return ratio is not None and ratio >= self.at_least

    def __str__(self) -> str:
        return f"ratio ≥ {self.at_least:g}" if self.at_most is None else f"≤ {self.at_most:g}"


@dataclass(frozen=True, slots=True)
class Result:
    """A figure. `ratio` is that of the figure to its baseline, both of the same run; percentiles are milliseconds."""

    name: str
    value: float
    unit: str
    baseline: str | None = None
    baseline_value: float | None = None
    ratio: float | None = None
    bar: Bar | None = None
    percentiles_ms: dict[str, float] | None = None

    @classmethod
    def against(
        cls,
        name: str,
        unit: str,
        rounds: Sequence[tuple[float, float]],
        baseline: str,
        bar: Bar | None = None,
        percentiles_ms: dict[str, float] | None = None,
    ) -> "Result":
        """The medians of rounds of (figure, baseline), each pair measured one right after the other."""
        return cls(
            name=name,
            value=median(value for value, _ in rounds),
            unit=unit,
            baseline=baseline,
            baseline_value=median(base for _, base in rounds),
            ratio=median(value / base for value, base in rounds),
            bar=bar,
            percentiles_ms=percentiles_ms,
        )

    @property
    def met(self) -> bool | None:
        """Whether the bar is reached; None without a bar."""
        return None if self.bar is None else self.bar.met(self.value, self.ratio)

    def plain(self) -> dict[str, object]:
        """As it stands in the file."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "baseline": self.baseline,
            "baseline_value": self.baseline_value,
            "ratio": self.ratio,
            "machine": machine(),
            "bar": None if self.bar is None else str(self.bar),
            "met": self.met,
            "percentiles_ms": self.percentiles_ms,
        }


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """The 50th and 99th percentile, in milliseconds."""
    ordered = sorted(seconds)
    return {f"p{share}": 1000 * ordered[min(len(ordered) - 1, len(ordered) * share // 100)] for share in (50, 99)}


def machine() -> str:
    """The machine, in a few words."""
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {system}"


def write(results: Sequence[Result]) -> None:
    """Write the file."""
    FILE.write_text(json.dumps([result.plain() for result in results], indent=2) + "\n")


def table(results: Sequence[Result]) -> Table:
    """The table for people."""
    columns = ("name", "value", "unit", "baseline", "its value", "ratio", "bar", "", "p50 / p99 ms")
    shown = Table(*columns, title=machine())
    for one in results:
        met = {None: "", True: "met", False: "MISSED"}[one.met]
        spread = "" if one.percentiles_ms is None else " / ".join(f"{ms:.1f}" for ms in one.percentiles_ms.values())
        against = (one.baseline or "", _short(one.baseline_value), _short(one.ratio))
        shown.add_row(one.name, _short(one.value), one.unit, *against, str(one.bar or ""), met, spread)
    return shown


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
