"""The page of `valens report`, judged by a real browser: it sorts, fits, prints, is legible, and asks for nothing."""

from __future__ import annotations

import base64
import os
import re
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pytest
from browser import Browser, browser
from markupsafe import escape
from selenium.webdriver.common.keys import Keys
from shell import Shell, shell

from probes.catalogue import read_result
from probes.report import write_report
from valens.errors import ResultError
from valens.layers.layer_set import LayerSet
from valens.plotting.by_layer import by_layer
from valens.results.result import Result
from valens.results.section import Figures
from valens.results.tables import PROVENANCE

__all__ = ["browser", "shell"]

STORED = Path(__file__).resolve().parents[1] / "figures" / "results"
SWEEP, MATCHING = STORED / "layer-sweep-smollm2-135m", STORED / "segment-matching-peps"
PROBING, LENS = STORED / "next-token-peps", STORED / "logit-lens-longbench-v2-heads"
HOSTILE = "</style></title><script>window.taken = 1</script><img src=x onerror='window.taken = 1'> {{ 7 * 7 }} &"

NUMBERS = pd.DataFrame(
    {
        "name": ["e2", "e10", "E1", "e2", "e3", "e2"],
        "score": [9.5, -10.25, np.nan, 100.0, 9.5, 1e-9],
        "layers": ["2", "10-12", "1", None, "2", "3"],
        "model": "tiny",
    }
)


