"""Results on disk: what is saved is what is read, and no reader meets half of a file."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace as changed
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import valens as vl
from probes.catalogue import PROBES, read_result
from probes.report import write_report
from valens import probes
from valens.errors import ResultError
from valens.files.atomic import replace, writable_folder, write_json
from valens.files.strict_json import to_json
from valens.results import provenance
from valens.results.result import Result
from valens.results.section import Figures
from valens.results.tables import records

TABLE = pd.DataFrame(
    {
        "representation": ["VA", "VA", "TF-IDF"],
        "layer": pd.array([1, 2, None], dtype="Int64"),
        "depth": pd.array([0.5, 1.0, None], dtype="Float64"),
        "score": [0.1 + 0.2, np.nan, 1 / 3],
        "n": [10, 10, 10],
    }
)


@pytest.fixture
def result() -> Result:
    return Result("layer-sweep", TABLE, {"seed": 3, "model": {"name": "Ærø"}})


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_is_saved_is_read_back_to_the_last_digit(result: Result, tmp_path: Path) -> None:
    folder = result.save(tmp_path / "new" / "folder")
    again = read_result(folder)
    pd.testing.assert_frame_equal(again.table, TABLE, check_exact=True)
    assert (again.kind, again.provenance) == ("layer-sweep", result.provenance)
    assert files(folder) == {"scores.parquet", "provenance.json"}


@pytest.mark.parametrize("name", ["scores", "../elsewhere", "a/b", ""])
def test_a_further_table_cannot_take_the_name_of_another_file(result: Result, tmp_path: Path, name: str) -> None:
    with pytest.raises(ResultError, match="A further table cannot be called"):
        changed(result, details={name: TABLE}).save(tmp_path / "out")
    with pytest.raises(ResultError, match="Provenance cannot have a fact 'kind'"):
        changed(result, provenance={"kind": "another"}).save(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("facts", [{"details": None}, {"details": ["../x"]}, {"details": [], "files": []}])
def test_provenance_of_another_shape_is_refused_in_a_line(result: Result, tmp_path: Path, facts: dict) -> None:
    result.save(tmp_path)
    write_json(tmp_path / "provenance.json", {"kind": "layer-sweep"} | facts)
    with pytest.raises(ResultError, match="has no result that can be read"):
        read_result(tmp_path)


def test_details_are_files_of_their_own_and_come_back(result: Result, tmp_path: Path) -> None:
    ranks = pd.DataFrame({"document": [0, 1], "rank": [3, 1]})
    Result(result.kind, result.table, result.provenance, {"ranks": ranks}).save(tmp_path)
    back = read_result(tmp_path)
    pd.testing.assert_frame_equal(back.details["ranks"], ranks)
    assert dict(back.provenance) == dict(result.provenance)
    (tmp_path / "ranks.parquet").unlink()
    with pytest.raises(ResultError, match=r"ranks\.parquet"):
        read_result(tmp_path)


def test_a_second_save_takes_the_place_of_the_first(result: Result, tmp_path: Path) -> None:
    result.save(tmp_path)
    other = Result("layer-sweep", TABLE.head(1), {"seed": 4})
    other.save(tmp_path)
    assert read_result(tmp_path).provenance == {"seed": 4}
    assert len(read_result(tmp_path).table) == 1


def test_no_page_about_an_older_result_stays_beside_a_new_one(tmp_path: Path) -> None:
    result = Result("of-mine", TABLE, {})
    page = write_report(result.save(tmp_path))
    assert page.exists()
    result.save(tmp_path)
    assert not page.exists()


def test_a_table_that_is_given_out_can_be_changed_without_harm(result: Result) -> None:
    copy = result.to_pandas()
    copy.loc[:, "score"] = 0.0
    assert result.table.score[0] == 0.1 + 0.2


def test_a_save_that_fails_leaves_the_old_file_and_no_half_of_a_new_one(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result.save(tmp_path)

    def half(self: pd.DataFrame, path: Path, **_: object) -> None:
        path.write_bytes(b"PAR1 half of a table")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", half)
    with pytest.raises(ResultError, match=r"scores.parquet cannot be written \(No space left on device\). Free space"):
        Result("layer-sweep", TABLE.head(1), {}).save(tmp_path)
    assert files(tmp_path) == {"scores.parquet", "provenance.json"}
    pd.testing.assert_frame_equal(read_result(tmp_path).table, TABLE)


@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_a_save_that_is_stopped_between_two_files_leaves_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renamed: int
) -> None:
    """Of the three files of the new result so many have taken their places."""
    ranks = pd.DataFrame({"document": [0, 1], "rank": [3, 1]})
    Result("old", TABLE, {}, {"ranks": ranks}).save(tmp_path)
    real, done = Path.replace, []

    def until_stopped(self: Path, target: Path) -> None:
        if len(done) == renamed:
            raise KeyboardInterrupt
        done.append(real(self, target))

    monkeypatch.setattr(Path, "replace", until_stopped)
    with pytest.raises(KeyboardInterrupt):
        Result("new", TABLE.head(1), {}, {"ranks": ranks.head(1)}).save(tmp_path)
    assert files(tmp_path) == {"scores.parquet", "ranks.parquet"}
    with pytest.raises(ResultError, match=r"no result that can be read .*provenance\.json"):
        read_result(tmp_path)


def test_the_file_whose_place_is_taken_is_named(result: Result, tmp_path: Path) -> None:
    (tmp_path / "scores.parquet").mkdir()
    with pytest.raises(ResultError, match=r"scores\.parquet cannot be written"):
        result.save(tmp_path)
    assert files(tmp_path) == {"scores.parquet"}


@pytest.mark.parametrize("name", ["scores", "ranks"])
def test_a_table_of_another_result_is_refused(result: Result, tmp_path: Path, name: str) -> None:
    """The tables are sound and alike in form, so that nothing but their sums tells them apart."""
    ranks = pd.DataFrame({"document": [0, 1], "rank": [3, 1]})
    for folder, shift in (("ours", 0), ("other", 1)):
        table = TABLE.assign(n=TABLE.n + shift)
        Result("layer-sweep", table, {}, {"ranks": ranks + shift}).save(tmp_path / folder)
    (tmp_path / "other" / f"{name}.parquet").replace(tmp_path / "ours" / f"{name}.parquet")
    with pytest.raises(
        ResultError, match=rf"{name}\.parquet was changed or belongs to another result.*provenance\.json"
    ):
        read_result(tmp_path / "ours")


def test_the_sums_are_those_that_sha256sum_gives(result: Result, tmp_path: Path) -> None:
    result.save(tmp_path)
    noted = json.loads((tmp_path / "provenance.json").read_text(encoding="utf-8"))["files"]
    assert noted == {"scores.parquet": hashlib.sha256((tmp_path / "scores.parquet").read_bytes()).hexdigest()}


def test_a_result_without_sums_can_be_read(result: Result, tmp_path: Path) -> None:
    forget_sums(result.save(tmp_path))
    again = read_result(tmp_path)
    pd.testing.assert_frame_equal(again.table, TABLE)
    assert again.provenance == result.provenance


def forget_sums(folder: Path) -> None:
    """The result as it was written before sums were noted."""
    facts = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    del facts["files"]
    (folder / "provenance.json").write_text(json.dumps(facts), encoding="utf-8")


def test_any_other_error_passes_and_leaves_nothing_either(tmp_path: Path) -> None:
    def stopped(path: Path) -> None:
        path.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace(tmp_path / "layers.json", stopped)
    assert files(tmp_path) == set()


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ResultError, match=r"cannot be written to .* Choose another --out"):
        writable_folder(tmp_path / "file" / below)


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permissions do not bind every user that tests run as, so the refusal is put in by hand."""

    def refused(self: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refused)
    with pytest.raises(ResultError, match=r"cannot be written to \(Permission denied\)"):
        writable_folder(tmp_path)


