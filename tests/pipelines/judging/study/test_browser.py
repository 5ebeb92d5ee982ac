"""People take a study in a real browser, by mouse, keyboard and touch, and their votes come out."""

import statistics

import pytest

from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.pipelines.judging.study.collect import server_votes
from bapps_gen.pipelines.judging.study.protocol import Protocol
from bapps_gen.pipelines.judging.study.server import study_app
from bapps_gen.pipelines.judging.study.study import make_study
from support.browser import needs_chromium
from support.chromium import browser_context, served
from support.people import WAIT, Person

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture
def make(sets, tmp_path):
    def make_one(task, **changes):
        protocol = Protocol(task=task, judgments=1, **changes)
        return make_study(tmp_path / "study", [open_dataset(sets / task)], protocol)

    return make_one


def answers_of(study):
    """What each trial of the study was answered with, as the browser gives it."""
    votes = {}
    for vote in server_votes(study).to_pylist():
        answer = vote["answer"]
        if vote["left"]:
            answer = "left" if answer == vote["left"] else "right"
        votes[vote["trial"]] = answer
    return votes


def test_a_2afc_session_by_mouse_and_keyboard_with_a_reload_in_the_middle(make):
    study = make("2afc", trials=14, sentinels=4, break_after=6)
    with served(study_app(study)) as address, browser_context() as context:
        page = context.new_page()
        page.goto(address)
        person = Person(study, page)
        page.get_by_text("I agree", exact=True).click(timeout=WAIT)
        page.get_by_text("Start").click()
        turn = 0
        while (now := person.wait()) != "code":
            if now == "jspsych-btn":
                page.locator("button.jspsych-btn").click()
                continue
            if turn == 5:
                page.reload()
                page.get_by_text("Continue").click(timeout=WAIT)
            elif turn % 2:
                person.answer("left", lambda: page.keyboard.press("ArrowLeft"))
            else:
                person.answer("right", lambda: page.locator("button.side").nth(1).click())
            turn += 1
            page.wait_for_timeout(60)
        assert len(page.locator(".code").inner_text()) == 10
    assert len(person.answers) == 18
    assert answers_of(study) == person.answers


def test_a_2afc_session_by_touch_on_a_tablet(make):
    study = make("2afc", trials=4, sentinels=2)
    tablet = {"viewport": {"width": 768, "height": 1024}, "has_touch": True, "is_mobile": True}
    agent = "Mozilla/5.0 (Linux; Android 14; Tablet) AppleWebKit/537.36 Chrome/130.0 Mobile Safari"
    options = {
        **tablet,
        "device_scale_factor": 2,
        "user_agent": agent,
        "screen": tablet["viewport"],
    }
    with served(study_app(study)) as address, browser_context(**options) as context:
        page = context.new_page()
        page.goto(address)
        person = Person(study, page)
        page.get_by_text("I agree", exact=True).tap(timeout=WAIT)
        page.get_by_text("Start").tap()
        while (now := person.wait()) != "code":
            if now == "jspsych-btn":
                page.locator("button.jspsych-btn").tap()
                continue
            size = page.locator("img").first.evaluate("one => one.getBoundingClientRect().width")
            assert size * 2 % 64 == 0  # a whole number of the screen's pixels for each of ours
            person.answer("left", lambda: page.locator("button.side").first.tap())
            page.wait_for_timeout(60)
    assert answers_of(study) == person.answers
    assert set(person.answers.values()) == {"left"}


def test_own_texts_are_shown_and_the_end_leads_back_to_the_platform(make, tmp_path):
    (tmp_path / "consent.md").write_text(
        "# We ask you\n\n- *one*\n- [more](https://example.org/more)\n\n"
        "[bad](javascript:alert(1)) <script>alert(1)</script> <img src=x onerror=alert(1)>"
    )
    (tmp_path / "instructions.md").write_text("Look **closely** at ä → ö.")
    (tmp_path / "thanks.md").write_text("## That was it")
    texts = {name: str(tmp_path / f"{name}.md") for name in ("consent", "instructions", "thanks")}
    study = make(
        "2afc",
        trials=2,
        sentinels=0,
        title="My <b>study</b>",
        question="Which is <i>nearer</i>?",
        completion_code="C1 & C2",
        completion_url="https://app.example.org/complete?cc={code}",
        **texts,
    )
    with served(study_app(study)) as address, browser_context() as context:
        page = context.new_page()
        page.goto(f"{address}?PROLIFIC_PID=p1&SESSION_ID=s1")
        page.get_by_text("I agree", exact=True).wait_for(timeout=WAIT)
        assert page.title() == "My <b>study</b>"
        assert page.locator("h1").inner_text() == "We ask you"
        assert page.locator("li em").inner_text() == "one"
        assert page.locator(".text a").evaluate_all("all => all.map(one => one.href)") == [
            "https://example.org/more"
        ]
        shown = page.locator(".text").inner_text()
        assert "<script>alert(1)</script>" in shown
        assert "<img src=x" in shown
        assert page.locator(".text script, .text img").count() == 0
        page.get_by_text("I agree", exact=True).click()
        assert page.locator("strong").inner_text() == "closely"
        page.get_by_text("Start").click()
        person = Person(study, page)
        person.wait()
        assert page.locator(".question").inner_text() == "Which is <i>nearer</i>?"
        person.answer_triplets(2)
        assert person.wait() == "code"
        assert page.locator(".text h2").inner_text() == "That was it"
        assert page.locator(".code").inner_text() == "C1 & C2"
        link = page.get_by_text("Go back to where you came from")
        assert link.get_attribute("href") == "https://app.example.org/complete?cc=C1%20%26%20C2"


