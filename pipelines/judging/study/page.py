"""The page that people see: its files, and what it is told about the study."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from bapps_gen.errors import UserError
from bapps_gen.pipelines.judging.study.protocol import Protocol

TRANSPORTS = ("http", "static", "jatos", "mturk")
"""Where the page sends votes: to this package's server, into a file, to JATOS, or to a requester on
Mechanical Turk."""

_PAGE = ("index.html", "study.css", "trials.js", "study.js")
_VENDOR = (
    "jspsych.js",
    "plugin-preload.js",
    "plugin-browser-check.js",
    "plugin-html-button-response.js",
    "plugin-same-different-image.js",
    "LICENSE-jspsych.txt",
)
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}

TEXTS = {
    "2afc": {
        "consent": """## Comparing pictures

You are going to compare small pictures. What is stored is your answers, how long you took, and
what kind of browser and screen you have; nothing that says who you are. You may stop at any time by
closing this page.""",
        "instructions": """## What to do

You see three pictures. The one in the middle is the original; the other two are changed versions
of it. **Choose the one that is more similar to the original**: click or tap it, or press the arrow
key ← or →.

Some are easy and some are hard. Go by your first impression.""",
        "thanks": "## Thank you\n\nThat was all. Your answers are stored.",
    },
    "jnd": {
        "consent": """## Same or different?

You are going to compare small pictures. What is stored is your answers, how long you took, and
what kind of browser and screen you have; nothing that says who you are. You may stop at any time by
closing this page.""",
        "instructions": """## What to do

You see a picture for a short time, and then another one in the same place. **Say whether the two
were the same or different**: press F for same and J for different, or use the buttons.

Differences can be small. A few rounds for practice come first; in these you are told what was
right.""",
        "thanks": "## Thank you\n\nThat was all. Your answers are stored.",
    },
}
"""Built-in texts, Markdown (own choice)."""

EXPORT_THANKS = {
    "static": {
        "thanks": "## Thank you\n\nThat was all. Your answers are in a file that this page has "
        "just saved. Please send it to whoever asked you to take part."
    },
    "mturk": {"thanks": "## Thank you\n\nThat was all. Your answers are being submitted."},
}
"""Built-in texts by transport, where answers are not on a server at the end."""

_SHOWN = (
    "task",
    "title",
    "question",
    "reference_ms",
    "gap_ms",
    "distorted_ms",
    "feedback_ms",
    "break_after",
    "zoom",
    "phones",
    "min_width",
)
"""What the page is told of the protocol: nothing about sentinels."""


_TRANSPORT = '<script src="page/transport.js" defer></script>'
_LOCAL = ("page/config.js", "page/local.js")
"""Scripts that pages without a server of this package load before their transport."""


def page_files(transport: str = "http") -> dict[str, tuple[bytes, str]]:
    """Content and media type of the page's files, by path below `page/`; with `index.html`.

    Args:
        transport: one of TRANSPORTS. Of all but "http", the page takes `page/config.js`, too.
    """
    assets = files(__package__) / "assets"
    names = {name: name for name in _PAGE}
    names |= {f"vendor/{name}": f"vendor/{name}" for name in _VENDOR}
    names["transport.js"] = f"transport-{transport}.js"
    if transport != "http":
        names["local.js"] = "local.js"
    contents = {
        name: (assets.joinpath(place).read_bytes(), _TYPES[name.rpartition(".")[2]])
        for name, place in names.items()
    }
    if transport != "http":
        index, kind = contents["index.html"]
        scripts = [f'<script src="{name}" defer></script>' for name in _LOCAL]
        if transport == "jatos":
            scripts.insert(0, '<script src="jatos.js"></script>')  # served by JATOS
        text = index.decode().replace(_TRANSPORT, "\n".join([*scripts, _TRANSPORT]))
        contents["index.html"] = text.encode(), kind
    return contents


def page_config(protocol: Protocol, texts: Mapping[str, str]) -> dict[str, Any]:
    """What the page is told about a study.

    Args:
        protocol: of the study.
        texts: own texts in Markdown, in place of the built-in ones. HTML in them is shown as text.
    """
    values = protocol.values()
    own = {**TEXTS[protocol.task], **texts}
    return {
        **{name: values[name] for name in _SHOWN},
        "completion_url": protocol.completion_url,
        "more": protocol.sessions_per_person > 1,
        "texts": {name: markdown(text) for name, text in own.items()},
    }


def missing_extra(error: ImportError) -> UserError:
    """What to say when a package of the extra `study` is not installed."""
    return UserError(
        f"studies need {error.name}, which is not installed; run: pip install 'bapps-gen[study]'"
    )


def markdown(text: str) -> str:
    """HTML of a text in Markdown, in which HTML is text and links are https, http or mailto."""
    try:
        from markdown_it import MarkdownIt
    except ImportError as error:
        raise missing_extra(error) from error
    rendered: str = MarkdownIt("commonmark", {"html": False}).render(text)
    return rendered
