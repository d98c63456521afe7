"""The site's pages: links that leave `docs/` lead to pages of the site, and every fence is one that MkDocs knows."""

import re
from pathlib import Path

import pytest

from tools.site.links import on_page_markdown

DOCS = Path(__file__).parents[2] / "docs"


def test_links_out_of_the_docs_lead_to_pages_of_the_site_or_nowhere() -> None:
    page = "[a](../README.md#install) [b](../CONTRIBUTING.md#tests) [c](../zoo/core) [d](heads.md)"
    assert on_page_markdown(page) == "[a](start.md) [b](contributing.md#tests) c [d](heads.md)"


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_every_fence_has_one_word(page: Path) -> None:
    """With a second word, the site shows a block as text."""
    fences = re.findall(r"^ *```.*", on_page_markdown(page.read_text(encoding="utf-8")), re.MULTILINE)
    assert [fence for fence in fences if not re.fullmatch(r" *```\w*", fence)] == []


def test_pictures_of_generated_pages_stay() -> None:
    picture = "![the three largest errors](../pictures/worst_bgmv2.jpg)"
    assert on_page_markdown(picture) == picture
