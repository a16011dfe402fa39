// A service whose users sign in at authd.
//
// It asks authd for its public keys now and then, and checks access tokens by itself: no request of a user costs one to
// authd. What a token must be is fixed here, and nothing in the token chooses it (RFC 8725).
//
//     npm ci
//     ISSUER=http://127.0.0.1:8080 node server.js 8000
//     curl http://127.0.0.1:8000/ -H "Authorization: Bearer $token"

import { createServer } from "node:http";
import { createRemoteJWKSet, errors, jwtVerify } from "jose";

// The `public_url` of authd. First-party tokens name it twice: as who issued them, and as whom they are for.
const issuer = process.env.ISSUER ?? "http://127.0.0.1:8080";

// Keys are kept for five minutes. A token with a key that is not among them makes jose ask anew, but not more
// often than once a second, however many such tokens strangers send. authd publishes a key an hour before it
// signs, so this matters only after `authd key rotate --now`.
const keys = createRemoteJWKSet(new URL("/oauth/jwks", issuer), {
  cacheMaxAge: 300_000,
  cooldownDuration: 1_000,
  timeoutDuration: 5_000,
});

// What jose finds wrong with a token has a name of its own; these two say that the keys cannot be had, like any error
// that is not jose's.
const unavailable = new Set(["ERR_JOSE_GENERIC", "ERR_JWKS_TIMEOUT"]);

// The claims of an access token that is good.
export async function verify(token) {
  const { payload } = await jwtVerify(token, keys, {
    algorithms: ["ES256"],
    issuer,
    audience: issuer,
    // RFC 9068 §4: or an ID token, signed by the same issuer, would pass for an access token.
    typ: "at+jwt",
    clockTolerance: 10,
    requiredClaims: ["exp", "iat", "sub", "sid", "client_id"],
  });
  if (payload.client_id !== "authd") {
    throw new errors.JWTClaimValidationFailed("not a first-party token", payload, "client_id");
  }
  return payload;
}

function answer(response, status, value, challenge) {
  response.statusCode = status;
  response.setHeader("Content-Type", "application/json");
  if (challenge) response.setHeader("WWW-Authenticate", challenge);
  response.end(JSON.stringify(value));
}

// Tells whoever asks who that is.
const server = createServer(async (request, response) => {
  const [scheme, token] = (request.headers.authorization ?? "").split(" ");
  if (scheme.toLowerCase() !== "bearer" || !token) {
    return answer(response, 401, { error: "unauthorized" }, "Bearer");
  }
  try {
    const claims = await verify(token);
    // With `"scope": "groups"` at the sign-in, the token has the groups of the account as well.
    answer(response, 200, { account: claims.sub, session: claims.sid, groups: claims.groups ?? [] });
  } catch (error) {
    if (error instanceof errors.JOSEError && !unavailable.has(error.code)) {
      return answer(response, 401, { error: "unauthorized" }, 'Bearer error="invalid_token"');
    }
    // Nothing is known about the token. Never a 401: the app would throw a good one away.
    answer(response, 503, { error: "unavailable" });
  }
});

server.listen(Number(process.argv[2] ?? 8000), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
