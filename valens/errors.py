"""What valens raises: each message says what is wrong, what was found, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class ValensError(Exception):
    """Base of every error that a user's input, files or machine can cause; the command line exits with code 2 on it."""


class ValensWarning(UserWarning):
    """What a user should know and need do nothing about; the command line shows it as a note."""


class SiteError(ValensError):
    """A stream, layer or norm that the model does not have."""


class LayerSetError(ValensError):
    """A layer set that cannot be read, or that the model does not have."""


class ModelError(ValensError):
    """A model that cannot be found, loaded or read."""


class PromptError(ValensError):
    """A prompt template that cannot be rendered, or a text that cannot be put into one."""


class RepresentationError(ValensError):
    """A representation, reading or pooling that does not exist."""


class PostprocessingError(ValensError):
    """A post-processing of embeddings that does not exist, or that these texts cannot be fitted with."""


class CaptureError(ValensError):
    """Vectors that cannot be captured, or must not be kept."""


class StoreError(ValensError):
    """An activation store that cannot be read or written."""


class CorpusError(ValensError):
    """Texts that cannot be found or read."""


class TaskError(ValensError):
    """A task or suite that does not exist, or whose data cannot be used."""


class TaskDataError(TaskError):
    """A task whose data cannot be had here; a suite can go on without it."""


class SelectionError(ValensError):
    """A layer set that cannot be selected from the scores at hand."""


class ProbeError(ValensError):
    """A probe that cannot be trained as asked."""


class ResultError(ValensError):
    """A result that cannot be written, read or drawn."""


class MissingPackageError(ValensError):
    """A package or data wheel that is needed for this and is not installed."""


class UsageError(ValensError):
    """A command line that names no command."""


def did_you_mean(word: str, known: Iterable[str], *, n: int = 1, cutoff: float = 0.6) -> str:
    """Return a sentence with the `n` names nearest to a word, whatever the case, and a space; empty if none is near.

    `cutoff` is how alike two names must be, from 0 to 1.
    """
    near = nearest(word, known, n=n, cutoff=cutoff)
    return f"Did you mean {' or '.join(near)}? " if near else ""


def nearest(word: str, known: Iterable[str], *, n: int, cutoff: float) -> list[str]:
    """Return the known names nearest to a word, the nearest first."""
    names = {name.lower(): name for name in known}
    return [names[name] for name in get_close_matches(word.lower(), names, n=n, cutoff=cutoff)]
