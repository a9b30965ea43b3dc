"""Append-only, checksummed records: how every long job resumes after a kill.

A journal is a file of frames: `length (u32) · CRC-32 (u32) · payload`, little-endian, after a header
with a magic number and the job's identity. A frame counts once it is whole. After a crash the last
frame may be torn: opening the journal drops it, truncates the file to the last whole frame and says
so (`dropped_bytes`, and a warning in the log). A frame that is damaged in the middle ends the journal there
too: what follows can't be trusted, and is counted as dropped.

    with Journal.open(path, job="encode/minilm/3f2a") as journal:
        done = {record["batch"] for record in journal.records()}
        for batch in batches:
            if batch.name not in done:
                journal.append({"batch": batch.name, "vectors": vectors.tobytes()})
"""

from __future__ import annotations

import logging
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from sleuth.errors import FormatError, JournalError

__all__ = ["Journal"]

log = logging.getLogger(__name__)

MAGIC = b"SLJ1"
FRAME = struct.Struct("<II")
LARGEST_FRAME_BYTES = 1 << 30
"""A length above this is damage, not data (ours: far above any batch, far below memory)."""


class Journal:
    """One job's records; open it with `Journal.open`.

    Attributes:
        path: The file.
        job: The job's identity; another one is refused.
        dropped_bytes: What a crash left behind the last whole frame and was cut off.
    """

    def __init__(self, path: Path, job: str, handle: Any, dropped_bytes: int) -> None:
        self.path, self.job, self.dropped_bytes = path, job, dropped_bytes
        self._handle = handle
        self._start = len(_header(job))

    @classmethod
    def open(cls, path: str | Path, *, job: str) -> Journal:
        """Open or make a journal, dropping a torn tail.

        Args:
            path: The file; its folder must exist.
            job: What the records belong to (settings' hash, say). Part of the header.

        Raises:
            FormatError: The file is no journal.
            JournalError: It belongs to another job.
        """
        path = Path(path)
        header = _header(job)
        handle = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
        try:
            head = handle.read(len(header))
            if head != header:
                if header.startswith(head):  # new, or torn while its header was written
                    handle.seek(0)
                    handle.truncate()
                    handle.write(header)
                    _sync(handle)
                    return cls(path, job, handle, 0)
                if not head.startswith(MAGIC):
                    raise FormatError(path, "not a journal; move it away and run the command again")
                raise JournalError(f"{path} belongs to another job than {job!r}; delete it to start over")
            end = len(header)
            for payload in _frames(handle):
                end += FRAME.size + len(payload)
            size = handle.seek(0, os.SEEK_END)
            dropped = size - end
            if dropped:
                log.warning("%s: dropped %d bytes behind the last whole record", path, dropped)
                handle.truncate(end)
                _sync(handle)
            handle.seek(end)
            return cls(path, job, handle, dropped)
        except BaseException:
            handle.close()
            raise

    def append_bytes(self, payload: bytes, *, sync: bool = True) -> None:
        """Write one record; when this returns with `sync`, it survives a crash."""
        if len(payload) > LARGEST_FRAME_BYTES:
            raise JournalError(f"{self.path}: a record of {len(payload):,} bytes is too large; write it in parts")
        self._handle.write(FRAME.pack(len(payload), zlib.crc32(payload)) + payload)
        if sync:
            _sync(self._handle)
        else:
            self._handle.flush()

    def append(self, record: Any, *, sync: bool = True) -> None:
        """Write one JSON record."""
        self.append_bytes(orjson.dumps(record), sync=sync)

    def payloads(self) -> Iterator[bytes]:
        """Every record's bytes, oldest first, read through a handle of its own."""
        with self.path.open("rb") as handle:
            handle.seek(self._start)
            yield from _frames(handle)

    def records(self) -> Iterator[Any]:
        """Every JSON record, oldest first."""
        for payload in self.payloads():
            yield orjson.loads(payload)

    def close(self) -> None:
        """Close the file; the records stay."""
        self._handle.close()

    def remove(self) -> None:
        """The job is done: close and delete the file."""
        self.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _header(job: str) -> bytes:
    name = job.encode()
    return MAGIC + struct.pack("<I", len(name)) + name


def _frames(handle: Any) -> Iterator[bytes]:
    """Whole frames from the handle's position on; ends at the first that is torn or damaged."""
    while True:
        head = handle.read(FRAME.size)
        if len(head) < FRAME.size:
            return
        length, checksum = FRAME.unpack(head)
        if length > LARGEST_FRAME_BYTES:
            return
        payload = handle.read(length)
        if len(payload) < length or zlib.crc32(payload) != checksum:
            return
        yield payload


def _sync(handle: Any) -> None:
    handle.flush()
    os.fsync(handle.fileno())
