"""What importing the package costs, and what happens without the ray caster."""

from __future__ import annotations

import subprocess
import sys

from rgbd_seg_ros import scenes


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_the_camera_alone_loads_no_ray_caster() -> None:
    done = run("import sys\nfrom rgbd_seg_ros.scenes import Camera\nsys.exit('embreex' in sys.modules)")
    assert done.returncode == 0, done.stderr


def test_a_missing_ray_caster_is_named_with_the_remedy() -> None:
    done = run(
        "import sys\nsys.modules['embreex'] = None\n"
        "from rgbd_seg_ros.errors import UserError\n"
        "try:\n    from rgbd_seg_ros.scenes import render_sample\n"
        "except UserError as e:\n    print(e)\n"
    )
    assert "pip install embreex" in done.stdout, done.stderr


def test_every_public_name_exists() -> None:
    assert all(getattr(scenes, name) is not None for name in scenes.__all__)
