"""The text and structure of one file: Markdown, text, reStructuredText, source code, HTML, PDF.

| kind | suffixes |
|---|---|
| Markdown | .md .markdown .mdown .mkd |
| text | .txt .text .adoc .org .tex |
| reStructuredText | .rst |
| HTML (extra `files`) | .html .htm .xhtml |
| PDF (extra `files`) | .pdf |
| source | .py .pyi .js .mjs .cjs .ts .tsx .jsx .java .kt .scala .groovy .c .h .cc .cpp .cxx .hpp .hh .cs .go .rs .rb .php .swift .dart .lua .pl .pm .r .jl .sh .bash .zsh .ps1 .sql .hs .ml .ex .exs .erl .clj .el .nim .zig |

Upper and lower case are the same. Text is UTF-8, or UTF-16 where a byte-order mark says so; another encoding,
or a NUL in the first 8 KiB, is a reported problem: guessing would put garbage into an index. What cleaning
changes is said in `text/clean.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from sleuth.data.html import Unreadable, page_of
from sleuth.errors import MissingExtra
from sleuth.text.chunk import Chunk, cut, cut_along
from sleuth.text.clean import cleaned
from sleuth.text.outline import Outline, structure_of

__all__ = ["LARGEST_FILE_BYTES", "FileText", "kind_of", "text_of"]

LARGEST_FILE_BYTES = 64 << 20
"""A larger file is reported instead of read (ours: 64 MiB of text is some 30 novels a file)."""

FileKind = Literal["plain", "markdown", "rst", "source", "html", "pdf"]

_SOURCE = (
    "py pyi js mjs cjs ts tsx jsx java kt scala groovy c h cc cpp cxx hpp hh cs go rs rb php swift dart lua pl pm r jl "
    "sh bash zsh ps1 sql hs ml ex exs erl clj el nim zig"
)
_KINDS: dict[str, FileKind] = {
    **dict.fromkeys((".md", ".markdown", ".mdown", ".mkd"), "markdown"),
    **dict.fromkeys((".txt", ".text", ".adoc", ".org", ".tex"), "plain"),
    ".rst": "rst",
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    ".pdf": "pdf",
    **{f".{suffix}": "source" for suffix in _SOURCE.split()},
}
_SNIFFED_BYTES = 8192


@dataclass(frozen=True, slots=True)
class FileText:
    """What a file says.

    Attributes:
        text: All of it, cleaned; positions of chunks are positions in it.
        title: The document's own, where its format has one (HTML).
        pages: (start, end) of each page in `text`; empty where a file has no pages.
    """

    text: str
    structure: Outline = field(default_factory=Outline)
    title: str = ""
    pages: tuple[tuple[int, int], ...] = ()

    def chunks(self, *, max_tokens: int, overlap: int) -> Iterator[tuple[Chunk, int | None]]:
        """Each chunk and its page (1-based, None without pages); a chunk never crosses pages."""
        if not self.pages:
            for chunk in cut_along(self.text, self.structure, max_tokens=max_tokens, overlap=overlap):
                yield chunk, None
        for number, (start, end) in enumerate(self.pages, 1):
            for chunk in cut(self.text[start:end], max_tokens=max_tokens, overlap=overlap):
                yield replace(chunk, start=chunk.start + start, end=chunk.end + start), number


def kind_of(path: Path) -> FileKind | None:
    """How a file of this name is read; None where no reader is for it."""
    return _KINDS.get(path.suffix.lower())


def text_of(path: Path, kind: FileKind) -> FileText:
    """Read one file.

    Raises:
        Unreadable: It has no text that can be trusted; the message says why.
        OSError: The system refused.
    """
    size = path.stat().st_size
    if size > LARGEST_FILE_BYTES:
        raise Unreadable(f"{size:,} bytes, more than the limit of {LARGEST_FILE_BYTES:,}")
    if kind == "pdf":
        return _pdf(path)
    with open(path, "rb") as handle:
        text = _decoded(handle.read(LARGEST_FILE_BYTES + 1))
    if kind == "html":
        return FileText(*page_of(text))
    return FileText(text, structure_of(text, kind))


def _decoded(data: bytes) -> str:
    """Bytes as cleaned text.

    Raises:
        Unreadable: Binary, or another encoding.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif b"\0" in data[:_SNIFFED_BYTES]:
        raise Unreadable("binary: there is a NUL in its first 8 KiB")
    else:
        encoding = "utf-8"
    try:
        return cleaned(data.decode(encoding))
    except UnicodeDecodeError as error:
        raise Unreadable(
            f"not {encoding.upper()} at byte {error.start:,}; convert it: iconv -f ENCODING -t UTF-8"
        ) from error


# ── PDF ───────────────────────────────────────────────────────────────────────────────────────────


def _pdf(path: Path) -> FileText:
    """The text layer, page by page, a blank line between pages.

    Raises:
        Unreadable: Damaged, encrypted, without a text layer, or the extra `files` is missing.
    """
    try:
        from pypdf import PdfReader
    except ImportError as error:
        raise Unreadable(str(MissingExtra("reading PDF", "files", error))) from error
    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("encrypted with a password")
        texts = [cleaned(page.extract_text() or "") for page in reader.pages]
    except (Unreadable, OSError):
        raise
    except MemoryError as error:
        raise Unreadable("needs more memory than there is") from error
    except Exception as error:
        raise Unreadable(f"damaged PDF ({type(error).__name__}: {error})") from error
    if not any(text.strip() for text in texts):
        raise Unreadable(f"no text on its {len(texts)} pages; a scan needs character recognition first")
    pages, start = [], 0
    for text in texts:
        pages.append((start, start + len(text)))
        start += len(text) + 2
    return FileText("\n\n".join(texts), pages=tuple(pages))
