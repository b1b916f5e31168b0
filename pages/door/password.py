"""One's own password: changed here, and before anything else by a person whose password somebody else set."""

from __future__ import annotations

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from core.errors import AccessError, InputError, SignedOutError, StoreError
from db import Repository
from pages.door.addresses import address
from pages.door.forms import field, form_page, hidden, is_own_form, posted
from pages.door.security import PASSWORD_PATH, session_token
from pages.door.sign_in import NO_STORE, in_turn, not_now, safe_target, signed_in
from pages.widgets.resources import repository


async def password_page(request: Request) -> Response:
    """The form, and who set the present password."""
    target = safe_target(request.query_params.get("next"))
    try:
        return await _page(request, await anyio.to_thread.run_sync(_store_of, request), target=target)
    except StoreError:
        return form_page(request, title="Change the password", lead="", path=PASSWORD_PATH, fields="", problem=NO_STORE)


async def change_password(request: Request) -> Response:
    """Change the password, end every sign-in of the person, and begin a new one here."""
    form = await posted(request)
    store, target = await anyio.to_thread.run_sync(_store_of, request), safe_target(form.get("next"))
    new, ip = form.get("new", ""), request.client.host if request.client else "unknown"
    if not is_own_form(request, form):
        return await _page(request, store, target=target, problem="This form was too old. Please try again.")
    if new != form.get("again", ""):
        return await _page(request, store, target=target, wrong={"again": "The two new passwords differ."})
    try:
        await in_turn(store.change_my_password, form.get("old", ""), new)
        login = store.actor.login if store.actor else ""
        token = await in_turn(repository(None).authenticate, login, new, ip)
    except InputError as error:
        said = f"{error.problem[0].upper()}{error.problem[1:]}. {(error.fix or '').capitalize()}."
        return await _page(request, store, target=target, wrong={"new": said})
    except SignedOutError as error:
        return await _page(request, store, target=target, problem=str(error))
    except AccessError as error:
        return await _page(request, store, target=target, wrong={"old": str(error)})
    except StoreError as error:
        return await _page(request, store, target=target, problem=not_now(error))
    return signed_in(request, target, token)


def _store_of(request: Request) -> Repository:
    """The store for the person who asks; the middleware has seen the sign-in."""
    token = session_token(request.headers)
    return repository(repository(None).actor_for_token(token or ""), token)


async def _page(
    request: Request, store: Repository, *, target: str, problem: str = "", wrong: dict[str, str] | None = None
) -> HTMLResponse:
    wrong = wrong or {}
    lead = "A new password ends your sign-ins everywhere else."
    if store.actor is not None and store.actor.must_change_password:
        found = await anyio.to_thread.run_sync(store.my_password_set)
        if found is not None:
            when = f"{found.set_at:%Y-%m-%d at %H:%M} UTC"
            lead = (
                f"Your password was set by {found.set_by} on {when}. Choose one that only you know. "
                "Who set it stands beside the readings that are made from then on."
            )
    names = (("old", "Present password", "current-password"), ("new", "New password", "new-password"))
    fields = hidden("next", target)
    # The login, hidden from the eye, tells a password manager whose password this is.
    fields += f'<input type="text" autocomplete="username" value="{store.actor.login if store.actor else ""}" hidden>'
    for name, label, complete in (*names, ("again", "New password again", "new-password")):
        hint = "10 characters or more; several words do well" if name == "new" else ""
        focus = name == next(iter(wrong), "old")
        fields += field(
            label, name, kind="password", autocomplete=complete, problem=wrong.get(name, ""), hint=hint, has_focus=focus
        )
    return form_page(
        request,
        title="Change the password",
        lead=lead,
        path=PASSWORD_PATH,
        fields=fields,
        problem=problem,
        status=400 if problem or wrong else 200,
    )


def routes() -> list[Route]:
    """What ``streamlit_app.py`` mounts beside Streamlit."""
    return [
        Route(address(PASSWORD_PATH), password_page, methods=["GET"]),
        Route(address(PASSWORD_PATH), change_password, methods=["POST"]),
    ]
