"""The door for people: ``streamlit run streamlit_app.py``.

The script that Streamlit runs is ``pages/navigation.py``: a main script beside a folder ``pages/`` would let anybody
run a page by its address before the sign-in (Streamlit 1.67). Sign-in and sign-out are plain routes; the middleware
stands before everything that Streamlit serves.
"""

import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from actions.uploads import remove_left_uploads
from core.errors import ReadingRoomError
from core.runtime import configure_threads, keep_caches_in
from core.settings import get_settings
from pages.door import addresses, invitation, kept_scripts, openid, password, readiness, reading, sign_in
from pages.door.listening import send_at_once
from pages.door.screen_failure import show_failure
from pages.door.security import RESERVED, SecurityMiddleware
from pages.screens import SCREENS
from pages.widgets.resources import notary, reader_engine, signing_key, store_engine, store_watch


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, int]]:
    """Keep what is loaded by now out of every later garbage collection; watch the store, close it at the end."""
    gc.collect()
    send_at_once()
    gc.freeze()
    watch = store_watch()
    watch.start()
    yield {"screens": len(SCREENS)}
    watch.stop()
    store_engine().dispose()


try:  # what is wrong is said before the first visitor comes
    configure_threads(get_settings().threads or None)
    keep_caches_in(get_settings().cache_folder)
    addresses.configure(get_settings(), RESERVED | {screen.address for screen in SCREENS})
    store_engine()
    reader_engine()
    signing_key()
    notary().check()
    remove_left_uploads()
except ReadingRoomError as error:
    sys.stderr.write(f"Error ({error.code}): {error}\n")
    sys.exit(2)

app = st.App(
    Path(__file__).parent / "pages" / "navigation.py",
    routes=[
        *sign_in.routes(),
        *password.routes(),
        *invitation.routes(),
        *openid.routes(),
        *readiness.routes(),
        *reading.routes(),
        *kept_scripts.routes(),
    ],
    middleware=[
        Middleware(ProxyHeadersMiddleware, trusted_hosts=list(get_settings().trusted_proxies)),
        Middleware(SecurityMiddleware),
    ],
    lifespan=lifespan,
    on_script_error=show_failure,
)
