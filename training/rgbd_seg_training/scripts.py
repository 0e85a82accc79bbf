"""How every script ends: one-sentence errors, exit statuses. It brings in no torch: preparing data needs none."""

from __future__ import annotations

import sys
from collections.abc import Callable

from rgbd_seg_ros.errors import UserError

RESUME = "interrupted; continue with --resume true"
AGAIN = "interrupted; what was there before is as it was, run the command again"


def run_script(main: Callable[[], None], interrupted: str = RESUME) -> int:
    """Run a script's main function; a `UserError` becomes one line and exit status 2, ^C the line `interrupted`."""
    try:
        main()
    except UserError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130
    return 0
