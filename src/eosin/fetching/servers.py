"""Asking a server for a file, or for the rest of it, with every refusal turned into a reason."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import requests
import urllib3

from eosin.errors import DownloadError

_RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for. Times in seconds; ``attempts`` in a row without progress."""

    attempts: int = 6
    backoff_s: float = 1.0
    longest_wait_s: float = 60.0
    connect_s: float = 20.0
    read_s: float = 60.0

    def wait_s(self, failures: int, asked_s: float | None = None) -> float:
        """The pause after so many failures: what the server asked for, otherwise doubling.

        >>> [Patience().wait_s(n) for n in (1, 2, 3, 9)], Patience().wait_s(1, asked_s=5)
        ([1.0, 2.0, 4.0, 60.0], 5)
        """
        wait_s = self.backoff_s * 2 ** (failures - 1) if asked_s is None else asked_s
        return min(wait_s, self.longest_wait_s)

    @property
    def timeout_s(self) -> tuple[float, float]:
        """For requests: until connected, and between two pieces of the answer."""
        return self.connect_s, self.read_s


#: The default.
PATIENCE = Patience()


class TryAgain(Exception):
    """This attempt failed, another may succeed. Never leaves this room."""

    def __init__(self, reason: str, *, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


#: Asks a server for a file from byte ``start``, provided it is still the one that ``validator``
#: names. Raises TryAgain, or an EosinError where another attempt cannot help.
Opener = Callable[[int, str | None, Patience], requests.Response]


def open_url(url: str) -> Opener:
    """An opener for a plain address."""

    def open_at(start: int, validator: str | None, patience: Patience) -> requests.Response:
        response = get(url, start, validator, patience, where=url)
        refuse_status(response, url)
        return response

    return open_at


def get(
    url: str,
    start: int,
    validator: str | None,
    patience: Patience,
    *,
    where: str,
    headers: Mapping[str, str] | None = None,
) -> requests.Response:
    """The open response for the file from byte ``start``, of any status; ``where`` is for messages.

    Raises TryAgain or DownloadError where no answer comes.
    """
    # "identity": the bytes as they are on the server, so that sizes and ranges mean the file.
    sent = {"Accept-Encoding": "identity", **(headers or {}), **range_headers(start, validator)}
    with answers(where):
        return requests.get(url, headers=sent, stream=True, timeout=patience.timeout_s)


def range_headers(start: int, validator: str | None) -> dict[str, str]:
    """The request headers for the rest of a file from byte ``start``.

    >>> range_headers(0, '"a"'), range_headers(7, '"a"')
    ({}, {'Range': 'bytes=7-', 'If-Range': '"a"'})
    """
    if not start:
        return {}
    return {"Range": f"bytes={start}-"} | ({"If-Range": validator} if validator else {})


@contextlib.contextmanager
def answers(where: str) -> Iterator[None]:
    """Turn what requests and urllib3 raise into TryAgain, or DownloadError where it cannot help."""
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise DownloadError(
            f"{where}: no trusted connection ({_innermost(error)}); check the clock and any proxy "
            "of your network (set REQUESTS_CA_BUNDLE to its certificate)"
        ) from None
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
        raise TryAgain("no answer from the server in time") from None
    except (
        requests.exceptions.ConnectionError,
        requests.exceptions.ChunkedEncodingError,
        urllib3.exceptions.HTTPError,
        ConnectionError,
    ) as error:
        raise TryAgain(f"the connection broke ({_innermost(error)})") from None
    except requests.RequestException as error:
        raise DownloadError(f"{where}: {_innermost(error)}") from None


def refuse_status(response: requests.Response, where: str) -> None:
    """Raise for every status that does not carry the file.

    200, 206 and 416 (asked for bytes past the end) pass; 5xx and a few others may be tried again.
    """
    status = response.status_code
    if status in (200, 206, 416):
        return
    reason = f"the server answered {status} {response.reason or ''}".rstrip()
    response.close()
    if status in _RETRIED_STATUS:
        asked = response.headers.get("Retry-After", "")
        raise TryAgain(reason, wait_s=float(asked) if asked.isdigit() else None)
    raise DownloadError(f"{where}: {reason}")


def _innermost(error: BaseException) -> str:
    """The cause in a few words; requests' own texts repeat the address with its signature."""
    seen: set[int] = set()
    inner = error
    while id(inner) not in seen:
        seen.add(id(inner))
        causes = (getattr(inner, "reason", None), *inner.args, inner.__cause__, inner.__context__)
        inner = next((cause for cause in causes if isinstance(cause, BaseException)), inner)
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    if isinstance(inner, requests.RequestException | urllib3.exceptions.HTTPError):
        return re.sub(r"(?<!^)(?=[A-Z])", " ", type(inner).__name__).lower()
    return str(inner) or type(inner).__name__
