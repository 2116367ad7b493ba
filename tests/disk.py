"""A folder as a power cut could have left it: made from what strace saw a program write, sync, rename and remove.

What was synced is there. Of what was written to a file since its last sync any part may be, by sectors and in any
order; of the names that a folder got or lost since its own last sync, those up to some moment. A sync counts once the
call has returned, and for what had been written before it began. Writes to mapped memory are not seen: SQLite so writes
only what it makes anew when it starts (`-shm`), which is left out here, and PostgreSQL nothing that lies on the disk.
"""

import os
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

SECTOR = 512  # bytes that a disk writes wholly or not at all
_NETWORK = ("sendto", "recvfrom")
_HARMLESS = ("sync_file_range",)  # promises nothing
_TRACED = (
    *("openat", "open", "creat", "write", "pwrite64", "writev", "pwritev", "pwritev2", "ftruncate", "truncate"),
    *("fallocate", "lseek", "sync", "syncfs", "fsync", "fdatasync", "rename", "renameat", "renameat2", "link"),
    *("linkat", "unlink", "unlinkat", "mkdir", "rmdir", "copy_file_range", "sendfile", *_HARMLESS, *_NETWORK),
)
STRACE = ("--seccomp-bpf", "-f", "-qq", "-xx", "-y", "-s", "100000000", "-e", f"trace={','.join(_TRACED)}")
"""Options of strace for what is read here."""

Keep = Literal["synced", "everything", "some"]
Image = Mapping[str, bytes | None]
"""What differs from the folder at the beginning: the bytes of a file by its path, None where it is gone."""

_LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)")
_RESULT = re.compile(r"\) += (-?\d+)")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_PATH = re.compile(r"^(-?\w+)<((?:\\x[0-9a-f]{2})*)>")


@dataclass(frozen=True)
class Call:
    """A system call, or with `begins` or `ends` alone the one half of it: others may come between."""

    process: int
    name: str
    arguments: str
    result: int  # 0 while it is not known
    begins: bool
    ends: bool

    def strings(self) -> list[bytes]:
        """All strings among the arguments."""
        return [_unhex(found) for found in _STRING.findall(self.arguments)]

    def file(self) -> tuple[int, str]:
        """The descriptor that comes first, and its path."""
        found = _PATH.match(self.arguments)
        return (int(found[1]), os.fsdecode(_unhex(found[2]))) if found and found[1] != "AT_FDCWD" else (-1, "")

    def number(self, place: int) -> int:
        """An argument that is a number, by its place from the end (-1 is the last)."""
        return int(self.arguments.rsplit(")", 1)[0].split(", ")[place])


def calls(log: Path) -> Iterator[Call]:
    """What strace wrote, in order."""
    begun: dict[tuple[int, str], str] = {}
    with log.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            found = _LINE.match(line)
            if not found:
                continue
            process, resumed, name, rest = int(found[1]), found[2], found[3] or found[2], found[4]
            if rest.endswith("<unfinished ...>"):
                begun[process, name] = rest.removesuffix(" <unfinished ...>")
                yield Call(process, name, begun[process, name] + ")", 0, True, False)
                continue
            whole = begun.pop((process, name), "") + rest
            cut = whole.rfind(") ")
            result = _RESULT.match(whole, cut)
            yield Call(process, name, whole[: cut + 1], int(result[1]) if result else 0, not resumed, True)


