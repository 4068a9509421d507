"""What is read of a text at every layer, by name: the paper's `VA`, `HS`, `LT`, `WMP`, `WVA`, `AlignedWVA`, and controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from valens.errors import RepresentationError, SelectionError, SiteError, did_you_mean
from valens.layers.sites import Stream
from valens.representations.poolings import Pooling
from valens.representations.prompts import PLAIN, Prompt
from valens.representations.readings import Reading


@dataclass(frozen=True)
class Representation:
    """One vector a layer: a reading of a rendered text.

    Args:
        name: what tables and figures call it.
        reading: the Reading, or its notation, such as `hidden/last`.
        prompt: the Prompt, or its template alone, such as `Topic: {text}`. The default is the text as it is.

    Raises:
        RepresentationError, SiteError: a reading that does not exist.
        PromptError: a template without exactly one `{text}`.

    """

    name: str
    reading: Reading
    prompt: Prompt = PLAIN

    def __init__(self, name: str, reading: Reading | str, prompt: Prompt | str = PLAIN) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "reading", Reading.parse(reading) if isinstance(reading, str) else reading)
        object.__setattr__(self, "prompt", Prompt(prompt) if isinstance(prompt, str) else prompt)

    def __str__(self) -> str:
        """Return the name."""
        return self.name


VA = Representation("VA", Reading(Stream.VALUES, Pooling.MEAN))
"""Value aggregation: the mean of the value vectors (section 4.1)."""
HS = Representation("HS", Reading(Stream.HIDDEN, Pooling.MEAN))
"""The mean of the hidden states."""
HS_BUT_FIRST = Representation("HS-but-first", Reading(Stream.HIDDEN, Pooling.BUT_FIRST))
"""The mean of the hidden states without the first token's, which in many models is a hundred times as long as others."""
LT = Representation("LT", Reading(Stream.HIDDEN, Pooling.LAST))
"""The last token's hidden state."""
WMP = Representation("WMP", Reading(Stream.HIDDEN, Pooling.WEIGHTED))
"""The position-weighted mean of the hidden states."""
WVA = Representation("WVA", Reading(Stream.HEADS, Pooling.LAST))
"""The last token's head outputs: values weighted by its attention (section 6.1)."""
ALIGNED_WVA = Representation("AlignedWVA", Reading(Stream.ATTN_OUT, Pooling.LAST))
"""The last token's attention output: WVA after W_O (section 6.2)."""

REPRESENTATIONS = {named.name: named for named in (VA, HS, HS_BUT_FIRST, LT, WMP, WVA, ALIGNED_WVA)}


def representation(name: str) -> Representation:
    """Return a representation of the paper by its name, or make one of a reading.

    Args:
        name: `VA`, `HS`, `HS-but-first`, `LT`, `WMP`, `WVA` or `AlignedWVA`, in upper or lower case, or a reading such as
            `values/weighted`.

    Returns:
        The representation; one that is made of a reading has its notation as name, and no prompt.

    Raises:
        RepresentationError: there is none of this name; the message lists the names. Also for attention patterns, whose
            width is the length of the text. A user-defined pooling has no name to give here: make a `Representation`.

    """
    for known_name, known_representation in REPRESENTATIONS.items():
        if known_name.lower() == name.strip().lower():
            return known_representation
    if "/" in name:
        try:
            reading = Reading.parse(name)
        except SiteError as error:
            raise RepresentationError(str(error)) from None
        if reading.is_measure:
            raise RepresentationError(f"{reading} is a few numbers about a text's tokens; it makes no embedding.")
        if reading.stream is Stream.PATTERN:
            raise RepresentationError("Attention patterns are as wide as a text is long; they make no embedding.")
        return Representation(str(reading), reading)
    raise RepresentationError(
        f"There is no representation {name!r}. {did_you_mean(name, REPRESENTATIONS)}"
        f"Choose of {', '.join(REPRESENTATIONS)}, or write a reading such as "
        "values/weighted."
    )


def check_no_templates(representations: Sequence[Representation], why: str) -> None:
    """Raise SelectionError unless there are representations and none has a template with words; `why` begins the reason."""
    worded = [representation for representation in representations if representation.prompt.template != PLAIN.template]
    if worded or not representations:
        reason = f"{worded[0]} has {worded[0].prompt.template!r}" if worded else "none was given"
        raise SelectionError(f"{why}, so a representation may have no template; {reason}.")
