"""Where the CPU of a running program goes: `python -m benchmarks.where OUT ARGUMENTS...` runs `tidings ARGUMENTS...`.

A thread looks at the others every few milliseconds and gives what CPU each used since to the functions that it is in.
It reads no child process: the parser's CPU is not in it. What it costs itself is a few per cent.
"""

import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

_EVERY = 0.004  # seconds
_TOP = 30


class Watch:
    """The looking thread and what it saw: CPU nanoseconds by thread, and by function, its own and with callees."""

    def __init__(self) -> None:
        self.threads: Counter[str] = Counter()
        self.own: Counter[tuple[str, str]] = Counter()
        self.whole: Counter[tuple[str, str]] = Counter()
        self._used: dict[int, int] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="where", daemon=True)

    def start(self) -> None:
        """Look from now on."""
        sys.setswitchinterval(0.001)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(_EVERY):
            frames = sys._current_frames()
            for thread in threading.enumerate():
                frame = frames.get(thread.ident or 0)
                if thread is not self._thread and frame is not None and thread.native_id is not None:
                    self._look(thread.name, thread.native_id, frame)

    def _look(self, name: str, native_id: int, frame: FrameType) -> None:
        try:
            used = int(Path(f"/proc/self/task/{native_id}/schedstat").read_text().split()[0])
        except OSError:  # it has just ended
            return
        spent = used - self._used.get(native_id, used)
        self._used[native_id] = used
        if not spent:
            return
        self.threads[name] += spent
        self.own[name, _place(frame)] += spent
        here: FrameType | None = frame
        seen = set()
        while here is not None:
            seen.add(_place(here))
            here = here.f_back
        for place in seen:
            self.whole[name, place] += spent

    def report(self) -> str:
        """What was seen, as text."""
        total = self.threads.total() or 1
        lines = [f"{total / 1e9:.2f} CPU seconds were seen, by thread:"]
        lines += [f"  {spent / total:6.1%} {name}" for name, spent in self.threads.most_common(10)]
        for title, counts in (("in itself", self.own), ("with what it calls", self.whole)):
            lines.append(f"By function, {title}:")
            lines += [f"  {spent / total:6.1%} {name:12} {place}" for (name, place), spent in counts.most_common(_TOP)]
        return "\n".join(lines) + "\n"


def _place(frame: FrameType) -> str:
    path = Path(frame.f_code.co_filename)
    return f"{path.parent.name}/{path.name}:{frame.f_code.co_firstlineno} {frame.f_code.co_qualname}"


def main(out: str, *arguments: str) -> None:
    """Run the program, and write the report when it has ended."""
    from tidings.cli import main as program

    sys.argv = ["tidings", *arguments]
    watch = Watch()
    watch.start()
    began = time.monotonic()
    try:
        program()
    finally:
        watch.stop()
        Path(out).write_text(f"{time.monotonic() - began:.1f} seconds\n{watch.report()}", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
