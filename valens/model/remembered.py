"""Models whose identity was worked out before: known at once by their files, and loaded when a forward pass needs them.

What is kept is in the user's cache, by the hash of the files: the identity for each way of loading, the tokenizer, and the
weights of a GGUF file as dense ones, which take a third of the time to load. Nothing of it is trusted: the tokenizer is
compared with the hash that the identity has, and so are the weights when they are loaded.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valens.files import atomic
from valens.files.digests import key_of
from valens.files.user_cache import cache_folder, code_hash, read_entry, write_entry
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
        cache = cache_folder()
        return cls(None if cache is None or files is None else cache / "models" / files[:32], settings)

    def recall(self) -> tuple[Identity, PreTrainedTokenizerBase] | None:
        """Return the identity and the tokenizer; None if they were not kept, or are not as they were."""
        entry = None if self.folder is None else read_entry(self.folder / self._name)
        if self.folder is None or entry is None:
            return None
        try:
            identity = Identity(**entry | {"sizes": Sizes(**entry["sizes"])})
            tokenizer = _tokenizer_of(self.folder / _TOKENIZER)
            intact = fingerprints.of_tokenizer(tokenizer) == identity.tokenizer_hash
        except Exception:  # noqa: BLE001 - whatever another version or a damaged file may raise, it is worked out anew
            return None
        return (identity, tokenizer) if intact else None

    def keep(self, model: Model) -> None:
        """Remember a model's identity and tokenizer; where the machine refuses, nothing is kept."""
        if self.folder is None:
            return
        tokenizer = model.tokenizer
        if not (self.folder / _TOKENIZER).is_dir():
            _keep_folder(self.folder / _TOKENIZER, tokenizer.save_pretrained)
        write_entry(self.folder / self._name, asdict(model.identity))

    @property
    def weights(self) -> Path | None:
        """The folder with dense weights, from which the model can be loaded; None if there is none."""
        return None if self.folder is None or not (self.folder / _WEIGHTS).is_dir() else self.folder / _WEIGHTS

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


def _keep_folder(folder: Path, save: Callable[[str], object]) -> None:
    """Let `save` fill a folder that is whole or not there; where it cannot be, it is not there."""
    with contextlib.suppress(Exception), quiet():  # a full disk is told in as many ways as there are libraries
        atomic.make_folder(folder, lambda temporary: save(str(temporary)))
