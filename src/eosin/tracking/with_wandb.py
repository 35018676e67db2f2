"""Weights & Biases: offline into a folder beside the run, or online for users who are logged in."""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Mapping
from typing import Any

from eosin.tracking.backend import Grouped, Opened, Place, Value
from eosin.tracking.names import is_uri
from eosin.tracking.words import short


class Tracked(Grouped):
    """One run of W&B. Offline it is sent later, or never, by `wandb sync`."""

    def open(self, place: Place) -> Opened:
        import wandb

        remote, folder = place.remote, place.folder()
        folder.mkdir(parents=True, exist_ok=True)
        mode: Any = os.environ.get("WANDB_MODE") or (
            "online" if _logged_in(place.to) else "offline"
        )
        identity = place.identity or secrets.token_hex(4)
        settings: dict[str, Any] = {
            # This process is not the training: its prints and its load are of no interest.
            "console": "off", "x_disable_stats": True, "x_disable_meta": True,
            "x_disable_machine_info": True, "x_save_requirements": False,
            "disable_git": True, "disable_code": True, "save_code": False,
            "silent": True, "init_timeout": 30.0, "login_timeout": 1.0,
        }  # fmt: skip
        if remote:
            settings["base_url"] = place.to
        run = wandb.init(
            project=place.project,
            name=place.run.name,
            id=identity,
            dir=str(folder),
            mode=mode,
            # Offline nothing can be looked up: the same id makes it one run when it is synced.
            resume="allow" if mode == "online" else None,
            settings=wandb.Settings(**settings),
        )
        self.keep(wandb, run, run.id)
        sync = shlex.quote(str(run.settings.sync_dir))
        look = run.url or f"wandb sync --id {identity} {sync}"
        return Opened(identity, place.to if remote else str(folder), look, bool(place.identity))

    def started(self, params: Mapping[str, Value], tags: Mapping[str, str]) -> None:
        self._run.config.update(dict(params), allow_val_change=True)
        for name, text in tags.items():
            self.tag(name, text)
        marks = [short(text) for name, text in tags.items() if name.startswith("mark.")]
        self._run.tags = tuple(dict.fromkeys([*(self._run.tags or ()), *marks]))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def tag(self, name: str, text: str) -> None:
        self._run.config.update({f"tag.{name}": text}, allow_val_change=True)

    def finished(self, values: Mapping[str, float], table: str, step: int) -> None:
        self._run.summary.update(dict(values))
        if table:
            self._run.notes = table
        self.finish()

    def failed(self, sentence: str, stopped: bool) -> None:
        self.tag("ended", sentence)
        self._run.finish(exit_code=1)


def _logged_in(to: str) -> bool:
    """Whether there is an API key for going online; never prompts."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    from wandb.sdk.lib.wbauth.wbnetrc import read_netrc_auth

    host = to or os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"
    return bool(read_netrc_auth(host=host)) if is_uri(host) else False
