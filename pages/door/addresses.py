"""Under which address this server answers: host names, the path before its own paths, and who asks from where.

Streamlit's options ``server.baseUrlPath`` and ``server.allowedHosts`` are the truth that Streamlit itself goes by;
:func:`configure` gives them the settings, whichever way the server was started.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import uvicorn
from starlette.types import Scope
from streamlit import config

from core.errors import SettingsError
from core.settings import Settings

#: Longest message that any browser sends over its websocket, bytes; files are uploaded by requests.
LONGEST_MESSAGE = 4 * 2**20
_DEFAULT_PORTS = {"http": 80, "https": 443}


def configure(settings: Settings, own_paths: frozenset[str]) -> None:
    """Give Streamlit the base path and the host names of the settings; called before it makes its routes.

    Parameters
    ----------
    settings : Settings
    own_paths : frozenset of str
        First parts of the paths of this app, which no base path may begin with: where a proxy takes the base path away,
        one could not be told from the other.

    Raises
    ------
    SettingsError
        If the base path begins with a path of the app.
    """
    base = settings.base_path
    if base and base.split("/")[1] in own_paths:
        raise SettingsError(
            "the base path begins like an address of the app", field="READING_ROOM_BASE_PATH", fix="use another name"
        )

    def apply() -> None:
        hosts = list(config.get_option("server.allowedHosts"))
        config.set_option("server.allowedHosts", hosts + [host for host in settings.allowed_hosts if host not in hosts])
        if base:
            config.set_option("server.baseUrlPath", base)

    apply()
    config.on_config_parsed(apply, force_connect=True)  # again whenever the file was touched and is read anew
    for server in gc.get_objects():
        if type(server) is uvicorn.Config:
            server.proxy_headers = False  # it would believe any forwarded address that comes from this machine
            server.ws_max_size = LONGEST_MESSAGE  # Streamlit's own option is for what it sends, too: 200 MB


def address(path: str) -> str:
    """Path of this app as a browser asks for it: behind the base path."""
    return base_path() + path


def base_path() -> str:
    """``/reading`` or nothing."""
    path = str(config.get_option("server.baseUrlPath")).strip("/")
    return f"/{path}" if path else ""


def at_base_path(scope: Scope) -> Scope:
    """The request with the base path in its path, where a proxy has taken it away."""
    base = base_path()
    if not base or scope["path"] == base or scope["path"].startswith(f"{base}/"):
        return scope
    raw = scope.get("raw_path")
    return {**scope, "path": base + scope["path"], "raw_path": None if raw is None else base.encode() + raw}


def inner_path(scope: Scope) -> str:
    """Path of the request without the base path."""
    return str(scope["path"]).removeprefix(base_path()) or "/"


def is_host_allowed(host: str | None) -> bool:
    """Whether Streamlit would open its websocket under the name in the header ``Host``."""
    patterns = [pattern.lower().rstrip(".") for pattern in config.get_option("server.allowedHosts")]
    name = host_name(host).rstrip(".")
    return not patterns or any(
        pattern in ("*", name) or (pattern.startswith("*.") and name.endswith(pattern[1:])) for pattern in patterns
    )


def host_name(host: str | None) -> str:
    """Name in a header ``Host``, without its port; empty where it is none."""
    return _split(f"//{host or ''}")[0] or ""


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a page of this very address asks, host and port; a program that is no browser sends no origin."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
    name, port = _split(origin)
    asked_name, asked_port = _split(f"//{headers.get('host', '')}")
    default = _DEFAULT_PORTS.get(origin.partition("://")[0])
    return name is not None and (name, port or default) == (asked_name, asked_port or default)


def is_from_own_page(headers: Mapping[str, str]) -> bool:
    """Whether a link on a page of this app was followed; over plain http only the referrer tells it."""
    said = headers.get("sec-fetch-site")
    if said:
        return said == "same-origin"
    origin = re.match(r"https?://[^/?#]+", headers.get("referer", ""))
    return origin is not None and is_same_origin({"origin": origin[0], "host": headers.get("host", "")})


def _split(url: str) -> tuple[str | None, int | None]:
    """Host, lower case, and port of a URL; no host where it is none."""
    try:
        parts = urlsplit(url)
        is_bare = parts.username is None and not (parts.path or parts.query or parts.fragment)
        return (parts.hostname if is_bare else None), parts.port
    except ValueError:
        return None, None
