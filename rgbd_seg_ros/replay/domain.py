"""A ROS environment of one's own: private domain, this machine only, shared memory that fits images."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.paths import config_file

DOMAINS = range(20, 100)
"""Free of the ephemeral ports of Linux, and of domain 0, which everybody uses."""
# Fast DDS changed the name of the variable with ROS 2 Kilted; both are set.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


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


def _environment(domain: int) -> dict[str, str]:
    env = dict(os.environ)
    root = str(Path(__file__).resolve().parents[2])
    env["PYTHONPATH"] = os.pathsep.join(p for p in (root, env.get("PYTHONPATH", "")) if p)
    env |= {
        "ROS_DOMAIN_ID": str(domain),
        "ROS_LOCALHOST_ONLY": "1",
        "RCUTILS_LOGGING_BUFFERED_STREAM": "1",
    }
    if not any(variable in env for variable in PROFILE_VARIABLES):
        env |= dict.fromkeys(PROFILE_VARIABLES, str(config_file("fastdds_shm_localhost.xml")))
    return env
