"""The notebooks: they run on any model, and what is committed is one clean run of each that a reader can follow."""

from __future__ import annotations

import ast
import base64
import json
import re
import signal
import subprocess
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
import standins
import tiny
from IPython.core.formatters import DisplayFormatter
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from tiny import one_thread  # noqa: F401

from valens.corpora import Corpus, named

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SECONDS = 60
"""Of a processor's time, what one notebook may take on the tiny model; a quiet machine needs a third of it at most."""
CHARACTERS = 1500
"""What is left of a Wikipedia article."""

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: nbformat.NotebookNode) -> Iterator[nbformat.NotebookNode]:
    for cell in code_cells(notebook):
        yield from cell.outputs


# --- they run ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model that reads any text, in the folder `four-layers`."""
    path = tmp_path_factory.mktemp("models") / "four-layers"
    sizes = {"num_hidden_layers": 4, "vocab_size": 257, "max_position_embeddings": 256}
    tiny.network("llama", **sizes).save_pretrained(path)
    standins.byte_tokenizer().save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has beside it what the notebooks have, and in which they share a store, as they do."""
    root = tmp_path_factory.mktemp("checkout")
    (root / "figures").symlink_to(ROOT / "figures")
    (root / "notebooks").mkdir()
    return root / "notebooks"


@pytest.fixture
def short_articles(monkeypatch: pytest.MonkeyPatch) -> None:
    """No notebook reads more of an article, and a tokenizer of single bytes takes long for the rest."""
    whole = named.wikipedia_corpus

    def short(*, limit: int | None = None) -> Corpus:
        found = whole(limit=limit)
        return replace(found, texts=tuple(text[:CHARACTERS] for text in found.texts))

    monkeypatch.setattr(named, "wikipedia_corpus", short)


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} s of a processor's time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def run(source: str, namespace: dict[str, object], where: str) -> None:
    """A cell as a kernel runs it, where it is plain Python: its last expression is shown."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, where, "exec"), namespace)
    if last is not None:
        shown = eval(compile(ast.Expression(last.value), where, "eval"), namespace)
        if isinstance(shown, Figure):
            shown.draw_without_rendering()
        elif shown is not None:
            assert DisplayFormatter().format(shown)[0]["text/plain"]


def check_figures() -> None:
    """In place of `plt.show`: what is shown has names on its axes."""
    for number in plt.get_fignums():
        figure = plt.figure(number)
        figure.draw_without_rendering()
        panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
        assert all(axes.get_xlabel() for axes in panels)
        assert panels[0].get_ylabel()
    plt.close("all")


@each_notebook
def test_it_runs_on_a_model_of_the_reader_s(
    path: Path, model_folder: Path, workplace: Path, short_articles: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("notebook")
    monkeypatch.setitem(sys.modules, "notebook", module)  # where a dataclass looks for its own module
    monkeypatch.setattr(plt, "show", check_figures)
    monkeypatch.chdir(workplace)
    plt.close("all")  # those of a notebook that failed
    cells = code_cells(read(path))
    (parameters,) = [cell for cell in cells if "parameters" in cell.metadata.get("tags", ())]
    parameters.source, n = re.subn(r'^MODEL = ".*"$', f"MODEL = {str(model_folder)!r}", parameters.source, flags=re.M)
    assert n == 1
    with time_limit(SECONDS):
        for number, cell in enumerate(cells, start=1):
            run(cell.source, module.__dict__, f"{path.name}, cell {number}")
    assert not plt.get_fignums(), "a figure was drawn and not shown"


# --- what is committed ------------------------------------------------------------------------------------------------


def test_there_are_seven() -> None:
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06", "07"]


@each_notebook
def test_it_was_run_once_from_top_to_bottom_without_a_word_of_trouble(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for output in outputs(notebook):
        assert output.output_type != "error"
        assert output.get("name") != "stderr"
        assert not any("widget" in kind for kind in output.get("data", ()))


@each_notebook
def test_it_says_nothing_of_the_machine(path: Path) -> None:
    notebook = read(path)
    assert not any("execution" in cell.metadata for cell in notebook.cells)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    shown = json.dumps([[output.get("text", ""), output.get("data", {})] for output in outputs(notebook)])
    shown = re.sub(r'"image/png": "[^"]*"', "", shown)
    assert not re.search(r"(?<![\w.])/(?:home|root|tmp|work|usr|opt|Users|mnt|var)/", shown)
    assert str(ROOT) not in shown


@each_notebook
def test_it_is_short_and_small(path: Path) -> None:
    assert 15 <= len(read(path).cells) <= 45
    assert path.stat().st_size < 400_000


def test_together_they_are_small() -> None:
    assert sum(path.stat().st_size for path in NOTEBOOKS) < 1_500_000


@each_notebook
def test_it_explains_itself(path: Path) -> None:
    """It begins and ends in words, has no three cells of code in a row, and a sentence beside each picture."""
    cells = read(path).cells
    kinds = [cell.cell_type for cell in cells]
    assert cells[0].source.startswith("# ")
    assert kinds[0] == kinds[-1] == "markdown"
    assert "code-code-code" not in "-".join(kinds)
    pictures = [place for place, cell in enumerate(cells) if has_picture(cell)]
    assert len(pictures) >= 2
    for place in pictures:
        assert "markdown" in kinds[place - 1 : place + 2]


def has_picture(cell: nbformat.NotebookNode) -> bool:
    shown = [output.data["image/png"] for output in cell.get("outputs", ()) if "image/png" in output.get("data", ())]
    assert len(shown) <= 1, "a figure is shown twice"
    assert all(base64.b64decode(picture).startswith(b"\x89PNG") for picture in shown)
    return bool(shown)


@each_notebook
def test_what_it_links_to_is_there(path: Path) -> None:
    words = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    for target in re.findall(r"\]\(([^)#:]+)\)", words):
        assert (FOLDER / target).exists(), target


@each_notebook
def test_the_model_is_named_in_one_cell(path: Path) -> None:
    """So that a reader changes it there and nowhere else."""
    named = [cell for cell in code_cells(read(path)) if "smollm2" in cell.source.replace("-smollm2-135m", "")]
    assert [cell.metadata.get("tags") for cell in named] == [["parameters"]]


# --- how they are run -------------------------------------------------------------------------------------------------


def execute(folder: Path, *sources: str) -> tuple[subprocess.CompletedProcess, nbformat.NotebookNode]:
    path = folder / "one.ipynb"
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    command = [sys.executable, FOLDER / "execute.py", path]
    return subprocess.run(command, capture_output=True, text=True, check=False), read(path)


def test_outputs_are_written_and_pictures_are_made_small(tmp_path: Path) -> None:
    draw = "from matplotlib import pyplot as plt\nfigure, axes = plt.subplots()\naxes.plot([1, 3, 2])\nplt.show()"
    done, notebook = execute(tmp_path, draw, "1 + 1")
    assert done.returncode == 0, done.stderr
    picture, two = outputs(notebook)
    colour_type = base64.b64decode(picture.data["image/png"])[25]
    assert colour_type == 3, "a palette"
    assert two.data["text/plain"] == "2"
    assert [cell.execution_count for cell in notebook.cells] == [1, 2]


def test_noise_stops_the_run_and_leaves_the_file(tmp_path: Path) -> None:
    done, notebook = execute(tmp_path, "import sys", "sys.stderr.write('a warning')")
    assert done.returncode != 0
    assert "a warning" in done.stderr
    assert not list(outputs(notebook))
