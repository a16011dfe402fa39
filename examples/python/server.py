"""A service whose users sign in at authd.

It fetches authd's public keys every few minutes, and verifies access tokens by itself, without a request to authd for
each. What a token must be is fixed here; the token chooses nothing (RFC 8725).

    python3 -m venv .venv && .venv/bin/pip install -r requirements.txt
    ISSUER=http://127.0.0.1:8080 .venv/bin/python server.py 8000
    curl http://127.0.0.1:8000/ -H "Authorization: Bearer $token"
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

# The `public_url` of authd. First-party tokens name it as issuer and as audience.
ISSUER = os.environ.get("ISSUER", "http://127.0.0.1:8080")

# Keys are kept for five minutes. A token with an unknown key makes the client fetch them again, at most once a second,
# however many such tokens an attacker sends. authd publishes a key an hour before it signs, so this matters only after
# `authd key rotate --now`.
KEYS = jwt.PyJWKClient(f"{ISSUER}/oauth/jwks", lifespan=300, cooldown_duration=1, timeout=5)


class Unavailable(Exception):
    """authd's keys could not be fetched, so the token could not be checked."""


def verify(token):
    """Returns the claims of a valid access token.

    Raises `jwt.PyJWTError` for any other, and `Unavailable` if the token could not be checked.
    """
    try:
        key = KEYS.get_signing_key_from_jwt(token)
    except jwt.PyJWKClientConnectionError as error:
        raise Unavailable from error
    decoded = jwt.decode_complete(
        token,
        key,
        algorithms=["ES256"],
        issuer=ISSUER,
        audience=ISSUER,
        leeway=10,
        options={"require": ["exp", "iat", "iss", "aud", "sub", "sid", "client_id"]},
    )
    # RFC 9068 §4: without this, an ID token of the same issuer would be accepted.
    if decoded["header"].get("typ", "").lower() not in ("at+jwt", "application/at+jwt"):
        raise jwt.InvalidTokenError("not an access token")
    if decoded["payload"]["client_id"] != "authd":
        raise jwt.InvalidTokenError("not a first-party token")
    return decoded["payload"]


class Handler(BaseHTTPRequestHandler):
    """Answers each request with the caller's account, session and groups."""

    def do_GET(self):
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return self.refuse(401, "Bearer")
        try:
            claims = verify(token.strip())
        except jwt.PyJWTError:
            return self.refuse(401, 'Bearer error="invalid_token"')
        except Unavailable:
            # Never answer 401 here: the app would discard a valid token.
            return self.refuse(503)
        # The token has the account's groups if the sign-in asked for `"scope": "groups"`.
        groups = claims.get("groups", [])
        self.answer(200, {"account": claims["sub"], "session": claims["sid"], "groups": groups})

    def refuse(self, status, challenge=None):
        self.answer(status, {"error": "unauthorized" if status == 401 else "unavailable"}, challenge)

    def answer(self, status, value, challenge=None):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    print(f"listening on http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
