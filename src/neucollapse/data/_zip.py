"""What Python's zip reader does not check: that no name stands twice, and that the directory leaves no member out."""

import struct
import zipfile

_LOCAL_HEADER = 30
_MAX_DESCRIPTOR = 24  # bytes behind a member that was written to a stream: its checksum and sizes
_STREAMED = 0x08


def checked_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members of an archive whose directory names each once, and between which nothing lies.

    With a damaged directory, members would be missing without a word; their bytes still lie in the file.

    Raises:
        ValueError: if a name stands twice, or bytes of the file belong to no member.
    """
    members = archive.infolist()
    seen: set[str] = set()
    for member in members:
        if member.filename in seen:
            raise ValueError(f"two members are called {member.filename!r}")
        seen.add(member.filename)
    stream, end, slack = archive.fp, 0, 0
    assert stream is not None  # noqa: S101 - the archive is open
    for member in [*sorted(members, key=lambda one: one.header_offset), None]:
        start = archive.start_dir if member is None else member.header_offset
        if not end <= start <= end + slack:
            raise ValueError(
                f"{abs(start - end)} bytes at {min(start, end)} belong to none of its {len(members)} members"
            )
        if member is not None:
            stream.seek(start)
            name, extra = struct.unpack("<HH", stream.read(_LOCAL_HEADER)[26:])
            end = start + _LOCAL_HEADER + name + extra + member.compress_size
            slack = _MAX_DESCRIPTOR if member.flag_bits & _STREAMED else 0
    return members
