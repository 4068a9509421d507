from __future__ import annotations

import bz2
import re
from collections import Counter
from pathlib import Path

import pytest

from valens.corpora import Article, Section, wikipedia, wikipedia_sample

MARKUP = re.compile(
    r"\[\[|\]\]|\{\{|\}\}|\{\||\||<ref|</|'''|^[*#:;=]|\b(?:File|Image|Category):|thumb\b(?=.*px)|https?://|&\w+;"
)

PARAGRAPHS = [paragraph for article in wikipedia() for section in article.sections for paragraph in section.paragraphs]


def page(title: str, text: str, *, namespace: int = 0, redirect: bool = False) -> str:
    target = '<redirect title="Elsewhere" />' if redirect else ""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return f"<page><title>{title}</title><ns>{namespace}</ns>{target}<revision><text>{escaped}</text></revision></page>"


@pytest.fixture
def dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Reads pages as the sample is read."""

    def read(*pages: str) -> tuple[Article, ...]:
        path = tmp_path / "dump.bz2"
        site = f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/"><siteinfo />{"".join(pages)}</mediawiki>'
        path.write_bytes(bz2.compress(site.encode()))
        monkeypatch.setattr(wikipedia_sample, "find_in_wheel", lambda *_, **__: path)
        return wikipedia.__wrapped__()

    return read


def test_articles_have_different_titles_and_prose() -> None:
    articles = wikipedia()
    assert len(articles) > 90
    assert len({article.title for article in articles}) == len(articles)
    assert all(article.text for article in articles)
    assert not any("disambiguation" in article.title for article in articles)


def test_no_markup_is_left() -> None:
    assert [paragraph for paragraph in PARAGRAPHS if MARKUP.search(paragraph)] == []


def test_no_paragraph_counts_twice() -> None:
    assert [paragraph for paragraph, times in Counter(PARAGRAPHS).items() if times > 1] == []


def test_paragraphs_are_single_lines_that_end_as_sentences() -> None:
    assert all(paragraph == " ".join(paragraph.split()) for paragraph in PARAGRAPHS)
    assert all(re.search(r"[.!?:…]\W*$", paragraph) for paragraph in PARAGRAPHS)


def test_the_text_of_an_article_is_its_paragraphs_in_order() -> None:
    article = Article("T", (Section("", ("One.", "Two.")), Section("S", ("Three.",))))
    assert article.text == "One.\n\nTwo.\n\nThree."


def test_redirects_other_namespaces_disambiguations_and_empty_pages_are_left_out(dump) -> None:
    articles = dump(
        page("Elsewhere", "Gone there.", redirect=True),
        page("Talk", "Talk about it.", namespace=1),
        page("Many", "It may be many things.\n\n{{Disambiguation}}"),
        page("List", "* only\n* items"),
        page("Kept", "A sentence."),
    )
    assert articles == (Article("Kept", (Section("", ("A sentence.",)),)),)


def test_each_paragraph_belongs_to_the_nearest_heading_above(dump) -> None:
    (article,) = dump(
        page("T", "Lead.\n\n== One ==\nFirst.\n\n=== Below ''one'' ===\nSecond\nline.\n\nThird.\n== Two ==\nFourth.")
    )
    assert article.sections == (
        Section("", ("Lead.",)),
        Section("One", ("First.",)),
        Section("Below one", ("Second line.", "Third.")),
        Section("Two", ("Fourth.",)),
    )


def test_the_apparatus_goes_with_its_subsections(dump) -> None:
    (article,) = dump(page("T", "Lead.\n== Notes ==\nA note.\n=== More ===\nAnother.\n== Life ==\nBorn."))
    assert [section.title for section in article.sections] == ["", "Life"]


@pytest.mark.parametrize(
    ("markup", "prose"),
    [
        ("A '''bold''' and ''slanted'' [[word|link]].", "A bold and slanted link."),
        ("A [[plain]] one<ref name=x>{{cite|a}} and [[b]]</ref>.", "A plain one."),
        ("[[File:A.jpg|thumb|left|A ''caption'' with a [[link]].]]Text.", "Text."),
        ("Text.[[Category:Things]] [[de:Ding]]", "Text."),
        ('{| class="wikitable"\n|-\n| cell\n|}\n\nAfter the table.', "After the table."),
        ("Before.<gallery>\nA.jpg|One\n</gallery>", "Before."),
        ("* an item.\n: an aside.\nThe text.", "The text."),
        ("It is {{convert|3|to|4|ft|m}} long, or {{convert|1300|mi|km}}.", "It is 3 to 4 ft long, or 1300 mi."),
        ("Rome ({{IPA|x}}; {{lang-la|Roma}}) stands.", "Rome (Roma) stands."),
        ("Rome ({{IPA|x}}) stands.{{citation needed}}", "Rome stands."),
        ("Black&nbsp;&amp; white<!-- or not -->.", "Black & white."),
        ("See [http://example.org the page].", "See the page."),
        ("From 1775{{ndash}}1783.", "From 1775–1783."),
    ],
)
def test_markup_reads_as_on_the_page(dump, markup: str, prose: str) -> None:
    (article,) = dump(page("T", markup))
    assert article.text == prose
