"""Lets pages show files of the repository that lie outside this folder, such as figures: one link for both readers.

On a code-hosting page `../figures/results/x.png` leads to the file itself. The site gets a copy of every file linked in this
way, and its link loses the `../`. Pages lie side by side in this folder, none deeper.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
_OUTSIDE = re.compile(r"(\]\()\.\./([^)#\s]+)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the files that pages link to outside of this folder; one that is missing stays a broken link, and is reported."""
    texts = [page.content_string for page in files.documentation_pages()]
    for target in sorted({match[2] for text in texts for match in _OUTSIDE.finditer(text)}):
        if (ROOT / target).is_file():
            files.append(File.generated(config, target, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Point links outside of this folder to the copies."""
    return _OUTSIDE.sub(
        lambda match: match[0] if files.get_file_from_path(match[2]) is None else match[1] + match[2], markdown
    )
