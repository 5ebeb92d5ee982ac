"""How many threads torch has, and work done ahead on threads."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

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


def map_ahead(
    work: Callable[[Item], Result], items: Iterable[Item], depth: int, threads: int
) -> Iterator[Result]:
    """`map` on threads, with `depth` items worked on ahead of the result that is used."""
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
