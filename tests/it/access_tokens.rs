//! Access tokens: what apps can verify with the JWKS, and which tokens authd itself accepts.

use authd::http::Method;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

use crate::harness::*;

/// The three parts of a token.
fn parts(token: &str) -> [String; 3] {
    let parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts.try_into().expect("three parts")
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&BASE64.decode(part).expect("base64url")).expect("JSON")
}

fn encoded(value: &Value) -> String {
    BASE64.encode(value.to_string())
}

/// The public point of the first published key, put together from the JWKS alone.
fn public_point(t: &Harness) -> Vec<u8> {
    let jwks = t.ask(Method::GET, "/oauth/jwks").send().gives(200);
    let coordinate = |name: &str| {
        let text = jwks["keys"][0][name].as_str().expect("a coordinate");
        BASE64.decode(text).expect("base64url")
    };
    [vec![4], coordinate("x"), coordinate("y")].concat()
}

/// An attacker who has the server's own key: everything but the signature may be wrong.
struct Forger {
    pair: EcdsaKeyPair,
    header: Value,
    claims: Value,
}

impl Forger {
    fn like(t: &Harness, genuine: &SignedIn) -> Forger {
        let pkcs8: Vec<u8> = t
            .sql()
            .query_row("SELECT private_key FROM signing_key", [], |row| row.get(0))
            .expect("a key");
        let [header, claims, _] = parts(&genuine.access);
        Forger {
            pair: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8)
                .expect("a key pair"),
            header: decoded(&header),
            claims: decoded(&claims),
        }
    }

    /// The token with some members of its header and claims replaced; null takes one away.
    fn sign(&self, header: Value, claims: Value) -> String {
        let changed = |mut original: Value, changes: Value| {
            let (fields, changes) = (original.as_object_mut(), changes.as_object().cloned());
            let fields = fields.expect("an object");
            for (name, value) in changes.expect("an object") {
                match value {
                    Value::Null => fields.remove(&name),
                    value => fields.insert(name, value),
                };
            }
            encoded(&original)
        };
        let header = changed(self.header.clone(), header);
        let claims = changed(self.claims.clone(), claims);
        let signed = format!("{header}.{claims}");
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = BASE64.encode(signature.expect("a signature"));
        format!("{signed}.{signature}")
    }
}

fn status_with(t: &Harness, token: &str) -> u16 {
    let answer = t.ask(Method::GET, "/v1/account").bearer(token).send();
    if answer.status != 200 {
        assert_eq!(answer.refused("invalid_token")["status"], 401);
        let challenge = answer.header("www-authenticate").expect("RFC 6750 §3");
        assert_eq!(challenge, "Bearer realm=\"authd\", error=\"invalid_token\"");
    }
    answer.status
}

#[test] // RFC 9068 §2
fn a_token_names_its_account_audience_and_end() {
    let t = Harness::new();
    let first = t.sign_in("ann");
    t.clock.advance(hours(1));
    let ann = t.refresh(&first).issued();
    let [header, claims, _] = parts(&ann.access).map(|part| part.clone());
    let (header, claims) = (decoded(&header), decoded(&claims));
    assert_eq!(
        (&header["typ"], &header["alg"]),
        (&json!("at+jwt"), &json!("ES256"))
    );
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["aud"], ISSUER);
    assert_eq!(claims["sub"], ann.account);
    assert_eq!(claims["sid"], ann.session);
    assert_eq!(claims["client_id"], "authd");
    let now = START.plus(hours(1)).as_unix();
    assert_eq!(
        (&claims["iat"], &claims["exp"]),
        (&json!(now), &json!(now + 600))
    );
    assert_eq!(claims["auth_time"], START.as_unix());
    assert_ne!(claims["jti"], decoded(&parts(&first.access)[1])["jti"]);
}

#[test] // a verifier needs only the JWKS
fn a_token_is_verified_with_the_published_key_alone() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    let [header, claims, signature] = parts(&ann.access);
    let jwks = t.ask(Method::GET, "/oauth/jwks").send().gives(200);
    assert_eq!(jwks["keys"][0]["kid"], decoded(&header)["kid"]);
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public_point(&t));
    let signature = BASE64.decode(signature).expect("base64url");
    let verify = |message: &str| key.verify(message.as_bytes(), &signature);
    assert!(verify(&format!("{header}.{claims}")).is_ok());
    assert!(verify(&format!("{header}.{claims}x")).is_err());
}

#[test] // req 56, RFC 8725 §3.1
fn the_token_does_not_choose_the_algorithm() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    let forger = Forger::like(&t, &ann);
    let [_, claims, signature] = parts(&ann.access);
    let header = |alg: &str| {
        let mut header = forger.header.clone();
        header["alg"] = json!(alg);
        encoded(&header)
    };
    for alg in [
        "none", "nOnE", "NONE", "", "ES384", "es256", "RS256", "EdDSA",
    ] {
        for signature in ["", signature.as_str()] {
            let token = format!("{}.{claims}.{signature}", header(alg));
            assert_eq!(status_with(&t, &token), 401, "{alg}");
        }
        let token = forger.sign(json!({ "alg": alg }), json!({}));
        assert_eq!(status_with(&t, &token), 401, "{alg}, rightly signed");
    }
    // The public key as a shared secret, in the forms in which it is published.
    let point = public_point(&t);
    let jwks = t.ask(Method::GET, "/oauth/jwks").send().body;
    for secret in [point.as_slice(), &point[1..], &jwks] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let signed = format!("{}.{claims}", header("HS256"));
        let tag = BASE64.encode(hmac::sign(&key, signed.as_bytes()));
        assert_eq!(status_with(&t, &format!("{signed}.{tag}")), 401);
    }
    assert_eq!(status_with(&t, &forger.sign(json!({}), json!({}))), 200);
}

