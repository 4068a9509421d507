"""Run the notebooks from top to bottom, each in a kernel of its own, and write their outputs into them.

    python notebooks/execute.py [NOTEBOOK ...]

What is written is small and without a trace of the machine: pictures with few colours, no times, no versions. A cell that
fails, or that writes to standard error, stops the run, and that notebook's file stays as it was.
"""

from __future__ import annotations

import base64
import io
import os
import sys
import time
from pathlib import Path

import nbclient
import nbformat
from PIL import Image
from traitlets.config import Config

HERE = Path(__file__).resolve().parent
SECONDS_A_CELL = 1800
COLOURS = 256
"""Enough for bands, maps and smooth letters; a picture has a third of its bytes with them."""

ENCRYPTED = Config({"KernelManager": {"transport_encryption": "auto"}})
"""Otherwise each kernel warns that others on the machine could listen."""

NO_WIDGETS = "--IPKernelApp.exec_lines=import sys; sys.modules['ipywidgets'] = None"
"""As where ipywidgets is missing: a bar that moves is for those who watch."""

PNG = "image/png"

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def main(names: list[str]) -> None:
    """Run the notebooks named, or all."""
    os.environ.pop("MPLBACKEND", None)  # or pictures would not be shown
    os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")  # tqdm's word where ipywidgets is missing
    for path in map(Path, names) if names else sorted(HERE.glob("*.ipynb")):
        start = time.monotonic()
        nbformat.write(executed(nbformat.read(path, as_version=4), path.resolve().parent), path)
        print(f"{path.name}: {time.monotonic() - start:.0f} s, {path.stat().st_size / 1000:.0f} kB")


def executed(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of a run in this folder; raises nbclient's CellExecutionError, or SystemExit."""
    client = nbclient.NotebookClient(
        notebook,
        timeout=SECONDS_A_CELL,
        kernel_name="python3",
        record_timing=False,
        store_widget_state=False,
        extra_arguments=[NO_WIDGETS],
        resources={"metadata": {"path": str(folder)}},
        config=ENCRYPTED,
    )
    client.execute()
    for cell in notebook.cells:
        cell.metadata = {"tags": cell.metadata.tags} if "tags" in cell.metadata else {}
        for output in cell.get("outputs", ()):
            _check_noise(output, cell.execution_count)
            _shrink(output)
    notebook.metadata = METADATA
    nbformat.validate(notebook)
    return notebook


def _check_noise(output: nbformat.NotebookNode, number: int) -> None:
    widget = any("widget" in kind for kind in output.get("data", ()))
    if output.get("name") == "stderr" or widget:
        what = "a widget" if widget else output.text.strip()[:300]
        raise SystemExit(
            f"Cell {number} shows what no reader needs: {what}. Mend its cause, then run the notebook again."
        )


def _shrink(output: nbformat.NotebookNode) -> None:
    if PNG in output.get("data", ()):
        small = io.BytesIO()
        picture = Image.open(io.BytesIO(base64.b64decode(output.data[PNG]))).convert("RGB")
        picture.quantize(COLOURS, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
        output.data[PNG] = base64.b64encode(small.getvalue()).decode()
        output.metadata = {}


if __name__ == "__main__":
    main(sys.argv[1:])
