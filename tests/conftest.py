"""What holds in every test: no hub, no window, axes checked, no other machine, and the same examples each time.

`VALENS_CHECK_SHAPES=0` leaves the axes unchecked, which is quicker: `make test` does, `make test-kernels` checks them.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from typing import Any

import hypothesis
import jaxtyping
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["MPLBACKEND"] = "Agg"

# One cache for all processes of a run, which inherit its name; nobody's own is touched.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["VALENS_CACHE"] = tempfile.mkdtemp(prefix="valens-cache-")
    atexit.register(shutil.rmtree, os.environ["VALENS_CACHE"], ignore_errors=True)

# `float` takes an int, as PEP 484 has it. Before anything imports the packages: what is loaded already goes unchecked.
if os.environ.get("VALENS_CHECK_SHAPES", "1") != "0":
    jaxtyping.install_import_hook(
        ["valens", "probes"], "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
    )

# A deadline on a machine that is shared is a coin toss; so are examples drawn anew at every run.
hypothesis.settings.register_profile("house", deadline=None, derandomize=True)
hypothesis.settings.load_profile("house")

_HERE = {None, "", "localhost", "127.0.0.1", "::1"}


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Fail the test that looks up or calls another machine; `pytest.fail` passes through `except Exception`."""
    look_up, connect = socket.getaddrinfo, socket.socket.connect

    def guarded_look_up(host: str | None, *args: Any, **kwargs: Any) -> Any:
        _check_host(host)
        return look_up(host, *args, **kwargs)

    def guarded_connect(self: socket.socket, address: Any) -> Any:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            _check_host(address[0])
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", guarded_look_up)
        patch.setattr(socket.socket, "connect", guarded_connect)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_kept_scores() -> Iterator[None]:
    """Score anew in every test: what one test computed must not answer for the code of another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("valens.evaluation.kept_scores.cache_folder", lambda: None)
        yield


def _check_host(host: str | None) -> None:
    if host not in _HERE:
        pytest.fail(f"A test tried to reach {host!r}. Tests need no network: use a local path or a tiny model.")
