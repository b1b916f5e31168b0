"""Sign-in through an identity provider (OpenID Connect, authorization code with PKCE), where one is configured.

A verified e-mail address leads to the person who has it; an unknown one is refused, and nobody is made an account. What
the answer of the provider must match (state, nonce, code verifier) lies in a signed cookie of the browser that asked.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from typing import Any

import anyio.to_thread
from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from core.errors import AccessError, StoreError
from core.settings import Settings, get_settings
from pages.door.addresses import address
from pages.door.cookies import OPENID_COOKIE, forget_cookie, is_https, set_cookie
from pages.door.security import OPENID_PATH
from pages.door.sign_in import NO_STORE, refused_sign_in, safe_target, signed_in
from pages.widgets.resources import repository, signing_key

_log = logging.getLogger("reading_room")

_CALLBACK = f"{OPENID_PATH}/callback"
_LASTS_S = 600  # from the button to the answer of the provider
_TIMEOUT_S = 10.0
_SCOPE = "openid email"
#: Signatures of ID tokens that count; none with a shared secret, and not "none".
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
_FAILED = "The sign-in through {name} failed. Please try again, or use login and password."


async def begin(request: Request) -> Response:
    """Send the browser to the provider."""
    settings, redirect_uri = get_settings(), _redirect_uri(request)
    secret = {name: secrets.token_urlsafe(32) for name in ("state", "nonce", "verifier")}
    secret["next"] = safe_target(request.query_params.get("next"))

    def url() -> str:
        with _session(settings, redirect_uri) as session:
            endpoint = _discovered(session, settings)["authorization_endpoint"]
            made, _ = session.create_authorization_url(
                endpoint, state=secret["state"], nonce=secret["nonce"], code_verifier=secret["verifier"]
            )
            return str(made)

    try:
        response: Response = RedirectResponse(await anyio.to_thread.run_sync(url), status_code=303)
    except Exception:
        _log.exception("the identity provider could not be asked")
        return refused_sign_in(request, _FAILED.format(name=settings.oidc_name), status=502)
    set_cookie(response, request, OPENID_COOKIE, _sealer().dumps(secret), seconds=_LASTS_S, same_site="lax")
    return response


async def callback(request: Request) -> Response:
    """Hold the provider's answer against what was asked, and sign in the person with the verified address."""
    settings, redirect_uri = get_settings(), _redirect_uri(request)
    failed = _FAILED.format(name=settings.oidc_name)
    try:
        asked = _sealer().loads(request.cookies.get(OPENID_COOKIE, ""), max_age=_LASTS_S)
    except BadSignature:
        return refused_sign_in(request, failed, status=400)
    code, state = request.query_params.get("code", ""), request.query_params.get("state", "")
    if not code or not hmac.compare_digest(state.encode(), asked["state"].encode()):
        return refused_sign_in(request, failed, status=400)
    try:
        claims = await anyio.to_thread.run_sync(_claims, settings, redirect_uri, code, asked)
    except Exception:  # of the network, of the provider, or of a token that is none: nothing of it is for the browser
        _log.exception("the identity provider's answer was refused")
        return refused_sign_in(request, failed, status=502)
    email = claims.get("email")
    if not isinstance(email, str) or claims.get("email_verified") is not True:
        return refused_sign_in(request, f"{settings.oidc_name} does not vouch for your e-mail address.", status=403)
    ip = request.client.host if request.client else "unknown"
    try:
        token = await anyio.to_thread.run_sync(repository(None).sign_in_by_provider, settings.oidc_issuer, email, ip)
    except AccessError as error:
        return refused_sign_in(request, str(error), status=403)
    except StoreError:
        return refused_sign_in(request, NO_STORE, status=503)
    response = signed_in(request, safe_target(asked["next"]), token)
    forget_cookie(response, request, OPENID_COOKIE)
    return response


def _claims(settings: Settings, redirect_uri: str, code: str, asked: dict[str, str]) -> dict[str, Any]:
    """What the provider's ID token says, after every check of it."""
    from joserfc import jwt
    from joserfc.jwk import KeySet

    with _session(settings, redirect_uri) as session:
        found = _discovered(session, settings)
        answer = session.fetch_token(
            found["token_endpoint"], code=code, code_verifier=asked["verifier"], timeout=_TIMEOUT_S
        )
        keys = KeySet.import_key_set(session.get(found["jwks_uri"], timeout=_TIMEOUT_S, withhold_token=True).json())
    said: dict[str, Any] = jwt.decode(answer["id_token"], keys, algorithms=list(_ALGORITHMS)).claims
    jwt.JWTClaimsRegistry(
        leeway=60,
        iss={"essential": True, "value": settings.oidc_issuer},
        aud={"essential": True, "value": settings.oidc_client_id},
        exp={"essential": True},
        iat={"essential": True},
        nonce={"essential": True, "value": asked["nonce"]},
    ).validate(said)
    if said.get("azp", settings.oidc_client_id) != settings.oidc_client_id:
        raise AccessError("The token was made for another client.")
    return said


def _session(settings: Settings, redirect_uri: str) -> Any:
    """An OAuth client; imported here, so that a server without a provider loads nothing of it."""
    from authlib.integrations.requests_client import OAuth2Session

    secret = settings.oidc_client_secret
    return OAuth2Session(
        settings.oidc_client_id,
        None if secret is None else secret.get_secret_value(),
        scope=_SCOPE,
        redirect_uri=redirect_uri,
        code_challenge_method="S256",
    )


def _discovered(session: Any, settings: Settings) -> dict[str, Any]:
    """The provider's own description, which must be of the provider that was configured."""
    url = f"{settings.oidc_issuer.rstrip('/')}/.well-known/openid-configuration"
    answer = session.get(url, timeout=_TIMEOUT_S, withhold_token=True)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    if found.get("issuer") != settings.oidc_issuer:
        raise AccessError("The provider calls itself otherwise than READING_ROOM_OIDC_ISSUER.")
    return found


def _redirect_uri(request: Request) -> str:
    """Where the provider sends the browser back, as it must be registered there; the host was checked at the door."""
    scheme = "https" if is_https(request.scope) else "http"
    return f"{scheme}://{request.headers['host']}{address(_CALLBACK)}"


def _sealer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(signing_key(), salt="openid")


def routes() -> list[Route]:
    """What ``streamlit_app.py`` mounts beside Streamlit; nothing where no provider is configured."""
    if not get_settings().oidc_issuer:
        return []
    return [
        Route(address(OPENID_PATH), begin, methods=["GET"]),
        Route(address(_CALLBACK), callback, methods=["GET"]),
    ]
