"""`rgbd-seg <command>`: finds the commands in this folder and runs one.

A command is a module here, `train_it.py` being `rgbd-seg train-it`, with `add_arguments(parser)` and
`run(args) -> int`; the first line of its docstring is its help text. Only the chosen module is imported.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rgbd_seg_ros.cli._signals import orderly_end
from rgbd_seg_ros.errors import UserError

_FOLDER = Path(__file__).parent
_NOT_COMMANDS = {"__init__", "main"}
_INTERRUPTED = 130  # what shells report for SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `argv` (default: the arguments of this process) and gives the exit status, 2 for a mistake of the user."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    commands = find_commands()
    parser = argparse.ArgumentParser("rgbd-seg", description="RGB-D semantic segmentation for ROS 2.")
    choices = parser.add_subparsers(dest="command", metavar="command", required=True)
    chosen = next((argument for argument in arguments if not argument.startswith("-")), None)
    module = None
    for name, path in commands.items():
        summary = _summary(path)
        command = choices.add_parser(name, help=summary, description=summary)
        if name == chosen:
            module = importlib.import_module(f"{__package__}.{path.stem}")
            module.add_arguments(command)
    args = parser.parse_args(arguments)
    assert module is not None  # argparse ended above if no known command was given
    try:
        with orderly_end():
            return int(module.run(args))
    except UserError as error:
        print(f"rgbd-seg {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`| head`); keep Python from complaining again as it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def find_commands() -> dict[str, Path]:
    """The module file of each command, by name, in alphabetical order."""
    modules = (path for path in sorted(_FOLDER.glob("*.py")) if path.stem not in _NOT_COMMANDS)
    return {path.stem.replace("_", "-"): path for path in modules if not path.stem.startswith("_")}


def _summary(path: Path) -> str:
    """First line of the docstring of a module, read without importing it."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].replace("%", "%%")


if __name__ == "__main__":
    sys.exit(main())
