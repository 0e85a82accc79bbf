"""Many plays in one table and on one page."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Failure campaign</title><style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; color: #1c2126 }
table { border-collapse: collapse }
th, td { padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #dde2e6; text-align: right }
th:first-child, td:first-child { text-align: left } .bad { color: #b3261e } .good { color: #1d7a3a }
</style></head><body><h1>Failure campaign</h1>
<p class="{{ 'bad' if summary.bad else 'good' }}"><strong>{{ summary.runs }} runs, {{ summary.crashes }} crashes,
{{ summary.unlabelled }} frames of a surviving stream without a label, {{ summary.wrong }} wrong switches,
{{ summary.late }} faults noticed late or never.</strong></p>
<table><tr>{% for name in head %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in rows %}<tr class="{{ 'bad' if row.bad }}">{% for cell in row.cells %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table>
{% if problems %}<h2>Problems</h2><ul>{% for problem in problems %}<li>{{ problem }}</li>{% endfor %}</ul>{% endif %}
<p>{{ facts }}</p></body></html>
"""
# of several runs the worst is shown
HEAD = (
    "scenario", "runs", "frames", "labelled", "dropped", "unlabelled surviving", "switches", "wrong",
    "noticed after s", "switched after ms", "mIoU",
)  # fmt: skip
SUMMED = ("frames", "labelled", "dropped", "unlabelled", "switches", "wrong")
WORST = ("noticed_s", "switch_ms")


def campaign_row(scenario: str, seed: int, report: dict[str, Any]) -> dict[str, Any]:
    """The numbers of one play that a campaign keeps."""
    falls = [s["latency_ms"] for s in report["switches"] if not s["restores"] and s["time_s"] > 0.5]
    noticed = [d["after_s"] for d in report["detections"]]
    return {
        "scenario": scenario,
        "seed": seed,
        "frames": sum(f["received"] for f in report["frames_in"].values()),
        "labelled": sum(report["labels_out"].values()),
        "dropped": sum(sum(d.values()) for d in report["dropped"].values()),
        "unlabelled": report["unlabelled_surviving_frames"],
        "switches": len(report["switches"]),
        "wrong": sum(s["wrong"] for s in report["switches"]),
        "late": sum(not d["in_time"] for d in report["detections"]),
        "noticed_s": max((n for n in noticed if n is not None), default=None),
        "switch_ms": max((f for f in falls if f is not None), default=None),
        "miou": report["miou_overall"],
        "problems": [*report["failures"], *report["broken_promises"]],
        "crash": None,
    }


def crash_row(scenario: str, seed: int, error: str) -> dict[str, Any]:
    """A play that ended with an error."""
    empty = dict.fromkeys(("frames", "labelled", "dropped", "unlabelled", "switches", "wrong", "late"), 0)
    unknown = dict.fromkeys(("noticed_s", "switch_ms", "miou"))
    return {"scenario": scenario, "seed": seed, **empty, **unknown, "problems": [f"crash: {error}"], "crash": error}


def summarise(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Totals; `bad` when something is not as promised."""
    listed = list(rows)
    totals = {key: sum(row[key] for row in listed) for key in ("unlabelled", "wrong", "late", "frames", "labelled")}
    problems = [f"{row['scenario']} (seed {row['seed']}): {text}" for row in listed for text in row["problems"]]
    crashes = sum(row["crash"] is not None for row in listed)
    return {"runs": len(listed), "crashes": crashes, **totals, "bad": bool(problems), "problems": problems}


def table(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line per scenario, the seeds put together."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["scenario"]].append(row)
    lines = []
    for scenario, group in sorted(groups.items()):
        sums = [sum(row[key] for row in group) for key in SUMMED]
        worst = [max((row[key] for row in group if row[key] is not None), default=None) for key in WORST]
        scores = [row["miou"] for row in group if row["miou"] is not None]
        miou = statistics.fmean(scores) if scores else None
        cells = [scenario, len(group), *sums, _number(worst[0], 3), _number(worst[1], 0), _number(miou, 4)]
        lines.append({"cells": cells, "bad": any(row["problems"] for row in group)})
    return lines


def write_campaign_page(rows: list[dict[str, Any]], facts: str, file: Path) -> None:
    """The table as HTML; the file appears whole or not at all."""
    summary = summarise(rows)
    text = (
        jinja2.Environment(autoescape=True)
        .from_string(PAGE)
        .render(head=HEAD, rows=table(rows), summary=summary, problems=summary["problems"], facts=facts)
    )
    partial = file.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
