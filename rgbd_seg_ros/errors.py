"""The one exception type for mistakes that a user can mend."""

from __future__ import annotations


class UserError(Exception):
    """A file, parameter, bundle, bag or message is unusable.

    The text is one sentence that names the thing and the remedy. Command lines print it without a
    traceback and exit with status 2; nodes refuse the transition or parameter with it.
    """
