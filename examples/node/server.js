// A service whose users sign in at authd.
//
// It fetches authd's public keys every few minutes, and verifies access tokens by itself, without a request to authd for
// each. What a token must be is fixed here; the token chooses nothing (RFC 8725).
//
//     npm ci
//     ISSUER=http://127.0.0.1:8080 node server.js 8000
//     curl http://127.0.0.1:8000/ -H "Authorization: Bearer $token"

import { createServer } from "node:http";
import { createRemoteJWKSet, errors, jwtVerify } from "jose";

// The `public_url` of authd. First-party tokens name it as issuer and as audience.
const issuer = process.env.ISSUER ?? "http://127.0.0.1:8080";

// Keys are kept for five minutes. A token with an unknown key makes jose fetch them again, at most once a second, however
// many such tokens an attacker sends. authd publishes a key an hour before it signs, so this matters only after
// `authd key rotate --now`.
const keys = createRemoteJWKSet(new URL("/oauth/jwks", issuer), {
  cacheMaxAge: 300_000,
  cooldownDuration: 1_000,
  timeoutDuration: 5_000,
});

// jose has a code for each fault of a token. These two codes, and every error that is not jose's, mean that the keys could
// not be fetched.
const unavailable = new Set(["ERR_JOSE_GENERIC", "ERR_JWKS_TIMEOUT"]);

// Returns the claims of a valid access token, and throws for any other.
export async function verify(token) {
  const { payload } = await jwtVerify(token, keys, {
    algorithms: ["ES256"],
    issuer,
    audience: issuer,
    // RFC 9068 §4: without this, an ID token of the same issuer would be accepted.
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

// Answers each request with the caller's account, session and groups.
const server = createServer(async (request, response) => {
  const [scheme, token] = (request.headers.authorization ?? "").split(" ");
  if (scheme.toLowerCase() !== "bearer" || !token) {
    return answer(response, 401, { error: "unauthorized" }, "Bearer");
  }
  try {
    const claims = await verify(token);
    // The token has the account's groups if the sign-in asked for `"scope": "groups"`.
    answer(response, 200, { account: claims.sub, session: claims.sid, groups: claims.groups ?? [] });
  } catch (error) {
    if (error instanceof errors.JOSEError && !unavailable.has(error.code)) {
      return answer(response, 401, { error: "unauthorized" }, 'Bearer error="invalid_token"');
    }
    // The token could not be checked. Never answer 401 here: the app would discard a valid token.
    answer(response, 503, { error: "unavailable" });
  }
});

server.listen(Number(process.argv[2] ?? 8000), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
