"""A ROS environment of one's own: private domain, this machine only, memory as the launch files give it."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.huge_pages import huge_page_environment
from rgbd_seg_ros.paths import DDS_PROFILE_VARIABLES, dds_environment

DOMAINS = range(20, 100)
"""Free of the ephemeral ports of Linux, and of domain 0, which everybody uses."""
TRANSPORT_VARIABLES = ("ROS_LOCALHOST_ONLY", *DDS_PROFILE_VARIABLES.values())


@contextmanager
def private_domain() -> Iterator[dict[str, str]]:
    """Environment variables for processes that shall talk to each other alone; the domain is locked meanwhile.

    Raises:
        UserError: when every domain is taken.
    """
    for domain in DOMAINS:
        path = Path(tempfile.gettempdir()) / f"rgbd_seg_domain_{os.getuid()}_{domain}.lock"
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield _environment(domain)
            return
    raise UserError(f"all ROS domains from {DOMAINS.start} to {DOMAINS.stop - 1} are in use by other plays")


@contextmanager
def joined(env: Mapping[str, str]) -> Iterator[None]:
    """Lets ROS contexts of this process talk to those of a private domain: sets its transport variables here."""
    names = [name for name in TRANSPORT_VARIABLES if name in env]
    before = {name: os.environ.get(name) for name in names}
    os.environ.update({name: env[name] for name in names})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _environment(domain: int) -> dict[str, str]:
    env = dict(os.environ)
    root = str(Path(__file__).resolve().parents[2])
    env["PYTHONPATH"] = os.pathsep.join(p for p in (root, env.get("PYTHONPATH", "")) if p)
    env |= {
        "ROS_DOMAIN_ID": str(domain),
        "ROS_LOCALHOST_ONLY": "1",
        "RCUTILS_LOGGING_BUFFERED_STREAM": "1",
    }
    return env | dds_environment(env, "fastdds_shm_localhost.xml") | huge_page_environment(env)
