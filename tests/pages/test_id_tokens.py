"""The ID token of an identity provider: what is wrong with it is found, one fault at a time, as the callback looks."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from core.errors import AccessError
from core.settings import Settings, get_settings
from pages.door.openid import _claims

KEY, FOREIGN = (RSAKey.generate_key(2048, {"kid": "k1"}) for _ in range(2))
CLIENT, NONCE = "reading-room", "the nonce that was asked with"
ASKED = {"verifier": "v" * 43, "nonce": NONCE}


class Provider:
    """Discovery, keys and token endpoint on this machine; ``answer`` is what the token endpoint gives."""

    def __init__(self) -> None:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = {
                    "/.well-known/openid-configuration": {
                        "issuer": provider.calls_itself or provider.url,
                        "authorization_endpoint": f"{provider.url}/authorize",
                        "token_endpoint": f"{provider.url}/token",
                        "jwks_uri": f"{provider.url}/keys",
                    },
                    "/keys": {"keys": [KEY.as_dict(private=False)]},
                }
                self.say(found[self.path])

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                self.say({"access_token": "a", "token_type": "Bearer", "id_token": provider.id_token})

            def say(self, what: object) -> None:
                body = json.dumps(what).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *said: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.calls_itself = ""
        self.id_token = ""
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    running = Provider()
    monkeypatch.setenv("READING_ROOM_OIDC_ISSUER", running.url)
    monkeypatch.setenv("READING_ROOM_OIDC_CLIENT_ID", CLIENT)
    monkeypatch.setenv("READING_ROOM_OIDC_CLIENT_SECRET", "secret")
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    get_settings.cache_clear()
    yield running
    running.server.shutdown()
    running.server.server_close()
    get_settings.cache_clear()


def token(provider: Provider, key: Any = KEY, header: dict[str, str] | None = None, **changes: Any) -> str:
    """A token that is right but for what is changed; None leaves a claim out."""
    now = int(time.time())
    claims = {
        "iss": provider.url, "aud": CLIENT, "sub": "7", "iat": now, "exp": now + 300, "nonce": NONCE,
        "email": "a@b.org", "email_verified": True, **changes,
    }  # fmt: skip
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(header or {"alg": "RS256", "kid": "k1"}, kept, key)


def claims_of(settings: Settings) -> dict[str, Any]:
    return _claims(settings, "http://localhost/callback", "code", ASKED)


def part(plain: object) -> str:
    """A part of a token."""
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def signed_with_public_key(provider: Provider) -> str:
    """The known forgery where any algorithm counts: the provider's public key, used as a shared secret."""
    body = token(provider).split(".")[1]
    signed = f"{part({'alg': 'HS256', 'kid': 'k1'})}.{body}"
    digest = hmac.new(KEY.as_pem(private=False), signed.encode(), "sha256").digest()
    return f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


FAULTS: dict[str, Callable[[Provider], str]] = {
    "a foreign key of the same name": lambda p: token(p, FOREIGN),
    "a key that the provider does not name": lambda p: token(p, KEY, {"alg": "RS256", "kid": "another"}),
    "another audience": lambda p: token(p, aud="another-client"),
    "no audience": lambda p: token(p, aud=None),
    "made for another client": lambda p: token(p, aud=[CLIENT, "another-client"], azp="another-client"),
    "another issuer": lambda p: token(p, iss="https://elsewhere.example"),
    "expired": lambda p: token(p, exp=int(time.time()) - 120),
    "without an end": lambda p: token(p, exp=None),
    "another nonce": lambda p: token(p, nonce="of another sign-in"),
    "no nonce": lambda p: token(p, nonce=None),
    "from the future": lambda p: token(p, iat=int(time.time()) + 3600),
    "no instant": lambda p: token(p, iat=None),
    "signed with the public key as a secret": signed_with_public_key,
    "without a signature": lambda p: f"{part({'alg': 'none'})}.{token(p).split('.')[1]}.",
    "changed after it was signed": lambda p: ".".join(
        [*token(p).split(".")[:1], token(p, email="chief@b.org").split(".")[1], *token(p).split(".")[2:]]
    ),
    "signed by a key that it brings along": lambda p: token(
        p, FOREIGN, {"alg": "RS256", "kid": "k1", "jwk": FOREIGN.as_dict(private=False)}
    ),
    "signed by a key that it says where to find": lambda p: token(
        p, FOREIGN, {"alg": "RS256", "jku": f"{p.url}/theirs", "x5u": f"{p.url}/theirs"}
    ),
    "of an algorithm that the key is not for": lambda p: token(p).replace(
        token(p).split(".")[0], part({"alg": "ES256", "kid": "k1"})
    ),
    "with a header that must be understood": lambda p: ".".join(
        [part({"alg": "RS256", "kid": "k1", "crit": ["b64"], "b64": False}), *token(p).split(".")[1:]]
    ),
    "two tokens in one": lambda p: f"{token(p)}.{token(p)}",
    "no token": lambda _: "no token",
}


def test_a_right_token_is_taken(provider: Provider) -> None:
    provider.id_token = token(provider)
    assert claims_of(get_settings())["email"] == "a@b.org"
    provider.id_token = token(provider, aud=[CLIENT, "another-client"], azp=CLIENT, exp=int(time.time()) - 30)
    assert claims_of(get_settings())["sub"] == "7", "a minute of difference between two clocks is no fault"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_token_with_one_fault_is_refused(fault: str, provider: Provider) -> None:
    provider.id_token = FAULTS[fault](provider)
    with pytest.raises((JoseError, AccessError, ValueError)):
        claims_of(get_settings())


def test_a_provider_that_calls_itself_otherwise_is_refused(provider: Provider) -> None:
    provider.id_token = token(provider)
    provider.calls_itself = "https://elsewhere.example"
    with pytest.raises(Exception, match="calls itself otherwise"):
        claims_of(get_settings())
