"""Where an invited person makes the account. The token of the link stands after its #, which no browser sends on.

So it is in no log of a proxy and in no referrer; a script of ours puts it into the form and takes it out of the
address. Without scripts it is typed.
"""

from __future__ import annotations

from functools import partial

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from core.errors import AccessError, ConflictError, InputError, NotFoundError, StoreError
from core.study import Role
from pages.door.addresses import address
from pages.door.forms import field, form_page, hidden, is_own_form, posted
from pages.door.security import INVITATION_PATH
from pages.door.sign_in import NO_STORE, in_turn, not_now, signed_in
from pages.widgets.resources import repository

_SCRIPT = """const code = location.hash.slice(1);
if (code) {
  document.querySelector("input[name=code]").value = code;
  history.replaceState(null, "", location.pathname);
  document.querySelector("form").requestSubmit();
}"""
_PARTS = {
    Role.READER: "read in",
    Role.COORDINATOR: "coordinate",
    Role.STATISTICIAN: "analyse",
    Role.ADMINISTRATOR: "administer",
}
_HAS_USED = {"": "not said", "yes": "yes", "no": "no"}


async def invitation_page(request: Request) -> Response:
    """The form for the code, which the link fills in by itself."""
    return _code_page(request)


async def use_invitation(request: Request) -> Response:
    """First the code alone: say what it is for. Then everything: make the account and sign in."""
    form = await posted(request)
    code = form.get("code", "").strip()
    if not is_own_form(request, form):
        return _code_page(request, code, problem="This form was too old. Please try again.")
    try:
        offer = await anyio.to_thread.run_sync(repository(None).invitation_offer, code)
    except StoreError:
        return _code_page(request, code, problem=NO_STORE, status=503)
    if offer is None:
        said = "This invitation cannot be used: it was used before, taken back, or has expired. Ask for a new one."
        return _code_page(request, problem=said)
    what = f"{_PARTS[offer.role]} the study “{offer.study_title}”" if offer.study_title else f"be {offer.role}"
    page = partial(
        _account_page,
        request,
        form,
        offer.role,
        f"You are invited to {what}. Choose a login and a password that nobody else knows.",
    )
    if "login" not in form:
        return page()
    if form.get("password", "") != form.get("again", ""):
        return page({"again": "The two passwords differ."})
    try:
        token = await in_turn(_accept, request, form)
    except InputError as error:
        said = f"{error.problem[0].upper()}{error.problem[1:]}." + (f" {error.fix.capitalize()}." if error.fix else "")
        if error.field not in form:  # of the study, which changed since the invitation was made
            return page(problem=f"{said} Ask for a new invitation.")
        return page({error.field: said})
    except NotFoundError as error:
        return page(problem=f"{error} Ask for a new invitation.")
    except ConflictError as error:
        return page({"login": str(error)}) if "with login" in str(error) else page(problem=str(error))
    except AccessError as error:
        return _code_page(request, problem=str(error))
    except StoreError as error:
        return page(problem=not_now(error))
    return signed_in(request, address("/"), token)


def _accept(request: Request, form: dict[str, str]) -> str:
    """Make the account; give the token of its first sign-in."""
    login, password = form.get("login", ""), form.get("password", "")
    repository(None).accept_invitation(
        form.get("code", "").strip(),
        login,
        form.get("display_name", ""),
        password,
        years_of_experience=_years(form.get("years_of_experience", "")),
        specialty=form.get("specialty"),
        site=form.get("site"),
        has_used_model={"yes": True, "no": False}.get(form.get("has_used_model", "")),
    )
    return repository(None).authenticate(login, password, request.client.host if request.client else "unknown")


def _years(text: str) -> float | None:
    """A number of years, or nothing."""
    text = text.strip().replace(",", ".")
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise InputError("years of experience are a number", field="years_of_experience", fix="such as 3") from None


def _code_page(request: Request, code: str = "", problem: str = "", status: int | None = None) -> HTMLResponse:
    hint = "It is the part of the link after #."
    return form_page(
        request,
        title="Go on",
        lead="You were invited to Reading Room.",
        path=INVITATION_PATH,
        fields=field("Invitation code", "code", value=code, has_focus=True, hint=hint),
        problem=problem,
        status=status or (400 if problem else 200),
        script="" if problem else _SCRIPT,
    )


def _account_page(
    request: Request,
    form: dict[str, str],
    role: Role,
    lead: str,
    wrong: dict[str, str] | None = None,
    problem: str = "",
) -> HTMLResponse:
    """Login, name, password, and of a reader what reviewers ask."""
    wrong, said = wrong or {}, form.get

    def text(label: str, name: str, **options: object) -> str:
        return field(label, name, value=said(name, ""), problem=wrong.get(name, ""), **options)  # type: ignore[arg-type]

    def secret(label: str, name: str, hint: str = "") -> str:
        return field(label, name, kind="password", autocomplete="new-password", problem=wrong.get(name, ""), hint=hint)

    fields = hidden("code", said("code", ""))
    fields += text("Login", "login", autocomplete="username", has_focus=not wrong)
    fields += text("Name on dashboards and in exports", "display_name", autocomplete="name")
    fields += secret("Password", "password", "10 characters or more; several words do well")
    fields += secret("Password again", "again")
    if role is Role.READER:
        fields += text("Years of experience", "years_of_experience", is_required=False)
        fields += text("Specialty", "specialty", is_required=False)
        fields += text("Institution", "site", is_required=False)
        options = "".join(
            f'<option value="{key}"{" selected" * (said("has_used_model", "") == key)}>{shown}</option>'
            for key, shown in _HAS_USED.items()
        )
        question = "Have you used such an AI model before?"
        fields += f'<label>{question} <select name="has_used_model">{options}</select></label>'
    return form_page(
        request,
        title="Make the account",
        lead=lead,
        path=INVITATION_PATH,
        fields=fields,
        problem=problem,
        status=400 if wrong or problem else 200,
    )


def routes() -> list[Route]:
    """What ``streamlit_app.py`` mounts beside Streamlit."""
    return [
        Route(address(INVITATION_PATH), invitation_page, methods=["GET"]),
        Route(address(INVITATION_PATH), use_invitation, methods=["POST"]),
    ]
