"""The lines that open every committed result: command, date, hardware, versions."""

from __future__ import annotations

import os
import platform
from datetime import date
from importlib import metadata

__all__ = ["header"]

LIBRARIES = ("numpy", "scipy", "numba", "bm25s", "torch", "sentence-transformers", "pytrec_eval-terrier")


def header(command: str) -> list[str]:
    """Markdown lines that say how the numbers below were made."""
    versions = []
    for name in LIBRARIES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return [
        f"Command: `{command}`  ",
        f"Date: {date.today().isoformat()} · {_processor()}, {os.cpu_count()} cores · Python {platform.python_version()}  ",
        f"Versions: {', '.join(versions)}",
    ]


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            info = dict(line.split(":", 1) for line in lines if ":" in line)
    except OSError:
        return platform.processor() or "unknown processor"
    keys = {key.strip(): value.strip() for key, value in info.items()}
    return f"{keys.get('model name', 'unknown processor')} (family {keys.get('cpu family', '?')}, model {keys.get('model', '?')})"
