"""Whether bounces are read right, counted on real ones: `python -m benchmarks.quality_bounces CORPUS` names the misses.

What is expected is Sisimai's reading, as the corpus README says. The figures are printed by benchmarks.quality.
"""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import Figure
from tidings.mailer.bounces import read_bounce
from tidings.mailer.parsed import Reading

_ADDRESSES_WANTED = 0.95
_CLASSES_WANTED = 0.95


@dataclass(frozen=True, kw_only=True)
class Case:
    """A bounce, how it was read, and what is expected of it; None where that is not known."""

    name: str
    reading: Reading
    addresses: list[str] | None
    classes: list[bool | None] | None
    """For each recipient whether it is permanent; None where it was delivered to."""
    seconds: float

    @property
    def addresses_right(self) -> bool:
        return set(self.addresses or ()) == {one.address.lower() for one in self.reading.returned}

    @property
    def classes_right(self) -> list[bool]:
        return [self._read(place) == wanted for place, wanted in enumerate(self.classes or ())]

    def _read(self, place: int) -> bool | None:
        """How the recipient in that place was read: by the address, or by the place where the addresses differ."""
        read = {one.address.lower(): one.permanent for one in self.reading.returned}
        address = self.addresses[place] if self.addresses and place < len(self.addresses) else ""
        if address in read or self.addresses_right:
            return read.get(address)
        return dict(enumerate(read.values())).get(place)


def cases(corpus: Path) -> Iterator[Case]:
    """Every bounce of the corpus whose reading is known."""
    folder = corpus / "bounces"
    for name, expected in sorted(json.loads((folder / "expected.json").read_text()).items()):
        recipients, tested = expected["recipients"], expected["tested"]
        raw = (folder / "sisimai" / name).read_bytes()
        began = time.perf_counter()
        reading = read_bounce(raw)
        yield Case(
            name=name,
            reading=reading,
            addresses=[one["recipient"].lower() for one in recipients] if recipients else None,
            classes=[_class(one) for one in tested] if tested else None,
            seconds=time.perf_counter() - began,
        )


def _class(tested: dict[str, Any]) -> bool | None:
    return None if tested["reason"] == "delivered" else bool(tested["hardbounce"])


def figures(corpus: Path) -> Iterator[Figure]:
    """How many are read right, and what is taken for a bounce that is none."""
    folder = corpus / "bounces"
    if not folder.is_dir():
        return
    every = list(cases(corpus))
    named = [case.addresses_right for case in every if case.addresses is not None]
    yield _share("bounces", "files whose addresses are right", named, _ADDRESSES_WANTED)
    classes = [right for case in every for right in case.classes_right]
    yield _share("bounces", "recipients rightly permanent or temporary", classes, _CLASSES_WANTED)
    ends = [_alike(path, folder / "sisimai") for path in sorted((folder / "line-endings").glob("*.eml"))]
    yield _share("bounces/line-endings", "files read as with LF", ends, 1)
    for others in (folder / "not-a-bounce", corpus / "automated"):
        taken = [read_bounce(path.read_bytes()).returned != () for path in sorted(others.glob("*.eml"))]
        value = f"{sum(taken)} of {len(taken)}"
        of = str(others.relative_to(corpus))
        yield Figure(of=of, what="files taken for a bounce", value=value, wanted="0", ok=not any(taken))


def _share(of: str, what: str, right: list[bool], wanted: float) -> Figure:
    share = sum(right) / max(len(right), 1)
    value = f"{sum(right)} of {len(right)}, {share:.1%}"
    return Figure(of=of, what=what, value=value, wanted=f"at least {wanted:.0%}", ok=share >= wanted)


def _alike(path: Path, twins: Path) -> bool:
    """Whether a file with other line ends is read as the same one with LF, where that is there too."""
    raw = path.read_bytes()
    twin = twins / path.name.split("-", 1)[1]
    with_lf = twin.read_bytes() if twin.exists() else raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return read_bounce(raw) == read_bounce(with_lf)


def main(corpus: str) -> None:
    """Print the files that are not read right, and how long one takes."""
    every = list(cases(Path(corpus)))
    for case in every:
        if case.addresses is not None and not case.addresses_right:
            print(f"{case.name}: other addresses")
        if not all(case.classes_right):
            print(f"{case.name}: other class")
    seconds = sorted(case.seconds for case in every)
    print(f"{seconds[len(seconds) // 2] * 1000:.1f} ms a file (median), {seconds[-1] * 1000:.0f} ms at most")


if __name__ == "__main__":
    main(sys.argv[1])
