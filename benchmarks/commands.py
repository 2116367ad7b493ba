"""A site in a folder of its own that is driven by the command line, as an admin would.

It checks nothing but that each command ends well.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ADMIN = "admin@example.org"


class Commands:
    """The `tidings` command of one site."""

    def __init__(self, folder: Path) -> None:
        """Make the site, in `folder`."""
        self.folder = folder
        self.config = folder / "tidings.toml"
        self.run("init", str(folder), "--yes", "--admin", ADMIN)

    def run(self, *arguments: object) -> str:
        """What a command prints. Raises RuntimeError with what it complained of where it failed."""
        done = subprocess.run(self.line(*arguments), capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"tidings {arguments[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    def line(self, *arguments: object) -> list[str]:
        """The command line of a command."""
        # Without -P the current folder would shadow installed packages.
        return [sys.executable, "-P", "-m", "tidings.cli", "-c", str(self.config), *map(str, arguments)]

    def json(self, *arguments: object) -> Any:
        """The one JSON value that a command prints."""
        return json.loads(self.run(*arguments, "--json"))

    def json_lines(self, *arguments: object) -> list[Any]:
        """The JSON lines that a command prints."""
        return [json.loads(line) for line in self.run(*arguments, "--json").splitlines()]
