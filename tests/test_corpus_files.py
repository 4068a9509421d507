"""Texts of one's own: every form of one corpus is the same corpus, and every fault is named with its place."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from valens.corpora import corpus
from valens.errors import CorpusError

ROWS = [
    {"_id": "one", "text": "The first text,\u2028with a rare line break.", "words": 7},
    {"_id": "two", "text": "Der zweite: größer.\nIn zwei Zeilen.", "words": 6},
    {"_id": "three", "text": "三番目。", "words": 1},
]
TEXTS = tuple(row["text"] for row in ROWS)
LINES = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode()


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def as_parquet(path: Path, rows: list[dict[str, object]] = ROWS) -> Path:
    parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


FORMS = {
    "a.jsonl": lambda path: written(path, LINES),
    "A.JSONL": lambda path: written(path, LINES),
    "blank-lines.jsonl": lambda path: written(path, b"\n" + LINES.replace(b"\n", b"\r\n \r\n") + b"\n\n"),
    "marked.jsonl": lambda path: written(path, b"\xef\xbb\xbf" + LINES),
    "a.jsonl.gz": lambda path: written(path, gzip.compress(LINES)),
    "parts.jsonl.gz": lambda path: written(path, gzip.compress(LINES[:50]) + gzip.compress(LINES[50:])),
    "a.json": lambda path: written(path, json.dumps(ROWS, indent=1).encode()),
    "marked.json": lambda path: written(path, b"\xef\xbb\xbf" + json.dumps(ROWS).encode()),
    "a.parquet": as_parquet,
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_holds_the_same_texts(tmp_path: Path, name: str) -> None:
    path = FORMS[name](tmp_path / name)
    read = corpus(path)
    assert (read.texts, read.ids) == (TEXTS, ("one", "two", "three"))
    assert read.name == name
    assert read.source == f"{path}, field `text`, ids from `_id`"
    assert read.notes == ("took the field `text`; --field names another",)
    assert corpus(str(path), field="text", limit=2).texts == TEXTS[:2]


def test_a_folder_is_its_txt_files_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "b.txt").write_text("Second.\r\n\nWith a gap.", encoding="utf-8", newline="")
    (folder / "a.TXT").write_bytes("\ufeffErster, mit größerem Zeichen.".encode())
    (folder / "deep" / "er" / "c.txt").write_text("Third.")
    (folder / "empty.txt").write_text("\n")
    (folder / "notes.md").write_text("No text.")
    (folder / "folder.txt").mkdir()
    read = corpus(folder)
    assert read.ids == ("a.TXT", "b.txt", "deep/er/c.txt")
    assert read.texts == ("Erster, mit größerem Zeichen.", "Second.\r\n\nWith a gap.", "Third.")
    assert read.notes == ("left out: 1 without text",)
    assert (read.name, read.source) == ("mine", f"the .txt files of {folder}")
    assert corpus(folder, limit=2).ids == read.ids[:2]


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    """But a corpus may lie in a hidden folder itself."""
    folder = tmp_path / ".cache" / "mine"
    (folder / ".hidden" / "deep").mkdir(parents=True)
    (folder / "3.txt").write_text("Text.")
    (folder / "._3.txt").write_bytes(b"\x00\x05\xff")
    (folder / ".hidden" / "deep" / "4.txt").write_text("Other text.")
    (folder / ".DS_Store").write_bytes(b"\xff")
    read = corpus(folder)
    assert (read.ids, read.texts) == (("3.txt",), ("Text.",))
    assert read.notes == ("passed over: 2 .txt files that are hidden by a dot",)
    (folder / "3.txt").unlink()
    with pytest.raises(CorpusError, match="it has nothing"):
        corpus(folder)


def test_names_that_are_not_utf8_can_be_kept(tmp_path: Path) -> None:
    """Every id, name and source can be put into a table, whatever bytes a file is called by and JSON spells."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/folder \xff"))
    folder.mkdir()
    (folder / os.fsdecode(b"gr\xf6\xdfer.txt")).write_text("Text.")
    rows = written(folder / "a.jsonl", b'{"id": "\\ud800", "\\ud801": "Text."}')
    for read, named in ((corpus(folder), "gr\\udcf6\\udcdfer.txt"), (corpus(rows), "\\ud800")):
        assert read.ids == (named,)
        strings = [*read.ids, read.name, read.source, *read.notes]
        assert pa.array(strings).to_pylist() == strings