@pytest.mark.parametrize("refused", [writable_folder, read_result])
def test_the_home_of_nobody_is_no_folder(refused: Callable[[str], object]) -> None:
    with pytest.raises(ResultError, match=r"~nobody-of-this-name/out .*home"):
        refused("~nobody-of-this-name/out")


def test_looking_whether_a_folder_can_be_written_to_leaves_nothing_there(tmp_path: Path) -> None:
    assert files(writable_folder(tmp_path / "out")) == set()


@pytest.mark.parametrize("broken", ["missing", "empty", "no json", "no object", "no kind", "no table"])
def test_a_folder_that_is_no_result_is_named(result: Result, tmp_path: Path, broken: str) -> None:
    folder = tmp_path / "folder"
    if broken != "missing":
        folder.mkdir()
    if broken.startswith("no "):
        result.save(folder)
    if broken in (contents := {"no json": "{", "no object": "[]", "no kind": "{}"}):
        (folder / "provenance.json").write_text(contents[broken])
    if broken == "no table":
        forget_sums(folder)
        (folder / "scores.parquet").write_bytes(b"half")
    with pytest.raises(ResultError, match=r"folder has no result that can be read .* as a probe's --out leaves it"):
        read_result(folder)


def test_json_has_no_nan(tmp_path: Path) -> None:
    rows = records(TABLE)
    assert rows[1]["score"] is None
    assert (rows[2]["layer"], rows[2]["depth"]) == (None, None)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert json.loads(to_json(rows), parse_constant=refuse)[0] == rows[0]
    with pytest.raises(ValueError, match="JSON"):
        to_json({"score": float("nan")})