def _unhex(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


@dataclass
class _File:
    """One file, whatever its name: its synced bytes, and the changes since (None: cut or filled to that length)."""

    synced: bytearray
    since: list[tuple[int, bytes | None]] = field(default_factory=list)
    synced_changes: int = 0
    changed: bool = False

    @property
    def changes(self) -> int:
        """How many there were so far."""
        return self.synced_changes + len(self.since)

    def sync(self, changes: int) -> None:
        """So many of the changes are on the disk; another sync may have brought more of them there meanwhile."""
        many = max(0, changes - self.synced_changes)
        for place, data in self.since[:many]:
            _apply(self.synced, place, data)
        del self.since[:many]
        self.synced_changes += many

    def content(self, keep: Keep, chance: random.Random) -> bytes:
        content = bytearray(self.synced)
        for place, data in self.since if keep != "synced" else ():
            if keep == "everything":
                _apply(content, place, data)
            elif data is None:
                if chance.random() < 0.5:
                    _apply(content, place, None)
            else:
                _apply_some(content, place, data, chance)
        return bytes(content)


def _apply(content: bytearray, place: int, data: bytes | None) -> None:
    end = place + len(data or b"")
    if len(content) < end:
        content += bytes(end - len(content))
    if data is None:
        del content[place:]
    else:
        content[place:end] = data


def _apply_some(content: bytearray, place: int, data: bytes, chance: random.Random) -> None:
    """Half of the sectors, on average; often all or none."""
    share = chance.choice((0.0, 0.5, 0.5, 1.0))
    begin = 0
    while begin < len(data):
        end = min(len(data), (place + begin) // SECTOR * SECTOR + SECTOR - place)
        if chance.random() < share:
            _apply(content, place + begin, data[begin:end])
        begin = end


class Disk:
    """A folder while calls are made: what is on the disk for good, and what may be."""

    def __init__(self, root: Path, base: Path) -> None:
        """`root` is what the calls name; `base` holds what was in it before the first of them."""
        self._root = str(root)
        self._named: dict[str, _File] = {}
        for path in base.rglob("*"):
            if path.is_file():
                self._named[str(root / path.relative_to(base))] = _File(bytearray(path.read_bytes()))
        self._synced_names = dict(self._named)
        self._renamed: dict[str, list[tuple[str, _File | None]]] = {}  # by folder
        self._places: dict[tuple[int, int], int] = {}  # of open files, by process and descriptor
        self._syncing: dict[int, int] = {}  # how much of a file each process waits for
        self._at_first = dict(self._named)

    def note(self, call: Call) -> None:
        """One more call; what failed changes nothing. Raises NotImplementedError for one that is not known here."""
        if call.ends and call.result < 0:
            return
        if call.name in ("openat", "open", "creat"):
            if call.ends:
                self._open(call)
        elif call.name in ("rename", "link", "unlink"):
            if call.ends:
                self._rename(call)
        elif call.name in ("fsync", "fdatasync"):
            self._sync(call)
        elif call.name in ("write", "pwrite64", "pwritev", "ftruncate", "fallocate"):
            if call.begins and self._is_ours(call.file()[1]):
                self._write(call)
        elif call.name == "lseek":
            if call.ends:
                self._places[call.process, call.file()[0]] = call.result
        elif call.name not in (*_NETWORK, *_HARMLESS) and self._concerns(call):
            raise NotImplementedError(f"{call.name}({call.arguments[:200]}")

    def image(self, keep: Keep, chance: random.Random) -> Image:
        """What a power cut leaves at this moment: nothing, all or some of what is not synced."""
        names = dict(self._synced_names)
        for changes in self._renamed.values():
            last = {"synced": 0, "everything": len(changes), "some": chance.randint(0, len(changes))}[keep]
            for path, file in changes[:last]:
                if file is None:
                    names.pop(path, None)
                else:
                    names[path] = file
        return {
            self._below(path): names[path].content(keep, chance) if path in names else None
            for path in names.keys() | self._at_first.keys()
            if path not in names or names[path].changed or self._at_first.get(path) is not names[path]
        }

    def _concerns(self, call: Call) -> bool:
        return any(map(self._is_ours, [call.file()[1], *map(self._absolute, call.strings()[:2])]))

    def _is_ours(self, path: str) -> bool:
        return path.startswith(self._root + "/") and not path.endswith("-shm")

    def _below(self, path: str) -> str:
        return path[len(self._root) + 1 :]

    def _absolute(self, path: bytes) -> str:
        # PostgreSQL stands in its data directory; whoever stands elsewhere says the whole path.
        return os.path.normpath(Path(self._root) / os.fsdecode(path))

    def _name(self, path: str, file: _File | None) -> None:
        if file is None:
            self._named.pop(path, None)
        else:
            self._named[path] = file
        self._renamed.setdefault(str(Path(path).parent), []).append((path, file))

    def _open(self, call: Call) -> None:
        path = self._absolute(call.strings()[0])
        if not self._is_ours(path):
            return
        self._places[call.process, call.result] = 0
        if path not in self._named and "O_CREAT" in call.arguments:
            self._name(path, _File(bytearray(), changed=True))
        if "O_TRUNC" in call.arguments:
            self._change(path, 0, None)

    def _rename(self, call: Call) -> None:
        paths = [self._absolute(path) for path in call.strings()]
        if self._is_ours(paths[0]):
            file = self._named[paths[0]]
            if call.name != "unlink":
                self._name(paths[1], file)
            if call.name != "link":
                self._name(paths[0], None)

    def _change(self, path: str, place: int, data: bytes | None) -> None:
        self._named[path].since.append((place, data))
        self._named[path].changed = True

    def _write(self, call: Call) -> None:
        descriptor, path = call.file()
        if path not in self._named:
            return  # it has no name any more
        if call.name == "ftruncate":
            self._change(path, call.number(-1), None)
        elif call.name == "fallocate":
            file = self._named[path]
            length = max([len(file.synced), *(place + len(data or b"") for place, data in file.since)])
            end = call.number(-2) + call.number(-1)
            if end > length:
                self._change(path, length, bytes(end - length))
        else:
            data = b"".join(call.strings())
            key = (call.process, descriptor)
            place = self._places[key] if call.name == "write" else call.number(-1)
            if call.name == "write":
                self._places[key] = place + len(data)
            self._change(path, place, data)

    def _sync(self, call: Call) -> None:
        path = call.file()[1]
        file = self._named.get(path)
        if file is not None:
            if call.begins:
                self._syncing[call.process] = file.changes
            if call.ends:
                file.sync(self._syncing.pop(call.process))
        elif call.ends:
            for name, named in self._renamed.pop(path, ()):
                if named is None:
                    self._synced_names.pop(name, None)
                else:
                    self._synced_names[name] = named
