"""Every link inside the repository leads somewhere, and every page can be reached."""

from __future__ import annotations

from pathlib import Path

import pytest
from doc_pages import anchors_of, links_of, pages_of

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [*pages_of(ROOT), ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]


def broken_links(page: Path) -> list[str]:
    """Targets that do not exist; addresses of other hosts are not asked."""
    broken = []
    for target in links_of(page):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        if not file.exists() or (anchor and (file.suffix != ".md" or anchor not in anchors_of(file))):
            broken.append(target)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_internal_links_resolve(page: Path) -> None:
    assert broken_links(page) == []


def test_every_page_is_in_the_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert f": {page.name}\n" in menu, f"mkdocs.yml does not name {page.name}"


def test_the_site_loads_nothing_from_elsewhere() -> None:
    """Fonts, scripts and the highlighter of a theme may come from another host; ours must not."""
    assert "highlightjs: false" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A `heading` here\n\n## Two\n\n## Two\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md#a-heading-here) [b](other.md#two_1) [c](gone.md) [d](other.md#gone) [e](#gone)\n"
        "[f](https://example.org/x) `[g](gone.md)`\n```text\n[h](gone.md)\n```\n",
        encoding="utf-8",
    )
    assert broken_links(page) == ["gone.md", "other.md#gone", "#gone"]
