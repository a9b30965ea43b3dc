"""A folder of files as documents: every file cut into chunks that know where they came from.

A chunk's id is `<relative path>#<n>`, the path with "/" and in Unicode NFC, n from 0. Its metadata has `source` (that
path), `start` and `end` (characters in the file's text), `heading` ("A > B", "" if none) and `page` (1-based, None
outside PDF). Its title is the heading, else an HTML page's title, else the
file's name. For text formats, `text[start:end]` of the
file read as Python reads text is the chunk's text, up to control characters (`text/clean.py`).

Files come in the order of their paths. Left out without a word: hidden files and folders (a leading dot, so
`.git` and its like), `node_modules`, `__pycache__`, `site-packages`, `bower_components`, `CVS`, `*.egg-info`,
virtual environments (a folder with `pyvenv.cfg`), indexes of Sleuth, finished or not, and links to folders, which could lead in a circle. Files
that no reader is for are counted by suffix in `Corpus.ignored`. A file that should have been read and
could not be is a Problem, and reading goes on: binary content, a wrong encoding, no permission, a broken link,
a pipe or device, a name that isn't UTF-8, two names that are one in NFC. An empty file has no chunks.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from sleuth.data.corpus import Notes
from sleuth.data.files import kind_of, text_of
from sleuth.data.html import Unreadable
from sleuth.data.lines import Problem
from sleuth.errors import FormatError
from sleuth.types import Doc

__all__ = ["is_index", "iter_file", "iter_folder"]

SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__", "site-packages", "bower_components", "CVS"})

INDEX_FILES = {
    "manifest.json": re.compile(rb'\s*\{\s*"format"\s*:\s*"sleuth index"'),
    "unfinished": re.compile(rb"sleuth index:"),
}
"""How the files begin that tell an index (`sleuth/index/store.py`, a later room) from other folders."""


def iter_folder(folder: Path, notes: Notes, *, chunk_tokens: int, overlap: int) -> Iterator[Doc]:
    """The chunks of all files below a folder (module docstring).

    Raises:
        FormatError: The folder itself can't be listed.
    """
    seen: set[str] = set()
    for path, relative in _files(folder, notes):
        source = unicodedata.normalize("NFC", relative)
        if source in seen:
            notes.problem(Problem(relative, f"another file has the same name in Unicode NFC, {source!r}"))
            continue
        seen.add(source)
        yield from iter_file(path, source, notes, chunk_tokens=chunk_tokens, overlap=overlap)


def iter_file(path: Path, source: str, notes: Notes, *, chunk_tokens: int, overlap: int) -> Iterator[Doc]:
    """The chunks of one file under this name; a file that can't be read is a problem."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise Unreadable("not a regular file")
        kind = kind_of(path)
        if kind is None:
            raise Unreadable(f"no reader for files named {path.suffix or path.name}")
        content = text_of(path, kind)
    except Unreadable as error:
        notes.problem(Problem(source, str(error)))
        return
    except OSError as error:
        broken = "a link that leads nowhere" if path.is_symlink() else error.strerror or str(error)
        notes.problem(Problem(source, broken))
        return
    name = source.rpartition("/")[2]
    for at, (chunk, page) in enumerate(content.chunks(max_tokens=chunk_tokens, overlap=overlap)):
        metadata = {"source": source, "start": chunk.start, "end": chunk.end, "heading": chunk.heading, "page": page}
        yield Doc(f"{source}#{at}", chunk.text, chunk.heading or content.title or name, metadata)


def is_index(folder: Path) -> bool:
    """Whether a folder is an index of Sleuth, or the beginning of one."""
    for name, marker in INDEX_FILES.items():
        try:
            with (folder / name).open("rb") as handle:
                if marker.match(handle.read(64)):
                    return True
        except OSError:
            continue
    return False


def _files(folder: Path, notes: Notes) -> Iterator[tuple[Path, str]]:
    """(path, path relative to the folder with "/") of every file to be read, in order."""
    pending: list[tuple[Path, str]] = [(folder, "")]
    while pending:
        path, relative = pending.pop()
        if relative and not relative.endswith("/"):
            yield path, relative
            continue
        try:
            with os.scandir(path) as listing:
                entries = sorted(listing, key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            if not relative:
                raise FormatError(folder, f"can't be listed: {error.strerror or error}") from error
            notes.problem(Problem(relative, f"can't be listed: {error.strerror or error}"))
            continue
        if relative and (any(entry.name == "pyvenv.cfg" for entry in entries) or is_index(path)):
            continue
        pending += [step for entry in entries if (step := _step(entry, relative, notes)) is not None]


def _step(entry: os.DirEntry[str], above: str, notes: Notes) -> tuple[Path, str] | None:
    """The next place to look at, a folder's name ending in "/"; None for what is left out."""
    name = entry.name
    if name.startswith(".") or name in SKIPPED_FOLDERS or name.endswith(".egg-info"):
        return None
    path, relative = Path(entry.path), above + name
    if not _is_utf8(relative):
        notes.problem(Problem(relative.encode("utf-8", "backslashreplace").decode(), "its name is not UTF-8"))
        return None
    try:
        is_folder = entry.is_dir()
    except OSError:
        is_folder = False
    if is_folder:
        if entry.is_symlink():
            notes.ignored["(link to a folder)"] += 1
            return None
        return path, relative + "/"
    if kind_of(path) is None:
        notes.ignored[path.suffix.lower() or "(no suffix)"] += 1
        return None
    return path, relative


def _is_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
