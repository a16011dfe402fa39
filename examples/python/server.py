"""A service whose users sign in at authd.

It asks authd for its public keys now and then, and checks access tokens by itself: no request of a user costs one to
authd. What a token must be is fixed here, and nothing in the token chooses it (RFC 8725).

    python3 -m venv .venv && .venv/bin/pip install -r requirements.txt
    ISSUER=http://127.0.0.1:8080 .venv/bin/python server.py 8000
    curl http://127.0.0.1:8000/ -H "Authorization: Bearer $token"
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

# The `public_url` of authd. First-party tokens name it twice: as who issued them, and as whom they are for.
ISSUER = os.environ.get("ISSUER", "http://127.0.0.1:8080")

# Keys are kept for five minutes. A token with a key that is not among them makes the client ask anew, but not more
# often than once a second, however many such tokens strangers send. authd publishes a key an hour before it
# signs, so this matters only after `authd key rotate --now`.
KEYS = jwt.PyJWKClient(f"{ISSUER}/oauth/jwks", lifespan=300, cooldown_duration=1, timeout=5)


class Unavailable(Exception):
    """authd's keys cannot be had at present: nothing is known about the token."""


def verify(token):
    """The claims of an access token that is good.

    Raises `jwt.PyJWTError` for one that is not, and `Unavailable` when that cannot be told.
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
    # RFC 9068 §4: or an ID token, signed by the same issuer, would pass for an access token.
    if decoded["header"].get("typ", "").lower() not in ("at+jwt", "application/at+jwt"):
        raise jwt.InvalidTokenError("not an access token")
    if decoded["payload"]["client_id"] != "authd":
        raise jwt.InvalidTokenError("not a first-party token")
    return decoded["payload"]


class Handler(BaseHTTPRequestHandler):
    """Tells whoever asks who that is."""

    def do_GET(self):
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return self.refuse(401, "Bearer")
        try:
            claims = verify(token.strip())
        except jwt.PyJWTError:
            return self.refuse(401, 'Bearer error="invalid_token"')
        except Unavailable:
            # Never a 401: the app would throw a good token away.
            return self.refuse(503)
        # With `"scope": "groups"` at the sign-in, the token has the groups of the account as well.
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
