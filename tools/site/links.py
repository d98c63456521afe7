"""A hook of MkDocs: links that lead out of `docs/` lead to the page that the site has of that file.

A fence's word `notest` (our tests do not run the block) would hide the fence from MkDocs, so it is removed.
"""

import re

PAGES = {
    "../README.md": "start.md",
    "../CONTRIBUTING.md": "contributing.md",
    "../CHANGELOG.md": "changelog.md",
    "../benchmarks/README.md": "benchmarks.md",
    "../configs/studies/results/README.md": "results.md",
}


def on_page_markdown(markdown: str, **_: object) -> str:
    """Return the page with links and fences replaced; a link to a folder of the repository becomes its name.

    Pages of models lie in a folder of the site, whose pictures are in `../pictures`.
    """
    markdown = re.sub(r"^(```\w+) notest$", r"\1", markdown, flags=re.MULTILINE)
    for file, page in PAGES.items():
        anchor = "" if page == "start.md" else r"\1"  # of the README no section is on the site
        markdown = re.sub(rf"\]\({re.escape(file)}(#[\w-]+)?\)", rf"]({page}{anchor})", markdown)
    return re.sub(r"\[([^\]]*)\]\(\.\./(?!pictures/)[^)]*\)", r"\1", markdown)
