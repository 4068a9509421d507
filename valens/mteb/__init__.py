"""Where valens and mteb meet: mteb's tasks as tasks of ours, mteb's evaluators, and a layer set as an encoder of mteb's.

mteb is an optional package (`pip install "valens-lm[mteb]"`), imported when it is first needed.
"""

from __future__ import annotations

from valens.mteb.encoder import Encoder

__all__ = ["Encoder"]