def own(folder: Path, table: pd.DataFrame = NUMBERS, **facts: Any) -> Path:
    return Result("my-own-kind", table, {"model": {"model": "tiny"}, "date": "2026-01-02", **facts}).save(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of every kind of result that there is, an own one and a hostile one with them."""
    tree = tmp_path_factory.mktemp("results")
    for folder in (SWEEP, MATCHING, PROBING):
        shutil.copytree(folder, tree / folder.name, ignore=shutil.ignore_patterns("*.png", "*.pdf"))
    own(tree / "own")
    long = pd.DataFrame({"x" * 70: ["y" * 90, "z"], "score": [1.0, 2.0]})
    own(tree / "long names", long, model={"model": "m" * 120})
    return write_report(tree, tree / "page.html")


@pytest.fixture(scope="module")
def sweep_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(SWEEP, tmp_path_factory.mktemp("sweep") / "page.html")


@pytest.fixture
def table_page(tmp_path: Path) -> Path:
    return write_report(own(tmp_path))


def column(browser: Browser, place: int) -> list[str]:
    return browser.each("tbody tr:not([hidden])", f"each.cells[{place}].textContent")


def heads(browser: Browser) -> list[Any]:
    return browser.driver.find_elements("css selector", "thead th")


SHOWN = NUMBERS.assign(shown=["9.500", "−10.250", "–", "100.0", "9.500", "1.0e−09"])


def test_numbers_sort_as_numbers_and_equals_keep_their_order(browser: Browser, table_page: Path) -> None:
    browser.open(table_page)
    for up in (True, False, True):
        heads(browser)[1].find_element("tag name", "button").click()
        wanted = SHOWN.sort_values("score", ascending=up, kind="stable", na_position="last")
        assert column(browser, 1) == list(wanted.shown)
        assert column(browser, 0) == list(wanted.name)
        states = [head.get_attribute("aria-sort") for head in heads(browser)]
        assert states == ["none", "ascending" if up else "descending", "none"]


def test_names_sort_by_the_numbers_in_them_and_what_is_missing_is_last(browser: Browser, table_page: Path) -> None:
    browser.open(table_page)
    button = heads(browser)[0].find_element("tag name", "button")
    button.click()
    assert column(browser, 0) == ["E1", "e2", "e2", "e2", "e3", "e10"]
    for _ in range(2):
        heads(browser)[2].find_element("tag name", "button").click()
        assert column(browser, 2)[-1] == "–"


def test_the_keyboard_sorts_and_sees_where_it_is(browser: Browser, table_page: Path) -> None:
    browser.open(table_page)
    focused = browser.driver.switch_to
    focused.active_element.send_keys(Keys.TAB)
    assert focused.active_element.text == "Skip to the content"
    for _ in range(30):
        if focused.active_element.tag_name == "button":
            break
        focused.active_element.send_keys(Keys.TAB)
    for key, order in ((Keys.ENTER, "ascending"), (Keys.SPACE, "descending")):
        focused.active_element.send_keys(key)
        assert heads(browser)[0].get_attribute("aria-sort") == order
    outline = browser.ask("return getComputedStyle(document.activeElement).outlineStyle")
    assert (focused.active_element.text, outline) == ("name", "solid")


def test_rows_are_picked_by_name(browser: Browser, table_page: Path) -> None:
    browser.open(table_page)
    select = browser.driver.find_element("css selector", ".filters select")
    select.send_keys("e2")
    assert column(browser, 0) == ["e2", "e2", "e2"]
    assert browser.driver.find_element("css selector", ".filters output").text == "3 of 6 rows"


UNFOLD = "document.querySelectorAll('details').forEach(each => { each.open = true })"
STICKING_OUT = """
const page = document.documentElement, wide = page.clientWidth + 0.5;
const out = [...document.body.querySelectorAll('*')].filter(each => {
  const box = each.getBoundingClientRect();
  const held = each.parentElement.closest('.scroll');
  return !held && !each.closest('.hidden, .skip') && (box.right > wide || box.left < -0.5);
}).map(each => each.tagName + '.' + each.className + ' ' + each.textContent.slice(0, 40));
return [page.scrollWidth <= page.clientWidth, out.slice(0, 5)];
"""


@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_is_wider_than_the_window_and_nothing_is_asked_for(browser: Browser, whole: Path, width: int) -> None:
    browser.open(whole, width=width)
    browser.ask(UNFOLD)
    assert browser.ask(STICKING_OUT) == [True, []]
    assert browser.complaints() == []
    assert browser.requests() == [whole.as_uri()]


def test_paper_shows_everything_and_no_buttons(browser: Browser, whole: Path) -> None:
    browser.open(whole, width=700)
    with browser.on_paper():
        seen = "[each.checkVisibility() && each.getBoundingClientRect().height > 0, each.textContent.slice(0, 40)]"
        unseen = [text for shown, text in browser.each("main :is(td, dd, svg, li)", seen) if not shown]
        assert unseen == []
        assert set(browser.each(".scroll", "getComputedStyle(each).overflow + getComputedStyle(each).maxHeight")) == {
            "visiblenone"
        }
        assert set(browser.each("th button", "getComputedStyle(each, '::after').display")) == {"none"}
        assert set(browser.each(".filters, nav", "each.checkVisibility()")) == {False}
        tables = browser.each("table", "[each.getBoundingClientRect().right <= innerWidth + 1, each.textContent]")
        assert [text[:40] for fits, text in tables if not fits and "yyy" not in text] == []


def test_a_printed_page_is_unfolded(browser: Browser, tmp_path: Path) -> None:
    """The PDF of a page with a folded table has as many pages more as the table needs."""
    sizes = []
    for rows in (2, 400):
        folder = own(tmp_path / str(rows), **{f"fact {n}": n for n in range(rows)})
        browser.open(write_report(folder))
        sizes.append(base64.b64decode(browser.pdf()).count(b"/Type /Page\n"))
    assert sizes[1] > sizes[0] + 3


COLOURS = """
const seen = new Map();
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const each = walker.currentNode.parentElement;
  if (!walker.currentNode.textContent.trim() || !each.checkVisibility() || each.closest('script, svg, option')) continue;
  let under = each;
  while (under && getComputedStyle(under).backgroundColor === 'rgba(0, 0, 0, 0)') under = under.parentElement;
  seen.set(getComputedStyle(each).color + ' on ' + getComputedStyle(under ?? document.body).backgroundColor, each.tagName);
}
return [...seen];
"""


def luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)`, as WCAG 2.2 defines it."""
    parts = np.array([float(part) for part in colour[4:-1].split(",")]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_stands_out_from_its_ground(browser: Browser, whole: Path, dark: bool) -> None:
    browser.open(whole, dark=dark)
    browser.ask(UNFOLD)
    found = browser.ask(COLOURS)
    assert len(found) > 3
    for pair, tag in found:
        text, ground = (luminance(colour) for colour in pair.split(" on "))
        ratio = (max(text, ground) + 0.05) / (min(text, ground) + 0.05)
        assert ratio >= 4.5, f"{tag}: {pair}"
        if tag == "P":
            assert (ground < 0.1) == dark


def test_hostile_names_are_text(browser: Browser, tmp_path: Path) -> None:
    table = pd.DataFrame({"representation": [HOSTILE, "b"], HOSTILE: [1.0, 2.0]})
    facts = {
        "model": {"model": HOSTILE},
        "corpus": {"name": HOSTILE, HOSTILE: [HOSTILE]},
        "command": HOSTILE + "\udcff",
    }
    folder = Result(HOSTILE, table, facts).save(tmp_path)
    browser.open(write_report(folder))
    assert browser.ask("return window.taken ?? null") is None
    assert browser.ask("return [document.scripts.length, document.images.length, document.styleSheets.length]") == [
        1,
        0,
        1,
    ]
    assert HOSTILE in browser.driver.title
    assert browser.driver.find_element("css selector", "pre code").text == HOSTILE + "\\udcff"
    assert column(browser, 0)[0] == HOSTILE
    assert browser.complaints() == []


def test_a_hostile_name_in_a_figure_is_drawn_not_obeyed(browser: Browser, tmp_path: Path) -> None:
    stored = read_result(MATCHING)
    name = f"{HOSTILE} $x"
    details = {key: table.replace({"representation": {"VA": name}}) for key, table in stored.details.items()}
    table = stored.table.replace({"representation": {"VA": name}}).assign(model=name, corpus=name)
    folder = Result(stored.kind, table, stored.provenance, details).save(tmp_path)
    browser.open(write_report(folder))
    assert browser.ask("return [window.taken ?? null, document.scripts.length, document.images.length]") == [None, 1, 0]
    assert browser.complaints() == []


def test_no_other_script_may_run(browser: Browser, table_page: Path) -> None:
    browser.open(table_page)
    browser.ask(
        "const s = document.createElement('script'); s.textContent = 'window.taken = 1'; document.body.append(s)"
    )
    assert browser.ask("return window.taken ?? null") is None
    assert "Content Security Policy" in "".join(browser.complaints())


def test_names_in_the_page_are_its_own_and_lead_somewhere(browser: Browser, whole: Path) -> None:
    browser.open(whole)
    ids = browser.each("[id]", "each.id")
    links = browser.each('[href^="#"]', "each.getAttribute('href').slice(1)")
    labels = browser.each("[aria-labelledby]", "each.getAttribute('aria-labelledby')")
    assert len(ids) == len(set(ids))
    assert links
    assert set(links) | set(labels) <= set(ids)
    assert set(browser.each("figure svg", "each.closest('[role=img][aria-label]') !== null")) == {True}
    assert browser.each("figure style", "each") == []


def test_a_sweep_tells_its_set_and_a_reason_for_every_layer(browser: Browser, sweep_page: Path) -> None:
    sweep = read_result(SWEEP)
    browser.open(sweep_page)
    for name, choice in sweep.choices.items():
        ids = {text: place for place, text in browser.each("h4", "[each.id, each.textContent]")}
        title = ids[f"Why each layer of {name} is in or out"]
        rows = browser.each(f"[aria-labelledby={title}] tbody tr", "[...each.cells].map(cell => cell.textContent)")
        assert {int(layer): why for layer, _, why in rows} == dict(choice.reasons)
        assert LayerSet.of(int(layer) for layer, place, _ in rows if place == "in") == choice.layers
    drawn = browser.each(".map", "[...each.querySelectorAll('i')].map(mark => mark.className)")
    marked = [[layer for layer, mark in enumerate(strip, start=1) if mark == "in"] for strip in drawn]
    assert marked == [list(choice.layers) for choice in sweep.choices.values()]
    text = browser.driver.find_element("tag name", "main").text.replace("−", "-")
    average = sweep.comparisons[sweep.comparisons.task_type == "average"].iloc[0]
    assert f"{average.difference:+.3f} [{average.low:+.3f}, {average.high:+.3f}]" in text
    assert sweep.provenance["command"] in text
    compared = sweep.compare("VA", "HS")
    assert f"VA is ahead of HS at {((compared.p_holm < 0.05) & (compared.difference > 0)).sum()} of 30 layers" in text


def test_a_matching_tells_its_best_layers_and_the_paired_difference() -> None:
    found = read_result(MATCHING)
    told = found.section()
    said = " ".join(told.findings).replace("−", "-")
    forward = found.table[(found.table.direction == "prefix to suffix") & (found.table.metric == "recall@10")]
    for name in ("VA", "HS"):
        curve = forward[forward.representation == name]
        best = curve.loc[curve.score.idxmax()]
        assert f"layer {best.layer}: recall@10 is {best.score:.3f} [{best.low:.3f}, {best.high:.3f}]" in said
    gap = found.compare("VA", "HS").set_index("layer").loc[30]
    assert f"VA - HS is {gap.difference:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]" in said
    assert len(told.tables[-1].rows) == len(found.table)


def test_a_test_that_does_not_bear_out_an_interval_is_said_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A difference of one layer among thirty, and one of one pair."""
    doubtful = {"difference": 0.112, "low": 0.017, "high": 0.225, "p": 0.31, "p_holm": 0.31}
    for folder, method, said in (
        (
            MATCHING,
            "compare",
            "VA − HS is +0.112 [+0.017, +0.225] in recall@10, p = 0.31 (Holm): the interval alone excludes 0, which after "
            "Holm’s correction over 30 comparisons does not hold.",
        ),
        (
            PROBING,
            "compare_best",
            "VA − HS is +0.112 [+0.017, +0.225] in accuracy, p = 0.31 (the interval excludes 0, and the test does not "
            "reject), and",
        ),
    ):
        found = read_result(folder)
        ordinary = getattr(type(found), method)
        with monkeypatch.context() as patch:
            patch.setattr(type(found), method, lambda *of, how=ordinary, **asked: how(*of, **asked).assign(**doubtful))
            assert any(said in line for line in found.section().findings)


def test_a_lens_and_a_probing_tell_what_they_measured() -> None:
    lens, probing = read_result(LENS), read_result(PROBING)
    top = lens.best().query("offset == 1").sort_values("score").iloc[-1]
    highest = f"{top.representation} is highest, {top.score:.3f} [{top.low:.3f}, {top.high:.3f}]"
    assert highest in lens.section().findings[0]
    gap = probing.compare_best("VA", "HS").iloc[0]
    said = " ".join(probing.section().findings).replace("−", "-")
    assert f"VA - HS is {gap.difference:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]" in said


def test_a_page_says_what_was_read_and_what_is_doubtful(tmp_path: Path) -> None:
    probing = read_result(PROBING)
    doubted = replace(
        probing, provenance=dict(probing.provenance) | {"notes": ["12 prefixes decide when a probe stops."]}
    )
    page = write_report(doubted.save(tmp_path)).read_text(encoding="utf-8")
    assert "12 prefixes decide when a probe stops." in page
    assert "Documents of peps.jsonl.gz" in page


def test_the_same_result_gives_the_same_bytes(sweep_page: Path, tmp_path: Path) -> None:
    assert write_report(SWEEP, tmp_path / "again.html").read_bytes() == sweep_page.read_bytes()


def test_a_kind_of_ones_own_has_its_tables_and_says_that_no_command_was_typed(tmp_path: Path) -> None:
    page = write_report(own(tmp_path, command=None)).read_text(encoding="utf-8")
    assert "<figure" not in page
    assert page.count("<tr>") == 1 + len(NUMBERS)
    assert "Run from Python" in page


def broken(folder: Path) -> Path:
    (own(folder) / "scores.parquet").write_bytes(b"no table")
    return folder


def half(folder: Path) -> Path:
    (own(folder) / PROVENANCE).unlink()
    return folder


def of_another_kind(folder: Path) -> Path:
    return Result("segment-matching", NUMBERS, {"model": {"model": "tiny"}}).save(folder)


def file(folder: Path) -> Path:
    folder.write_text("a file")
    return folder


def empty(folder: Path) -> Path:
    (folder / ".hidden").mkdir(parents=True)
    own(folder / ".hidden")
    return folder


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda folder: folder, "does not exist"),
        (file, "is a file"),
        (empty, "has no result"),
        (half, PROVENANCE),
        (broken, "scores.parquet"),
        (of_another_kind, "segment-matching"),
    ],
)
def test_what_has_no_result_is_said_in_a_line(shell: Shell, tmp_path: Path, made: Any, said: str) -> None:
    ended = shell("report", made(tmp_path / "results"))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Error:")
    assert ended.err.count("\n") == 1
    assert said in ended.err
    assert not list(tmp_path.rglob("report.html"))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ZeroDivisionError("by <b>nothing</b>\nat all"), "ZeroDivisionError: by <b>nothing</b>"),
        (ResultError("The table has no layers."), "The table has no layers."),
    ],
)
def test_a_figure_that_cannot_be_drawn_is_a_line_and_the_rest_is_written(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    shutil.copytree(MATCHING, tmp_path / "results" / "whole")
    own(tmp_path / "results" / "faulty")
    monkeypatch.setattr(Result, "CLASSES", dict(Result.CLASSES))

    class Faulty(Result, kind="my-own-kind"):
        def figures(self) -> Figures:
            def draw() -> NoReturn:
                raise error

            return {"first": draw, "second": partial(by_layer, self.table.assign(layer=range(6)))}

    said = f"Figure 1 could not be drawn ({reason})."
    ended = shell("report", tmp_path / "results")
    assert ended.code == 0
    assert ended.err == f"Note: {tmp_path}/results/faulty: {said}\n"
    page = (tmp_path / "results" / "report.html").read_text(encoding="utf-8")
    assert page.count(f'<p class="note"><strong>Note:</strong> {escape(said)}</p>') == 1
    assert page.count("<figure") == 3
    assert page.count("<svg") == 2
    with pytest.warns(UserWarning, match=re.escape(said)):
        assert write_report(tmp_path / "results").read_text(encoding="utf-8") == page


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = write_report(own(tmp_path))
    before = page.read_bytes()
    with pytest.raises(ResultError, match="cannot be written"):
        write_report(tmp_path, page / "under-a-file.html")

    def full(self: Path, content: bytes) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ResultError, match="No space left"):
        write_report(tmp_path)
    assert page.read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_command_writes_the_page_and_names_it(shell: Shell, tmp_path: Path) -> None:
    ended = shell("report", own(tmp_path / "a [result]"), "--out", tmp_path / "new" / "page.html")
    assert ended.code == 0
    assert str(tmp_path / "new" / "page.html") in ended.out
    assert (tmp_path / "new" / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