def test_names_that_are_no_utf8_can_be_written_and_come_back(tmp_path: Path) -> None:
    """A half of a character is written as JSON spells it; JSON's own backslashes stay what they are."""
    facts = {"source": os.fsdecode(b"folder \xff"), "\ud800": ["\\udcff", "🙂 größer"]}
    path = tmp_path / "facts.json"
    write_json(path, facts)
    assert json.loads(path.read_text(encoding="utf-8")) == facts


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["/usr/bin/valens", "sweep-layers", "--out", "a folder"], "valens sweep-layers --out 'a folder'"),
        (["/site-packages/valens/__main__.py", "models"], "valens models"),
        (["/usr/bin/pytest", "valens"], None),
        ([""], None),
        ([], None),
    ],
)
def test_the_command_is_kept_as_a_shell_reads_it(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], command: str | None
) -> None:
    monkeypatch.setattr("sys.argv", arguments)
    assert provenance.provenance()["command"] == command


def test_provenance_can_be_written_and_holds_what_the_caller_knows() -> None:
    facts = json.loads(to_json(provenance.provenance(seed=7)))
    assert facts["seed"] == 7
    assert {"valens", "date", "machine", "libraries"} < set(facts)


# --- where results are used -------------------------------------------------------------------------------------------

STORED = Path(__file__).resolve().parents[1] / "figures" / "results"
FOUR = {
    "layer-sweep-smollm2-135m": ("LayerSweepResult", {}),
    "segment-matching-peps": ("SegmentMatchingResult", {}),
    "next-token-peps": ("NextTokenResult", {}),
    "logit-lens-longbench-v2-heads": ("LogitLensResult", {"norm": True}),
}
HOSTILE = "<script>alert('&')</script>\x1b[31m"


@pytest.fixture(scope="module", params=FOUR)
def stored(request: pytest.FixtureRequest) -> Result:
    """A stored result; of a logit lens, the ranks of some documents."""
    found = read_result(STORED / request.param)
    if found.kind != "logit-lens":
        return found
    ranks = found.details["ranks"]
    return changed(found, details={**found.details, "ranks": ranks[ranks.document < 20].reset_index(drop=True)})


def pixels(result: Result) -> bytes:
    file = io.BytesIO()
    result.plot().savefig(file, format="png")
    return file.getvalue()


