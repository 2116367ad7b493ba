"""Where the CPU of a program goes: `python -m benchmarks.where OUT ARGUMENTS...` runs `tidings ARGUMENTS...`.

A thread looks at the others every few milliseconds, and gives what CPU each used meanwhile to the functions that it is
in. OUT is a report by kind of thread and by function. The parser's process is not in it.
"""

import re
import sys
import threading
from collections import Counter
from pathlib import Path
from types import FrameType

_EVERY = 0.003  # seconds
# A thread gives up the interpreter by itself where it waits or calls SQLite. Were it not soon asked to elsewhere, it
# would be seen there only.
_SWITCH = 0.00005  # seconds
_TOP = 25


class Watch:
    """The looking thread and what it saw: CPU nanoseconds by kind of thread, and by function in each."""

    def __init__(self) -> None:
        self._own: dict[str, Counter[str]] = {}
        self._whole: dict[str, Counter[str]] = {}
        self._used: dict[int, int] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="where", daemon=True)

    def start(self) -> None:
        """Look from now on."""
        sys.setswitchinterval(_SWITCH)
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
                    self._look(re.sub(r"[-_ ]?\d+", "", thread.name), thread.native_id, frame)

    def _look(self, kind: str, native_id: int, frame: FrameType) -> None:
        try:
            used = int(Path(f"/proc/self/task/{native_id}/schedstat").read_text().split()[0])
        except OSError:  # it has just ended
            return
        spent = used - self._used.get(native_id, used)
        self._used[native_id] = used
        if not spent:
            return
        self._own.setdefault(kind, Counter())[_name(frame)] += spent
        here: FrameType | None = frame
        seen = set()
        while here is not None:
            seen.add(_name(here))
            here = here.f_back
        whole = self._whole.setdefault(kind, Counter())
        for name in seen:
            whole[name] += spent

    def report(self) -> str:
        """What was seen, as text."""
        total = sum(counts.total() for counts in self._own.values()) or 1
        lines = []
        for kind in sorted(self._own, key=lambda kind: -self._own[kind].total()):
            spent = self._own[kind].total()
            lines.append(f"== {kind}: {spent / 1e9:.2f} CPU seconds, {spent / total:.0%} of all")
            for title, counts in (("in itself", self._own[kind]), ("with what it calls", self._whole[kind])):
                lines.append(f"   {title}")
                lines += [
                    f"   {each / total:6.1%} {each / 1e9:8.2f} s  {name}" for name, each in counts.most_common(_TOP)
                ]
        return "\n".join(lines) + "\n"


def _name(frame: FrameType) -> str:
    file = "/".join(Path(frame.f_code.co_filename).parts[-2:])
    return f"{file}:{frame.f_code.co_firstlineno} {frame.f_code.co_qualname}"


def main(out: str, *arguments: str) -> None:
    """Run the program, and write the report when it has ended."""
    from tidings.cli import main as program

    sys.argv = ["tidings", *arguments]
    watch = Watch()
    watch.start()
    try:
        program()
    finally:
        watch.stop()
        Path(out).write_text(watch.report(), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
