"""Policies over many rooms: means, and how much better the core is than each of the others, room by room."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # no display is needed

import matplotlib.pyplot as plt
import numpy as np

OURS = "ours"
RESAMPLES = 10_000
HEAD = ("policy", "rooms", "moments labelled", "mIoU of these", "mIoU, silence as error", "ours minus it", "95 %")


def paired_difference(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Mean of ours - theirs over rooms, and its 95 % interval by a bootstrap over rooms (10,000 resamples, seed 0)."""
    differences = np.asarray(ours, float) - np.asarray(theirs, float)
    picks = np.random.default_rng(0).integers(0, len(differences), (RESAMPLES, len(differences)))
    low, high = np.percentile(differences[picks].mean(axis=1), (2.5, 97.5))
    return float(differences.mean()), float(low), float(high)


def policy_summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry per policy over all plays.

    Args:
        rows: one per play, with `policies`: the rows of `comparison.policy_row`, the same policies in each.
    """
    scores = {p["policy"]: [_of(row, p["policy"]) for row in rows] for p in rows[0]["policies"]}
    result = []
    for name, plays in scores.items():
        always = [play["miou_always"] for play in plays]
        given = [play["miou_given"] for play in plays if play["miou_given"] is not None]
        entry = {
            "policy": name,
            "plays": len(plays),
            "labelled": sum(play["labelled"] for play in plays),
            "moments": sum(play["moments"] for play in plays),
            "miou_given": float(np.mean(given)) if given else None,
            "miou_always": float(np.mean(always)),
            "per_play": always,
        }
        if name != OURS:
            entry["ours_minus"] = paired_difference([play["miou_always"] for play in scores[OURS]], always)
        result.append(entry)
    return result


def summary_rows(summary: Sequence[dict[str, Any]]) -> list[list[str]]:
    """The cells under `HEAD`."""
    lines = []
    for entry in summary:
        gain = entry.get("ours_minus")
        given = entry["miou_given"]
        lines.append(
            [
                entry["policy"],
                str(entry["plays"]),
                f"{entry['labelled']} of {entry['moments']}",
                "–" if given is None else f"{given:.3f}",
                f"{entry['miou_always']:.3f}",
                "" if gain is None else f"{gain[0]:+.3f}",
                "" if gain is None else f"{gain[1]:+.3f} to {gain[2]:+.3f}",
            ]
        )
    return lines


def draw_policies(summary: Sequence[dict[str, Any]], file: Path, title: str) -> None:
    """A line per room across the policies, and the mean of each policy."""
    figure, axis = plt.subplots(figsize=(8, 4.2), constrained_layout=True)
    names = [entry["policy"] for entry in summary]
    for room in zip(*(entry["per_play"] for entry in summary), strict=True):
        axis.plot(range(len(names)), room, "-", color="#b8c0c8", lw=1, marker="o", ms=3)
    means = [entry["miou_always"] for entry in summary]
    axis.plot(range(len(names)), means, "_", color="#b3261e", ms=34, mew=3, label="mean of the rooms")
    for number, mean in enumerate(means):
        axis.annotate(f"{mean:.3f}", (number, mean), (24, -3), textcoords="offset points", color="#b3261e")
    axis.set_xticks(range(len(names)), names)
    axis.set_xlim(-0.5, len(names) - 0.3)
    axis.set_ylabel("mIoU, silence counted as error")
    axis.set_title(title, fontsize=11)
    axis.grid(axis="y", alpha=0.3)
    axis.legend(frameon=False)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _of(row: dict[str, Any], policy: str) -> dict[str, Any]:
    return next(p for p in row["policies"] if p["policy"] == policy)