def test_every_probe_has_its_class() -> None:
    for shipped in PROBES:
        assert shipped.result() is Result.CLASSES[shipped.kind] is getattr(probes, f"{shipped.record}Result")
    for folder, (name, _) in FOUR.items():
        assert type(read_result(STORED / folder)) is getattr(probes, name)


def test_a_result_read_again_is_the_same(stored: Result, tmp_path: Path) -> None:
    """Its tables are saved here alone; the tests of each probe look at the files of its figures."""
    again = read_result(Result.save(stored, tmp_path))
    assert type(again) is type(stored)
    for ours, theirs in [
        (stored.table, again.table),
        *((stored.details[name], again.details[name]) for name in stored.details),
    ]:
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True, check_categorical=False)
    assert dict(again.provenance) == dict(stored.provenance)
    assert (repr(again), again._repr_html_()) == (repr(stored), stored._repr_html_())
    if stored.kind != "logit-lens":  # three figures, which its own tests draw again
        assert pixels(again) == pixels(stored)
    settings = dict(FOUR.values())[type(stored).__name__]
    first, second = ("VA", "WHS") if stored.kind == "logit-lens" else ("VA", "HS")
    pd.testing.assert_frame_equal(
        again.compare(first, second, **settings), stored.compare(first, second, **settings), check_exact=True
    )


def test_every_probe_s_comparison_is_tested_and_corrected(stored: Result) -> None:
    first, second = ("VA", "WHS") if stored.kind == "logit-lens" else ("VA", "HS")
    found = stored.compare(first, second)
    assert {"difference", "low", "high", "p", "p_holm"} <= set(found)
    assert (found.p_holm >= found.p).all()
    assert found.p.between(0, 1).all()


def test_what_a_terminal_shows_is_short(stored: Result) -> None:
    lines = repr(stored).splitlines()
    assert lines[0] == type(stored).__name__
    assert len(lines) < 20
    assert max(map(len, lines)) < 100
    assert "smollm2-135m, 30 layers" in lines[1]


