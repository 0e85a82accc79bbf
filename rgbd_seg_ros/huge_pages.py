"""Memory in pages of 2 MiB, which makes networks on the CPU faster.

Every frame runs through all weights and activations of a network; in pages of 4 KiB much time goes into finding their
addresses. Linux gives larger pages to a process that asks for them (its setting `madvise`, as on Ubuntu), and glibc
from 2.35 on asks if a variable tells it to when the process starts. docs/measurements.md says what that brings.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "GLIBC_TUNABLES"
ASKING = "glibc.malloc.hugetlb=1"
_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def huge_page_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The variable that makes glibc ask for huge pages, for a process that is yet to start.

    Args:
        environ: the environment so far; what the user has set for glibc there stays, and the answer is empty.
    """
    return {} if environ.get(VARIABLE) else {VARIABLE: ASKING}


def huge_pages(environ: Mapping[str, str] = os.environ, setting: Path = _SETTING) -> str:
    """Whether memory of a process that started with this environment comes in huge pages.

    "always" and "never" (by the system's setting), "asked for", "not asked for", or "unknown" (no such setting here).
    """
    try:
        chosen = re.search(r"\[(\w+)\]", setting.read_text(encoding="ascii"))
    except OSError:
        return "unknown"
    if chosen is None or chosen[1] != "madvise":
        return chosen[1] if chosen else "unknown"
    return "asked for" if ASKING in environ.get(VARIABLE, "").split(":") else "not asked for"
