"""Kaggle: where its token is, and how its client is used to open a data set.

Kaggle's client is two packages. ``kaggle``, the command line, signs in while it is imported,
prints, makes folders and may end the process; its downloader writes under the final name.
``kagglesdk``, the layer below that speaks with the service, does none of this. So kagglesdk signs
in and opens the download here, and eosin.fetching.downloads writes the body.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import requests
from requests.adapters import HTTPAdapter

from eosin.errors import CredentialsError, DownloadError, MissingExtraError
from eosin.fetching.servers import Opener, Patience, TryAgain, answers, range_headers, refuse_status
from eosin.texts import from_json

STEPS = """\
  1. Sign in at kaggle.com, open Settings > API and create a token.
  2. Save it as ~/.kaggle/kaggle.json (a one-line token as ~/.kaggle/access_token),
     or set KAGGLE_API_TOKEN, or KAGGLE_USERNAME and KAGGLE_KEY.
  3. Run the same command again."""


@dataclass(frozen=True)
class Credentials:
    """What signs in at Kaggle; the secrets stay out of its text.

    >>> Credentials("key", "environment", username="ana", secret="s3cret")
    Credentials(kind='key', where='environment', username='ana', path=None)
    """

    #: "token" (one string), "key" (user name and key) or "login" (of `kaggle auth login`).
    kind: str
    #: For people: an environment variable or a file.
    where: str
    username: str | None = None
    secret: str = field(default="", repr=False)
    path: Path | None = None

    @property
    def readable_by_others(self) -> bool:
        """Whether other users of the machine can read the file."""
        return self.path is not None and os.name != "nt" and bool(self.path.stat().st_mode & 0o044)


def find_credentials(environ: Mapping[str, str] | None = None) -> Credentials | None:
    """The credentials that the Kaggle client would use, or None.

    In its order: a token (KAGGLE_API_TOKEN, or a file access_token), a user name with a key
    (KAGGLE_USERNAME and KAGGLE_KEY, or a file kaggle.json), a login. Files are looked for in
    KAGGLE_CONFIG_DIR, then in the home folder.

    Raises CredentialsError when a file is there but cannot be understood.
    """
    environ = os.environ if environ is None else environ
    home = Path(environ.get("HOME") or Path.home())
    folders = [home / ".kaggle", Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "kaggle")]
    if environ.get("KAGGLE_CONFIG_DIR"):
        folders.insert(0, Path(environ["KAGGLE_CONFIG_DIR"]))

    def files(*names: str) -> list[Path]:
        every = [folder / name for folder in folders for name in names]
        return [path for path in every if path.is_file()]

    return (
        _token(environ, files("access_token", "access_token.txt"))
        or _key(environ, files("kaggle.json"))
        or _login(files("credentials.json"))
    )


def _token(environ: Mapping[str, str], files: list[Path]) -> Credentials | None:
    value = environ.get("KAGGLE_API_TOKEN", "").strip()
    if value:
        # The client accepts a path here as well.
        path = Path(value) if "/" in value and Path(value).is_file() else None
        secret = value if path is None else _text(path)
        return _checked(Credentials("token", "KAGGLE_API_TOKEN", None, secret, path))
    for path in files:
        if secret := _text(path):
            return _checked(Credentials("token", str(path), None, secret, path))
    return None


def _key(environ: Mapping[str, str], files: list[Path]) -> Credentials | None:
    user, key = (environ.get(f"KAGGLE_{name}", "").strip() for name in ("USERNAME", "KEY"))
    if user and key:
        return _checked(Credentials("key", "KAGGLE_USERNAME and KAGGLE_KEY", user, key))
    if files:
        path, stored = files[0], _object(files[0])
        # One of the two may come from the environment, as in the client.
        user = user or str(stored.get("username") or "")
        key = key or str(stored.get("key") or "")
        if not (user and key):
            raise _unusable(f'{path} has no "username" and "key"')
        return _checked(Credentials("key", str(path), user, key, path))
    if user or key:
        have, lack = ("USERNAME", "KEY") if user else ("KEY", "USERNAME")
        raise CredentialsError(
            f"KAGGLE_{have} is set but KAGGLE_{lack} is not; set both, or:\n{STEPS}"
        )
    return None


def _login(files: list[Path]) -> Credentials | None:
    path = next((path for path in files if _object(path).get("refresh_token")), None)
    return Credentials("login", str(path), None, "", path) if path else None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise _unusable(f"{path} cannot be read ({reason})") from None


def _object(path: Path) -> dict[str, Any]:
    try:
        value = from_json(_text(path))
    except ValueError as error:
        raise _unusable(f"{path} is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise _unusable(f"{path} does not contain a JSON object")
    return value


def _checked(credentials: Credentials) -> Credentials:
    for value in (credentials.username or "x", credentials.secret):
        if not value or not value.isascii() or not value.isprintable() or " " in value:
            raise _unusable(
                f"the Kaggle token from {credentials.where} is empty or has invalid characters"
            )
    return credentials


def _unusable(reason: str) -> CredentialsError:
    return CredentialsError(f"{reason}; create a new token:\n{STEPS}")


def require_credentials() -> Credentials:
    """The credentials, or CredentialsError with the steps to get them."""
    if credentials := find_credentials():
        return credentials
    raise CredentialsError(
        "no Kaggle token found in the environment, in KAGGLE_CONFIG_DIR or in ~/.kaggle. "
        f"To get one:\n{STEPS}"
    )


def open_dataset(dataset: str, credentials: Credentials) -> Opener:
    """An opener for the zip of a Kaggle data set, named OWNER/NAME.

    Each attempt asks Kaggle again, because the signed address that it returns expires.

    Raises MissingExtraError without the client; the opener raises CredentialsError when the token
    is refused, DownloadError when the data set does not exist.
    """
    sdk = _sdk()

    def open_at(start: int, validator: str | None, patience: Patience) -> requests.Response:
        response = _ask(sdk, dataset, credentials, patience)
        if not start:
            return response
        # The client cannot ask for a part. Its last request (after the redirects, with or without
        # the token as that server needs it) is sent again with a range.
        again = response.request.copy()
        response.close()
        again.headers["Accept-Encoding"] = "identity"
        again.headers.update(range_headers(start, validator))
        with answers("Kaggle"), requests.Session() as session:
            settings = session.merge_environment_settings(str(again.url), {}, True, None, None)
            settings["timeout"] = patience.timeout_s
            rest: requests.Response = session.send(again, **settings)
        if rest.status_code in (400, 401, 403):
            rest.close()
            raise TryAgain(f"the download address expired ({rest.status_code})")
        refuse_status(rest, "Kaggle")
        return rest

    return open_at


def _sdk() -> Any:
    try:
        import kagglesdk
        from kagglesdk.datasets.types import dataset_api_service
    except ImportError as error:
        if (error.name or "").split(".")[0] == "kagglesdk":
            raise MissingExtraError("kaggle", "downloading the Kaggle archive") from None
        raise DownloadError(
            f"the Kaggle client is installed but does not import ({error}); repair it with: "
            'pip install --upgrade --force-reinstall "eosin[kaggle]"'
        ) from None
    return kagglesdk, dataset_api_service


def _ask(sdk: Any, dataset: str, credentials: Credentials, patience: Patience) -> requests.Response:
    """Sign in and ask for the complete zip: the open response, its body not yet read."""
    kagglesdk, types = sdk
    where = f"Kaggle data set {dataset}"
    request = types.ApiDownloadDatasetRequest()
    request.owner_slug, request.dataset_slug = dataset.split("/")
    response: requests.Response
    with answers(where):
        try:
            with _client(kagglesdk, credentials, patience) as client:
                response = client.datasets.dataset_api_client.download_dataset(request)
        except requests.HTTPError as error:
            _refused(error, where, f"kaggle.com/datasets/{dataset}", credentials)
    refuse_status(response, where)
    return response


def _client(kagglesdk: Any, credentials: Credentials, patience: Patience) -> Any:
    secrets = {"api_token": credentials.secret}
    if credentials.kind == "key":
        secrets = {"username": credentials.username or "", "password": credentials.secret}
    elif credentials.kind == "login":
        anonymous = _patient(kagglesdk.KaggleClient(), patience)
        try:
            stored = kagglesdk.KaggleCredentials.load(anonymous, str(credentials.path))
        except (ValueError, TypeError) as error:
            raise CredentialsError(
                f"{credentials.where} is damaged ({error}); log in again with the Kaggle client, "
                f"or:\n{STEPS}"
            ) from None
        secrets = {"api_token": stored.get_access_token()}
    return _patient(kagglesdk.KaggleClient(**secrets), patience)


class _TimeoutAdapter(HTTPAdapter):
    def __init__(self, timeout_s: tuple[float, float]) -> None:
        self._timeout_s = timeout_s
        super().__init__()

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = kwargs.get("timeout") or self._timeout_s
        return super().send(request, *args, **kwargs)


def _patient(client: Any, patience: Patience) -> Any:
    # The client waits forever for a silent server; only its session can limit that.
    http = client.http_client()
    http.__enter__()
    session = getattr(http, "_session", None)
    if isinstance(session, requests.Session):
        session.headers["Accept-Encoding"] = "identity"
        for scheme in ("http://", "https://"):
            session.mount(scheme, _TimeoutAdapter(patience.timeout_s))
    return client


def _refused(
    error: requests.HTTPError, where: str, page: str, credentials: Credentials
) -> NoReturn:
    response = error.response
    if response is None:
        raise TryAgain(str(error)) from None
    status = _status(response)
    # After a redirect it is the file store that refuses, and no other token would help.
    if response.history and status in (400, 401, 403):
        raise TryAgain(f"the file store behind Kaggle answered {status}") from None
    if status == 401:
        raise CredentialsError(
            f"Kaggle refused the token from {credentials.where} (401): it is wrong, expired or "
            f"revoked. To get a new one:\n{STEPS}"
        ) from None
    if status == 403:
        raise CredentialsError(
            f"Kaggle refused the download (403) with the token from {credentials.where}: its "
            f"account has not accepted the terms of the data set. Open {page}, sign in and accept "
            f"them; or get a new token:\n{STEPS}"
        ) from None
    if status == 404:
        raise DownloadError(f"{where}: not found (404); check whether {page} has moved") from None
    response.status_code = status
    refuse_status(response, where)
    raise DownloadError(f"{where}: {error}") from None


def _status(response: requests.Response) -> int:
    """The status, or the one inside the answer: the service may wrap a refusal in a 200."""
    with suppress(ValueError, KeyError, TypeError):
        if response.status_code < 400:
            return int(response.json()["code"])
    return response.status_code