class Page(HTMLParser):
    """The tags, attributes and text of a piece of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.names: set[str] = set()
        self.said: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.names |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def test_what_a_notebook_shows_is_a_table_of_the_same_in_the_colours_of_the_page(stored: Result) -> None:
    page = Page(stored._repr_html_())
    assert page.tags == {"table", "caption", "tbody", "tr", "th", "td"}
    assert page.names == {"style", "scope"}
    assert page.said == [type(stored).__name__, *(part for fact in stored.summary().items() for part in fact)]


def test_names_are_text_wherever_they_are_shown(stored: Result) -> None:
    table = stored.table.assign(model=HOSTILE, representation=stored.table.representation.astype(str) + HOSTILE)
    named = Result(
        "of one's own " + HOSTILE, table, {"corpus": {"name": HOSTILE * 30}, "date": HOSTILE}, {HOSTILE: table}
    )
    page = Page(named._repr_html_())
    assert page.tags == {"table", "caption", "tbody", "tr", "th", "td"}
    assert page.said[2].startswith("<script>alert('&')</script> [31m")
    assert "\x1b" not in repr(named)
    assert max(map(len, repr(named).splitlines())) < 100


def test_a_result_of_one_s_own_kind_shows_its_origin_and_says_what_it_cannot_do(result: Result, tmp_path: Path) -> None:
    own = read_result(changed(result, kind="of-my-own").save(tmp_path))
    assert type(own) is Result
    assert repr(own).splitlines()[0] == "Result (of-my-own)"
    assert "TF-IDF" in repr(own)
    with pytest.raises(ResultError, match=r"'of-my-own' has no figure of its own. Draw its .table"):
        own.plot()
    with pytest.raises(ResultError, match=r"what pairs 'VA' and 'HS'.*valens\.statistics\.compare_paired"):
        own.compare("VA", "HS")
    with pytest.raises(ResultError, match="has no table 'ranks'; it has no further tables"):
        own.detail("ranks")
    with pytest.raises(ResultError, match="holds a result of of-my-own, not a LayerSweepResult"):
        probes.LayerSweepResult.read(tmp_path)


def test_a_class_of_ones_own_is_read_back_as_what_it_was_with_its_figure_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Result, "CLASSES", dict(Result.CLASSES))

    def cell() -> type[vl.Result]:
        class Spread(vl.Result, kind="spread"):
            def figures(self) -> Figures:
                return {"spread": partial(vl.plotting.by_layer, self.table, ylabel="of one’s own")}

        return Spread

    spread = cell()
    folder = spread("spread", TABLE, {"model": {"model": "tiny"}}).save(tmp_path / "spread")
    assert files(folder) == {"scores.parquet", "provenance.json", "spread.pdf", "spread.png"}
    assert type(vl.read_result(folder)) is spread
    assert type(spread.read(folder)) is spread
    page = vl.write_report(folder).read_text(encoding="utf-8")
    assert page.count("<figure") == 1
    assert "The figure spread of this spread." in page
    again = cell()  # as a notebook's cell that is run again
    assert type(vl.read_result(folder)) is again is not spread
    with pytest.raises(ResultError, match=r"'spread' are read as .*Spread already\. Name another kind for .*Other\."):

        class Other(vl.Result, kind="spread"):
            pass

    assert type(vl.read_result(folder)) is again


@pytest.mark.parametrize(
    ("found_in", "then"),
    [
        ("valens", ""),
        ("valens.results.result", "import valens; valens.read_result(sys.argv[1])"),
        ("valens.results.result", "from valens import probes; probes.SegmentMatchingResult"),
    ],
)
def test_the_kind_of_a_shipped_probe_is_nobody_else_s_before_it_is_loaded_too(found_in: str, then: str) -> None:
    program = (
        f"import sys\nfrom {found_in} import Result\n"
        "class SegmentMatchingResult(Result, kind='segment-matching'):\n    pass\n" + then
    )
    command = [sys.executable, "-c", program, str(STORED / "segment-matching-peps")]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.stderr.splitlines()[-1] == (
        "valens.errors.ResultError: Results of kind 'segment-matching' are those of a probe of valens. Name another kind "
        "for SegmentMatchingResult."
    )


def test_a_save_that_is_stopped_leaves_no_figures_of_another_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after the tables, it has no layers.json yet; stopped among them, it is no result."""
    sweep = read_result(STORED / "layer-sweep-smollm2-135m")
    sweep.save(tmp_path)

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("valens.plotting.style.save_figure", stopped)
        with pytest.raises(KeyboardInterrupt):
            sweep.save(tmp_path)
    assert not set(sweep.extra_files()) & files(tmp_path)
    assert repr(read_result(tmp_path)) == repr(sweep)
    monkeypatch.setattr("valens.results.result.rename", stopped)
    with pytest.raises(KeyboardInterrupt):
        sweep.save(tmp_path)
    with pytest.raises(ResultError, match=r"provenance\.json"):
        read_result(tmp_path)


@pytest.mark.parametrize("name", ["ladder-smollm2-135m", "sinks-paragraphs"])
def test_ladder_and_sinks_are_read_and_drawn_without_what_models_need(name: str) -> None:
    program = (
        "import sys, valens as vl\n"
        f"found = vl.read_result({str(STORED)!r} + '/{name}')\n"
        "repr(found), found._repr_html_(), found.plot(), found.section()\n"
        "assert not {'torch', 'transformers', 'transformer_lens', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_results_are_read_shown_drawn_and_compared_without_what_models_need() -> None:
    program = (
        "import sys, valens as vl\n"
        f"for name in {list(FOUR)!r}:\n"
        f"    found = vl.read_result({str(STORED)!r} + '/' + name)\n"
        "    repr(found), found._repr_html_(), found.plot()\n"
        "    found.compare('VA', 'WHS' if 'lens' in name else 'HS')\n"
        "assert not {'torch', 'transformers', 'transformer_lens', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