#[test] // req 57
fn the_token_does_not_choose_the_key() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    let elsewhere = Harness::new();
    let stranger = elsewhere.sign_in("ann");
    let own_key = elsewhere.ask(Method::GET, "/oauth/jwks").send().gives(200)["keys"][0].clone();
    let forger = Forger::like(&elsewhere, &stranger);
    let [_, claims, _] = parts(&ann.access);
    let claims = decoded(&claims);
    let kid = decoded(&parts(&ann.access)[0])["kid"].clone();
    for header in [
        json!({}),
        json!({ "kid": kid }),
        json!({ "jwk": own_key }),
        json!({ "jwk": own_key, "kid": kid }),
        json!({ "jku": "https://evil.example/jwks", "kid": "evil" }),
        json!({ "x5u": "https://evil.example/x5u", "kid": kid }),
        json!({ "kid": null }),
        json!({ "kid": "" }),
        json!({ "kid": "../../dev/null" }),
        json!({ "kid": "' OR 1=1 --" }),
    ] {
        let token = forger.sign(header.clone(), claims.clone());
        assert_eq!(status_with(&t, &token), 401, "{header}");
    }
    // With our key they are ignored, and change nothing.
    let forger = Forger::like(&t, &ann);
    let token = forger.sign(
        json!({ "jku": "https://evil.example/jwks", "jwk": own_key }),
        json!({}),
    );
    assert_eq!(status_with(&t, &token), 200);
}

#[test] // req 58, RFC 8725 §3.11, §3.12
fn a_token_of_another_kind_is_refused() {
    let t = Harness::new();
    let forger = Forger::like(&t, &t.sign_in("ann"));
    for header in [
        json!({ "typ": "JWT" }),
        json!({ "typ": null }),
        json!({ "typ": "logout+jwt" }),
        json!({ "typ": "at+jwt+" }),
        // RFC 7515 §4.1.11
        json!({ "crit": ["exp"] }),
        json!({ "crit": [] }),
        json!({ "crit": false }),
    ] {
        let token = forger.sign(header.clone(), json!({}));
        assert_eq!(status_with(&t, &token), 401, "{header}");
    }
    // RFC 7515 §4.1.9: the same type, written in full.
    for typ in ["application/at+jwt", "AT+JWT"] {
        assert_eq!(
            status_with(&t, &forger.sign(json!({ "typ": typ }), json!({}))),
            200
        );
    }
}

#[test] // req 59
fn issuer_audience_client_and_times_are_enforced() {
    let t = Harness::new();
    let (ann, bob) = (t.sign_in("ann"), t.sign_in("bob"));
    let forger = Forger::like(&t, &ann);
    let now = START.as_unix();
    for claims in [
        json!({ "iss": "https://auth.example.com" }),
        json!({ "iss": format!("{ISSUER}/") }),
        json!({ "iss": null }),
        json!({ "aud": "wiki" }),
        json!({ "aud": null }),
        json!({ "aud": [ISSUER, "wiki"] }),
        // An app that a user signed in to never acts on the account.
        json!({ "client_id": "wiki" }),
        json!({ "client_id": null }),
        json!({ "exp": now }),
        json!({ "exp": now - 1 }),
        json!({ "exp": null }),
        json!({ "exp": "tomorrow" }),
        json!({ "iat": now + 61 }),
        json!({ "iat": null }),
        json!({ "sid": "x" }),
        json!({ "sid": null }),
        json!({ "sid": "00000000-0000-4000-8000-000000000000" }),
        json!({ "sub": "x" }),
    ] {
        let token = forger.sign(json!({}), claims.clone());
        assert_eq!(status_with(&t, &token), 401, "{claims}");
    }
    assert_eq!(
        status_with(&t, &forger.sign(json!({}), json!({ "iat": now + 60 }))),
        200
    );
    // A session belongs to its account: a token that names another account is refused.
    let mixed = forger.sign(json!({}), json!({ "sub": bob.account }));
    assert_eq!(status_with(&t, &mixed), 401);
}

#[test]
fn a_token_expires_to_the_second() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    t.clock.advance(seconds(599));
    assert_eq!(status_with(&t, &ann.access), 200);
    t.clock.advance(seconds(1));
    assert_eq!(status_with(&t, &ann.access), 401);
}