def test_files_are_read_no_further_than_the_limit(tmp_path: Path) -> None:
    """What comes after the rows that are looked at for the fields may be anything."""
    rows = b"".join(b'{"text": "Text %d."}\n' % n for n in range(200))
    long = written(tmp_path / "long.jsonl", rows + b"\xff not JSON\n")
    torn = written(tmp_path / "torn.jsonl.gz", gzip.compress(rows * 50)[:-9])
    assert len(corpus(long, limit=150).texts) == len(corpus(torn, limit=150).texts) == 150
    with pytest.raises(CorpusError, match=rf"long\.jsonl is not UTF-8 \(byte {len(rows):,}\)"):
        corpus(long)


FAULTS = {
    "latin.jsonl": (b'{"text": "a"}\n{"text": "gr\xf6\xdfer"}', r"not UTF-8 \(byte 26\).*iconv"),
    "latin.json": (b'[{"text": "gr\xf6\xdfer"}]', r"not UTF-8 \(byte 13\)"),
    "cut.jsonl": (b'{"text": "a"}\n\n{"text": "b', r"cut\.jsonl, line 3: broken JSON"),
    "cut.json": (b'[{"text": "a"},\n{"text": ', r"cut\.json, line 2: broken JSON"),
    "lines.json": (b'{"text": "a"}\n{"text": "b"}', r"line 2: broken JSON.*called \.jsonl"),
    "words.jsonl": (b'{"text": "a"}\n"b"', r"row 2: a record must be an object.*found str"),
    "words.json": (b'["a"]', r"row 1: a record must be an object.*found str"),
    "object.json": (b'{"text": "a"}', r"must be an array of objects; found dict"),
    "empty.jsonl": (b"\n\n", "is empty"),
    "empty.json": (b"", "is empty"),
    "none.json": (b"[]", "is empty"),
    "empty.jsonl.gz": (gzip.compress(b""), "is empty"),
    "torn.jsonl.gz": (gzip.compress(LINES)[:-12], "not a whole gzip file"),
    "plain.jsonl.gz": (LINES, "not a whole gzip file"),
    "garbled.jsonl.gz": (gzip.compress(LINES)[:12] + b"\xff\x00\xff" * 20, "not a whole gzip file"),
    "digits.jsonl": (b'{"text": "a"}\n{"n": ' + b"9" * 5000 + b"}", r"digits\.jsonl, line 2: .*too many digits"),
    "digits.json": (b'[{"n": ' + b"9" * 5000 + b"}]", "too many digits"),
    "deep.jsonl": (b'\n\n{"n": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", r"deep\.jsonl, line 3: .*nested too deep"),
    "deep.json": (b"[" * 100_000 + b"]" * 100_000, "nested too deep"),
    "cut-with-end.jsonl": (b'{"text": "a"}\n{"text":\n{"text": "a"}', r"line 2: broken JSON"),
    "plain.parquet": (LINES, "cannot be read as parquet"),
    "empty.parquet": (b"", "cannot be read as parquet"),
    "one.txt": (b"A text.", "into a folder"),
    "table.csv": (b"text\na", r"not a file that holds a corpus.*\.jsonl\.gz"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_in_one_line_with_its_place(tmp_path: Path, name: str) -> None:
    data, says = FAULTS[name]
    path = written(tmp_path / name, data)
    with pytest.raises(CorpusError, match=says) as error:
        corpus(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_parquet_with_garbled_pages_is_no_corpus(tmp_path: Path) -> None:
    path = as_parquet(tmp_path / "a.parquet")
    data = path.read_bytes()
    path.write_bytes(data[:4] + b"\xff" * 60 + data[64:])
    with pytest.raises(CorpusError, match=r"a\.parquet cannot be read"):
        corpus(path)


def test_parquet_without_rows_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "none.parquet"
    parquet.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    with pytest.raises(CorpusError, match="is empty"):
        corpus(path)


def test_a_folder_without_txt_says_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no \.txt file in it; it has nothing"):
        corpus(tmp_path)
    for name in ("a.jsonl", "b.jsonl", "README"):
        (tmp_path / name).touch()
    with pytest.raises(CorpusError, match=r"it has 2 \.jsonl, 1 README\..*\.parquet file"):
        corpus(tmp_path)


def test_a_folder_of_texts_has_no_fields(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no field `text`"):
        corpus(tmp_path, field="text")


def test_a_text_that_is_not_utf8_is_named_with_the_byte(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"fine")
    bad = written(tmp_path / "b.txt", b"gr\xf6\xdfer")
    with pytest.raises(CorpusError, match=r"not UTF-8 \(byte 2\)") as error:
        corpus(tmp_path)
    assert str(bad) in str(error.value)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = FORMS["a.jsonl"](tmp_path / "a.jsonl")

    def refuse(self: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CorpusError, match=r"a\.jsonl cannot be read \(Permission denied\)"):
        corpus(path)