def test_somebody_who_does_not_agree_is_asked_nothing(make):
    study = make("2afc", trials=2, sentinels=0)
    with served(study_app(study)) as address, browser_context() as context:
        page = context.new_page()
        page.goto(address)
        page.get_by_text("I do not agree").click(timeout=WAIT)
        page.get_by_text("You did not agree").wait_for(timeout=WAIT)
    assert server_votes(study).num_rows == 0


def test_a_phone_is_refused_when_the_study_wants_that(make):
    study = make("2afc", trials=4, sentinels=0)
    agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148 Safari"
    size = {"width": 390, "height": 844}
    options = {"viewport": size, "screen": size, "user_agent": agent, "is_mobile": True}
    with served(study_app(study)) as address, browser_context(**options) as context:
        page = context.new_page()
        page.goto(address)
        page.get_by_text("This study needs a larger screen").wait_for(timeout=WAIT)


def test_a_jnd_session_by_keyboard_alone(make):
    study = make("jnd", trials=4, sentinels=4, identical=3, practice=2)
    with served(study_app(study)) as address, browser_context() as context:
        page = context.new_page()
        page.goto(address)
        person = Person(study, page)
        page.wait_for_selector("button.jspsych-btn", timeout=WAIT)
        for _ in range(2):  # agree, start
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
            page.wait_for_timeout(400)
        turn = 0
        while (now := person.wait()) != "code":
            if now == "jspsych-btn":
                page.keyboard.press("Tab")
                page.keyboard.press("Enter")
                page.wait_for_timeout(200)
                continue
            key, answer = ("f", "same") if turn % 2 else ("j", "different")
            page.wait_for_timeout(1200 if turn % 3 else 50)
            person.answer(answer, lambda key=key: page.keyboard.press(key))
            turn += 1
            page.wait_for_timeout(120)
    assert answers_of(study) == person.answers
    assert len(person.answers) == 10


def test_the_patches_of_a_pair_are_shown_for_the_right_time(make):
    study = make("jnd", trials=10, sentinels=0, identical=0, practice=0)
    with served(study_app(study)) as address, browser_context() as context:
        page = context.new_page()
        page.goto(address)
        person = Person(study, page)
        page.get_by_text("I agree", exact=True).click(timeout=WAIT)
        page.get_by_text("Start").click()
        while person.wait() != "code":
            if page.query_selector("button.choice"):
                page.wait_for_timeout(1150)
                page.keyboard.press("f")
                page.wait_for_timeout(120)
            else:
                page.locator("button.jspsych-btn").click()
    votes = server_votes(study).to_pylist()
    assert len(votes) >= 10
    frame = 1000 / 60
    for name, wanted in (("reference_ms", 1000), ("gap_ms", 250), ("distorted_ms", 1000)):
        times = [vote[name] for vote in votes]
        assert abs(statistics.median(times) - wanted) <= frame


def test_votes_are_kept_while_the_server_is_away(make):
    study = make("2afc", trials=6, sentinels=0)
    with browser_context(expected="ERR_CONNECTION") as context:
        page = context.new_page()
        with served(study_app(study)) as address:
            port = int(address.rstrip("/").rpartition(":")[2])
            page.goto(address)
            page.get_by_text("I agree", exact=True).click(timeout=WAIT)
            page.get_by_text("Start").click()
            person = Person(study, page)
            person.wait()
            person.answer("left", lambda: page.keyboard.press("ArrowLeft"))
            page.wait_for_timeout(500)
        for _ in range(2):
            person.wait()
            person.answer("right", lambda: page.keyboard.press("ArrowRight"))
            page.wait_for_timeout(200)
        page.get_by_text("are kept and sent later").wait_for(timeout=WAIT)
        assert len(answers_of(study)) == 1
        with served(study_app(study), port):
            while person.wait() != "code":
                person.answer("left", lambda: page.keyboard.press("ArrowLeft"))
                page.wait_for_timeout(200)
        context.clear_cookies()
    assert answers_of(study) == person.answers
    assert len(person.answers) == 6
