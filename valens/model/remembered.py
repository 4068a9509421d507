"""Models whose identity was worked out before: known at once by their files, and loaded when a forward pass needs them.

What is kept is in the user's cache, by the hash of the files: the identity for each way of loading, the tokenizer, and the
weights of a GGUF file as dense ones, which take a third of the time to load. Nothing of it is trusted: the tokenizer's files
are compared with the hash that was kept with the identity, and the weights with the identity's own when they are loaded.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valens.files import atomic
from valens.files.digests import key_of
from valens.files.user_cache import begin, code_hash, place, read_entry, write_entry
from valens.model import architecture, attention, fingerprints
from valens.model.architecture import Sizes
from valens.model.model import Identity, Model
from valens.model.refusals import quiet

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_LIBRARIES = ("valens-lm", "torch", "transformers", "transformer-lens", "tokenizers")
_TOKENIZER, _WEIGHTS = "tokenizer", "weights"


@dataclass(frozen=True)
class Memory:
    """What is remembered of some files, as they are loaded in one way."""

    folder: Path | None
    """Of these files, in the user's cache; None where there is none."""
    settings: dict[str, Any]
    """How they are loaded: dtype, device, attention implementation, revision."""

    @classmethod
    def of(cls, files: str | None, **settings: Any) -> Memory:
        """Return the memory of files by their digest; of None there is none."""
        return cls(None if files is None else place("models", files[:32]), settings)

    def recall(self) -> tuple[Identity, PreTrainedTokenizerBase] | None:
        """Return the identity and the tokenizer; None if they were not kept, or are not as they were."""
        entry = None if self.folder is None else read_entry(self.folder / self._name)
        if self.folder is None or entry is None:
            return None
        kept, sizes = entry["identity"], Sizes(**entry["identity"]["sizes"])
        identity, tokenizer = Identity(**kept | {"sizes": sizes}), self.folder / _TOKENIZER
        if _hash_of(tokenizer) != entry["tokenizer"]:
            shutil.rmtree(tokenizer, ignore_errors=True)  # to be kept anew
            return None
        loaded = _tokenizer_of(tokenizer)
        return (identity, loaded) if fingerprints.of_tokenizer(loaded) == identity.tokenizer_hash else None

    def keep(self, model: Model) -> None:
        """Remember a model's identity and tokenizer; where the machine refuses, nothing is kept."""
        if self.folder is None:
            return
        tokenizer = self.folder / _TOKENIZER
        _keep_folder(tokenizer, model.tokenizer.save_pretrained)
        of_tokenizer = _hash_of(tokenizer)
        if of_tokenizer is not None:
            write_entry(self.folder / self._name, {"identity": asdict(model.identity), "tokenizer": of_tokenizer})

    @property
    def weights(self) -> Path | None:
        """The folder with dense weights, from which the model can be loaded; None if there is none."""
        folder = None if self.folder is None else self.folder / _WEIGHTS
        return folder if folder is not None and os.path.isdir(folder) else None  # noqa: PTH112 - and does not raise

    def keep_weights(self, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        """Keep a model that was unpacked to float32; where the machine refuses, nothing is kept."""
        if self.folder is not None and self.weights is None:
            _keep_folder(
                self.folder / _WEIGHTS,
                lambda folder: (network.save_pretrained(folder), tokenizer.save_pretrained(folder)),
            )

    def forget(self) -> None:
        """Remove what turned out to be damaged."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _name(self) -> str:
        code = code_hash(architecture.__name__, attention.__name__, fingerprints.__name__)
        return key_of(self.settings | {name: version(name) for name in _LIBRARIES} | {"code": code}) + ".json"


def _tokenizer_of(folder: Path) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    with quiet():
        return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)


def _hash_of(folder: Path) -> str | None:
    """Return the sha256 of the names and contents of a folder's files; None if they cannot be read."""
    sha = hashlib.sha256()
    try:
        for path in sorted(folder.iterdir()):
            content = path.read_bytes()
            sha.update(f"{path.name}:{len(content)};".encode() + content)
    except OSError:
        return None
    return sha.hexdigest()


def _keep_folder(folder: Path, save: Callable[[str], object]) -> None:
    """Let `save` fill a folder that is whole or not there; where it cannot be, or is there, all stays as it is."""
    if os.path.isdir(folder):  # noqa: PTH112 - and does not raise
        return
    with contextlib.suppress(Exception), quiet():  # a full disk is told in as many ways as there are libraries
        begin()
        atomic.make_folder(folder, lambda temporary: save(str(temporary)))
