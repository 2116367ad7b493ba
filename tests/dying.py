"""A site that takes mail and is killed as soon as a message is committed, before any reply.

`python -m tests.dying CONFIG` prints its port when it listens.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tidings.app import open_site
from tidings.mailer.spool import Spool
from tidings.serving import Server
from tidings.settings import load


class Dying:
    """The process, as a test sees it."""

    def __init__(self, config: Path) -> None:
        line = [sys.executable, "-m", "tests.dying", str(config)]
        self._process = subprocess.Popen(line, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def died(self) -> bool:
        """Whether it was killed, once it is gone."""
        self._process.communicate(timeout=20)
        return self._process.returncode == -signal.SIGKILL


class _DyingSpool(Spool):
    def append(self, *messages: Any) -> list[str]:
        super().append(*messages)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("not dead")


async def _serve(config: Path) -> None:
    site = open_site(load(config))
    object.__setattr__(site, "spool", _DyingSpool(site.spool_database))
    server = Server(site, site.web(), ("smtp",))
    print((await server.start()).smtp, flush=True)
    await asyncio.Event().wait()


def main(arguments: Sequence[str]) -> None:
    """Serve until death."""
    asyncio.run(_serve(Path(arguments[0])))


if __name__ == "__main__":
    main(sys.argv[1:])
