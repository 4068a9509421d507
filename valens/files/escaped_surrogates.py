"""Names as people have them: halves of characters, from file names and JSON, that no terminal and no file takes."""

from __future__ import annotations


def escape_surrogates(text: str) -> str:
    r"""Return the text, with `\udcff` spelt out for each half of a surrogate pair, which UTF-8 cannot encode.

    Python puts such halves into file names that are not UTF-8, and reads them from JSON.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
