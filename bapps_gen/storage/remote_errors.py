"""What the backends of fsspec raise, in one line with a remedy.

Exceptions are recognized by the names of their classes, so that none needs to be imported.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

from bapps_gen.errors import BappsGenError, UserError, WorkError, one_line

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}

_LONGEST = 200  # characters repeated of what a backend says

_NO_BUCKET = {"NoSuchBucket"}
_NO_CREDENTIALS = {
    "CredentialRetrievalError",
    "DefaultCredentialsError",
    "NoAuthTokenError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "RefreshError",
    "SSOError",
    "TokenRetrievalError",
}
_NO_RIGHTS = {"PermissionError", "ClientAuthenticationError"}
_NO_CONNECTION = {
    "ClientConnectionError",
    "ClientPayloadError",
    "ConnectionError",
    "ConnectionClosedError",
    "FSTimeoutError",
    "HTTPClientError",
    "IncompleteRead",
    "ServiceRequestError",
    "TimeoutError",
    "TransportError",
    "gaierror",
}
_LOGIN = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "gcs": "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
}


def missing_package(url: str, protocol: str, error: ImportError) -> UserError:
    """One line for a protocol whose package is not installed."""
    extra = _EXTRAS.get(protocol)
    if extra:
        return UserError(
            f"{url}: {protocol}:// needs a package that is not installed; "
            f"run `pip install 'bapps-gen[{extra}]'`"
        )
    if (error.name or "").partition(".")[0] == "fsspec":
        return UserError(
            f"{url}: URLs need fsspec, which is not installed; "
            f"run `pip install 'bapps-gen[urls]'` and install the package for {protocol}://"
        )
    return UserError(
        f"{url}: {protocol}:// needs a package that is not installed ({one_line(error)}); "
        "install it with pip"
    )


def remote_error(url: str, root: str, error: Exception, doing: str) -> Exception:
    """What to raise for a backend's exception.

    Args:
        url: the location, without secrets.
        root: its protocol and authority, without secrets.
        doing: "read" or "write".

    Returns:
        FileNotFoundError where nothing is there, otherwise a UserError or WorkError.
    """
    names = {kind.__name__ for each in _chain(error) for kind in type(each).__mro__}
    codes = {code for each in _chain(error) if (code := _code(each))}
    text = scrubbed(one_line(error))
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    service = _EXTRAS.get(root.partition("://")[0].lower(), "")
    if (names | codes) & _NO_BUCKET or "bucket does not exist" in text:
        return UserError(f"{url}: there is no bucket {root}; create it, or correct the URL")
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, "it does not exist", url)
    if isinstance(error, IsADirectoryError):
        return IsADirectoryError(errno.EISDIR, "it is a folder", url)
    if names & _NO_CREDENTIALS:
        login = _LOGIN.get(service, "give them as the backend of fsspec asks for")
        return UserError(f"{url}: no credentials for {root} ({text}); {login}")
    if names & _NO_RIGHTS:
        return UserError(
            f"{url}: access denied ({text}); check the credentials, and their right to {doing} "
            f"in {root}"
        )
    if names & _NO_CONNECTION:
        what = "the network and AWS_ENDPOINT_URL" if service == "s3" else "the network"
        return WorkError(
            f"{url} cannot be reached ({text}); check {what}, then run the same command again"
        )
    if "ParamValidationError" in names:
        return UserError(f"{url} is not a valid URL ({text}); correct it")
    if isinstance(error, NotImplementedError):
        return UserError(
            f"{url}: {root.partition('://')[0]}:// cannot {doing} this way; use another location"
        )
    return WorkError(f"cannot {doing} {url}: {text}; run the same command again to resume")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and those it came from."""
    seen: set[int] = set()
    current: BaseException | None = error
    while not (current is None or id(current) in seen or isinstance(current, BappsGenError)):
        seen.add(id(current))
        yield current
        current = current.__cause__


def _code(error: BaseException) -> str:
    """The error code in a service's answer, as botocore keeps it."""
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return ""
    return str(response.get("Error", {}).get("Code", ""))


def scrubbed(text: str) -> str:
    """A text with users, passwords and queries taken out of the URLs in it."""
    text = re.sub(r"(\w+://)[^/\s\"'@]*@", r"\1", text)
    return re.sub(r"(\w+://[^\s\"'?]*)\?[^\s\"']*", r"\1", text)
