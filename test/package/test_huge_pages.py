"""Processes that run networks ask for huge pages, unless the user has other wishes for glibc."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from rgbd_seg_ros.huge_pages import huge_page_environment, huge_pages
from rgbd_seg_ros.replay.domain import private_domain

ASK = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
MINE = {"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"}
BOTH = {"GLIBC_TUNABLES": "glibc.malloc.arena_max=2:glibc.malloc.hugetlb=1"}


def test_glibc_is_asked_unless_the_user_has_set_something_there() -> None:
    assert huge_page_environment({}) == ASK
    assert huge_page_environment({"GLIBC_TUNABLES": ""}) == ASK
    assert huge_page_environment(MINE) == {}


def test_nodes_of_demo_and_benchmark_ask_as_the_launched_ones_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    with private_domain() as env:
        assert env["GLIBC_TUNABLES"] == ASK["GLIBC_TUNABLES"]
    monkeypatch.setenv("GLIBC_TUNABLES", MINE["GLIBC_TUNABLES"])
    with private_domain() as env:
        assert env["GLIBC_TUNABLES"] == MINE["GLIBC_TUNABLES"]


@pytest.mark.parametrize(
    ("setting", "environ", "answer"),
    [
        ("always madvise [never]", ASK, "never"),
        ("[always] madvise never", {}, "always"),
        ("always [madvise] never", ASK, "asked for"),
        ("always [madvise] never", BOTH, "asked for"),
        ("always [madvise] never", MINE, "not asked for"),
        ("always [madvise] never", {}, "not asked for"),
        ("nonsense", ASK, "unknown"),
        (None, ASK, "unknown"),
    ],
)
def test_a_measurement_says_whether_it_had_them(
    setting: str | None, environ: dict[str, str], answer: str, tmp_path: Path
) -> None:
    file = tmp_path / "enabled"
    if setting is not None:
        file.write_text(setting, encoding="ascii")
    assert huge_pages(environ, file) == answer


def test_the_variable_is_one_that_glibc_reads() -> None:
    loader = next((p for folder in ("/lib64", "/lib") for p in Path(folder).glob("ld-linux-*.so.*")), None)
    version = [int(part) for part in re.findall(r"\d+", os.confstr("CS_GNU_LIBC_VERSION") or "")]
    if loader is None or version < [2, 35]:
        pytest.skip("glibc before 2.35, or another C library: there are no huge pages to ask it for")
    command = [str(loader), "--list-tunables"]
    told = subprocess.run(command, env=os.environ | ASK, capture_output=True, text=True, check=True).stdout
    assert re.search(r"glibc\.malloc\.hugetlb: 0x1\b", told)
