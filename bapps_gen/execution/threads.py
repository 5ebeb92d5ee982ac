"""How many threads torch has."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_threads_lock = threading.RLock()


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch with one thread, which sums in the same order on every machine of a kind."""
    import torch

    with _threads_lock:
        before = torch.get_num_threads()
        if before == 1:
            yield
            return
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
