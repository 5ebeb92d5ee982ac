"""People who take a study in a browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

WAIT = 120_000  # ms
ANYTHING = "button.side, button.choice, button.jspsych-btn, .code"


class Person:
    """Somebody who takes a study; remembers what they answered to which pictures."""

    def __init__(self, study: Any, page: Any) -> None:
        self.page = page
        self.trials = {tuple(t["images"]): t["trial"] for t in study.trials().to_pylist()}
        self.answers: dict[str, str] = {}

    def shown(self) -> str:
        """The trial on the page."""
        sources = self.page.locator("img").evaluate_all("all => all.map(one => one.src)")
        names = [source.rpartition("/")[2].removesuffix(".png") for source in sources]
        if len(names) == 3:
            return self.trials[(names[1], names[0], names[2])]
        return next(t for images, t in self.trials.items() if names[0] == images[-1])

    def answer(self, answer: str, act: Callable[[], None]) -> None:
        """Remember the answer to what is shown, and give it."""
        self.answers[self.shown()] = answer
        act()

    def wait(self) -> str:
        """What can be clicked, once there is something: side, choice, code or jspsych-btn."""
        self.page.wait_for_selector(ANYTHING, timeout=WAIT)
        return next(
            name
            for name in ("side", "choice", "code", "jspsych-btn")
            if self.page.query_selector(f".{name}")
        )

    def begin(self) -> None:
        """Agree and start."""
        self.page.get_by_text("I agree", exact=True).click(timeout=WAIT)
        self.page.get_by_text("Start").click()

    def answer_triplets(self, count: int) -> None:
        """Answer so many triplets by keyboard, left and right in turn."""
        for turn in range(count):
            while self.wait() == "jspsych-btn":
                self.page.locator("button.jspsych-btn").click()
            key, answer = ("ArrowLeft", "left") if turn % 2 else ("ArrowRight", "right")
            self.answer(answer, lambda key=key: self.page.keyboard.press(key))
            self.page.wait_for_timeout(80)
