"""The Python and shell blocks of README and docs/ do what the pages say.

Each page is one session in a folder of its own that holds a sample `handbook/`. How a block is marked as not to be
run, as needing something, or as the output of the one before is said in `doc_pages.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from doc_pages import Block, PageError, blocks_of, pages_of
from doc_session import BlockFailed, Session, make_handbook

ROOT = Path(__file__).resolve().parent.parent.parent


def run_page(page: Path, folder: Path, commands: Path) -> Session:
    make_handbook(folder)
    session = Session(folder, commands)
    for block in blocks_of(page):
        session.see(block)
    return session


@pytest.mark.parametrize("page", pages_of(ROOT), ids=lambda page: page.stem)
def test_blocks_of_page(page: Path, tmp_path: Path, commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLEUTH_CACHE", "off")
    session = run_page(page, tmp_path, commands)
    if session.absent:
        pytest.skip(f"the other blocks passed; {'; '.join(session.absent)}")


def test_pages_that_must_have_running_blocks() -> None:
    """A page that lost its examples, or marked them all as not run, would pass above without testing anything."""
    for name in ("quickstart", "indexing", "analyzers", "bm25", "hybrid", "results", "evaluation", "pydocs", "formats"):
        running = [b for b in blocks_of(ROOT / "docs" / f"{name}.md") if b.language == "python" and not b.mark]
        assert running, f"docs/{name}.md has no Python block that is run everywhere"


# ── the runner itself ─────────────────────────────────────────────────────────────────────────────


def page_with(tmp_path: Path, text: str) -> Path:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    return page


def in_session(tmp_path: Path, commands: Path, text: str) -> Session:
    (tmp_path / "work").mkdir()
    return run_page(page_with(tmp_path, text), tmp_path / "work", commands)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("```python\nraise ValueError('broken on purpose')\n```", "broken on purpose"),
        ("```python\nimport sleuth\nsleuth.no_such_name\n```", "no_such_name"),
        ("```bash\nsleuth no-such-command\n```", "exit 2"),
        ("```bash\nfalse | true\n```", "exit 1"),
        ("```bash\nls no-such-folder\ntrue\n```", "exit"),
        ("```python\nprint('a')\n```\n<!-- output -->\n```text\nb\n```", "it printed\na"),
        ("```bash\necho a; echo b\n```\n<!-- output -->\n```text\na\n```", "it printed\na\nb"),
    ],
)
def test_a_broken_block_fails(tmp_path: Path, commands: Path, text: str, says: str) -> None:
    with pytest.raises(BlockFailed, match=says):
        in_session(tmp_path, commands, text)


def test_a_failure_names_the_line_of_the_page(tmp_path: Path, commands: Path) -> None:
    with pytest.raises(BlockFailed, match=r'page\.md", line 6'):
        in_session(tmp_path, commands, "# Title\n\ntext\n\n```python\n1 / 0\n```")


@pytest.mark.parametrize(
    "text",
    [
        "```python\nprint(1)\n",
        "<!-- not run: -->\n```python\nprint(1)\n```",
        "<!-- not run -->\n```python\nprint(1)\n```",
        "<!-- output -->\n```python\nprint(1)\n```",
    ],
)
def test_a_badly_marked_page_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(PageError):
        blocks_of(page_with(tmp_path, text))


def test_blocks_of_a_page_share_names_and_files(tmp_path: Path, commands: Path) -> None:
    session = in_session(
        tmp_path,
        commands,
        "```python\nx = 1\n```\n```bash\nls handbook/keys.md\necho 2 > made.txt\n```\n"
        "```python\nassert x == 1\nimport pathlib\nprint(pathlib.Path('made.txt').read_text())\n```\n<!-- output -->\n```text\n2\n```\n"
        "<!-- not run: it would fail -->\n```python\n1 / 0\n```\n"
        "<!-- needs: a_module_that_is_nowhere -->\n```python\n1 / 0\n```\n"
        "```json\nnot code\n```\n",
    )
    assert session.ran == 3
    assert session.absent == ["page.md, line 23 needs a_module_that_is_nowhere"]


def test_output_may_leave_out_what_differs(tmp_path: Path, commands: Path) -> None:
    in_session(
        tmp_path, commands, "```python\nprint('took 12 s\\nok')\n```\n<!-- output -->\n```text\ntook [...] s\nok\n```"
    )


def test_indented_blocks_are_read_without_their_indent(tmp_path: Path) -> None:
    page = page_with(tmp_path, "- item\n\n    ```python\n    if True:\n        pass\n    ```\n")
    assert blocks_of(page) == [Block(page, 4, "python", "if True:\n    pass\n")]