#[test] // issue 8, item 16: a good signature is remembered, and the session is looked up every time
fn an_accepted_token_is_refused_when_its_session_ends() {
    let t = Harness::new();
    let (phone, laptop) = (t.sign_in("ann"), t.sign_in("ann"));
    for _ in 0..2 {
        assert_eq!(status_with(&t, &phone.access), 200);
        assert_eq!(status_with(&t, &laptop.access), 200);
    }
    assert_eq!(t.sign_out(&phone).status, 204);
    assert_eq!(status_with(&t, &phone.access), 401);
    assert_eq!(status_with(&t, &laptop.access), 200);
}

#[test] // the memory of good signatures ends with the process, and so does what it remembered of another issuer
fn an_accepted_token_is_refused_under_another_issuer() {
    let mut t = Harness::new();
    let ann = t.sign_in("ann");
    assert_eq!(status_with(&t, &ann.access), 200);
    t.restart_with(|terms| terms.policy.issuer = "https://other.example.org".to_owned());
    assert_eq!(status_with(&t, &ann.access), 401);
}

#[test] // CVE-2026-27840
fn a_changed_token_is_no_token() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    let token = &ann.access;
    // Also after the genuine one was accepted, and its signature is remembered.
    assert_eq!(status_with(&t, token), 200);
    let [header, claims, signature] = parts(token);
    for end in (0..token.len()).step_by(7) {
        assert_eq!(status_with(&t, &token[..end]), 401, "prefix of {end}");
    }
    for tail in ["A", ".", "=", ".."] {
        assert_eq!(status_with(&t, &format!("{token}{tail}")), 401, "{tail}");
    }
    for at in (0..token.len()).step_by(11) {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).expect("ASCII");
        assert_eq!(status_with(&t, &changed), 401, "byte {at}");
    }
    // Stray bits at the end of the base64, another encoding of the signature, parts in another order.
    let raw = BASE64.decode(&signature).expect("base64url");
    let last = signature.chars().last().expect("a letter");
    let strays: Vec<String> = ('A'..='Z')
        .filter(|other| *other != last)
        .map(|other| format!("{}{other}", &signature[..signature.len() - 1]))
        .collect();
    for other in strays {
        assert_eq!(status_with(&t, &format!("{header}.{claims}.{other}")), 401);
    }
    let standard = base64::engine::general_purpose::STANDARD.encode(&raw);
    assert_eq!(
        status_with(&t, &format!("{header}.{claims}.{standard}")),
        401
    );
    assert_eq!(
        status_with(&t, &format!("{claims}.{header}.{signature}")),
        401
    );
}

#[test] // CVE-2022-21449: signatures of zeros and of the curve's order
fn degenerate_signatures_are_refused() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    let [header, claims, signature] = parts(&ann.access);
    let raw = BASE64.decode(&signature).expect("base64url");
    let order: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let zeros = [0; 64];
    let long = [raw.as_slice(), &[0]].concat();
    for forged in [
        &zeros[..],
        &[order, order].concat(),
        &raw[..63],
        &raw[..32],
        &long,
        &[],
    ] {
        let token = format!("{header}.{claims}.{}", BASE64.encode(forged));
        assert_eq!(status_with(&t, &token), 401);
    }
}

#[test] // CVE-2025-30204: a parser that splits at every dot allocates for each of them
fn a_megabyte_of_dots_is_no_token() {
    let t = Harness::new();
    let dots = ".".repeat(1_000_000);
    t.unchanged(|| {
        for token in [dots.as_str(), &"..".repeat(2000), "..", ".", "a.b.c"] {
            assert_eq!(status_with(&t, token), 401);
        }
    });
}

#[test] // RFC 6750 §2.1: the header alone, once
fn a_token_comes_in_the_header_or_not_at_all() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    let ask = |target: &str| t.ask(Method::GET, target);
    let status = |ask: Ask<'_>| ask.send().status;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let value = format!("{scheme} {}", ann.access);
        assert_eq!(
            status(ask("/v1/account").header("authorization", &value)),
            200
        );
    }
    let query = format!("/v1/account?access_token={}", ann.access);
    assert_eq!(status(ask(&query)), 401);
    assert_eq!(status(ask("/v1/account").bearer(&ann.refresh)), 401);
    assert_eq!(status(ask("/v1/account").bearer("")), 401);
    for value in [
        ann.access.clone(),
        format!("Basic {}", ann.access),
        format!("Bearer{}", ann.access),
    ] {
        assert_eq!(
            status(ask("/v1/account").header("authorization", &value)),
            401
        );
    }
    let twice = ask("/v1/account").bearer(&ann.access).bearer(&ann.access);
    assert_eq!(status(twice), 401);
    let cookie = format!("access_token={}", ann.access);
    assert_eq!(status(ask("/v1/account").header("cookie", &cookie)), 401);
}

#[test] // fault 18: others compare these times with their own clocks, so they are the wall clock's
fn tokens_are_dated_by_the_wall_clock() {
    let t = Harness::new();
    let ann = t.sign_in("ann");
    t.clock.jump(-3600);
    let next = t.refresh(&ann).issued();
    let claims = decoded(&parts(&next.access)[1]);
    assert_eq!(claims["iat"], START.as_unix() - 3600);
    assert!(t.is_open(&next));
}
