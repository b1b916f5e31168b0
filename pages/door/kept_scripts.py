"""Scripts of the app's own components, each under an address of its own, so that a browser keeps them.

Streamlit sends a component's script with every frame: over a slow line more than the image. Here the component's
script is a loader of a few lines, and what it loads stays in the browser until the script itself is another one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pages.door.addresses import address
from pages.door.security import SCRIPTS_PREFIX

#: While the server is away, or another version of it answers, the script is asked for again: so often, a second apart.
_TIMES = 60
#: Streamlit ends a call too when the next frame came before it had returned, though the component stays on the page;
#: then nothing may be closed. After an update of the server the new version takes the old one's place.
_LOADER = """
const address = location.origin + %(address)s;
let script;
async function load(n) {
  try {
    return await import(n ? `${address}?again=${n}` : address);
  } catch (problem) {
    if (n >= %(times)d) throw problem;
    await new Promise((resolve) => setTimeout(resolve, 1000));
    return load(n + 1);
  }
}
export default async function (component) {
  const { parentElement } = component;
  const module = await (script ??= load(0));
  let form = parentElement.querySelector("[data-form]");
  if (form?.dataset.form !== address) { // nothing is drawn yet, or the server was replaced by another version
    form?.end?.();
    form?.remove();
    form = document.createElement("div");
    form.dataset.form = address;
    form.append(document.createRange().createContextualFragment(module.form ?? ""));
    parentElement.append(form);
  }
  form.end = module.default(component);
  return () => {
    if (parentElement.isConnected) return;
    form.end?.();
    form.end = null;
  };
}
"""

_kept: dict[str, bytes] = {}  # by the last part of the address


def keep_script(name: str, script: str, *, html: str = "", css: str = "") -> str:
    """Keep a component's script ready; its path in this app, which names its content.

    Parameters
    ----------
    name : str
        Of the component.
    script : str
        A module whose default export draws the component.
    html, css : str
        What the component draws on; Streamlit would send them with every frame too.
    """
    if html or css:
        script += f"\nexport const form = {json.dumps(f'{html}<style>{css}</style>')};"
    body = script.encode()
    file = f"{name}-{hashlib.sha256(body).hexdigest()[:16]}.js"
    _kept[file] = body
    return SCRIPTS_PREFIX + file


def kept_component(name: str, script: str, *, html: str = "", css: str = "") -> Callable[..., Any]:
    """A component of Streamlit whose script browsers keep, to be called as what ``st.components.v2.component`` gives.

    It is made when it is first drawn, for the base path of its script is not known while modules are imported.
    """
    path = keep_script(name, script, html=html, css=css)

    @cache
    def component() -> Any:
        return st.components.v2.component(name, js=loader(path))

    return lambda **given: component()(**given)


def loader(path: str) -> str:
    """The script that Streamlit sends instead, once the base path is known."""
    return _LOADER % {"address": json.dumps(address(path)), "times": _TIMES}


def kept(request: Request) -> Response:
    """The script of this very address; 404 for that of another version, whose replica may answer the next time."""
    body = _kept.get(request.path_params["file"])
    if body is None:
        return PlainTextResponse("There is no such script.", status_code=404, headers={"cache-control": "no-store"})
    headers = {"cache-control": "public, max-age=31536000, immutable"}
    return Response(body, media_type="text/javascript; charset=utf-8", headers=headers)


def routes() -> list[Route]:
    """What ``streamlit_app.py`` mounts beside Streamlit."""
    return [Route(address(f"{SCRIPTS_PREFIX}{{file}}"), kept, methods=["GET"], middleware=[Middleware(GZipMiddleware)])]
