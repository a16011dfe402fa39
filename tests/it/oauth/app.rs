//! An app that signs people in here, as far as the wire goes.

use std::collections::BTreeMap;

use authd::http::Method;
use authd::service::{ClientChange, NewClient};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::harness::{Answer, Harness, LAPTOP, PASSWORD, Place, email};
use crate::pages::browser::{Browser, Page};

/// Where the app lives, and answers to it go.
pub const CALLBACK: &str = "https://app.example.net/callback";

/// The server of the app.
pub const BACKEND: Place = Place::new("198.51.100.7", "app/1.0");

/// The verifier of RFC 7636 appendix B, and its challenge.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// An app and its credentials.
pub struct App {
    pub id: String,
    pub secret: Option<String>,
}

/// The settings of an app with one redirect address.
pub fn settings() -> ClientChange {
    ClientChange {
        name: Some("Photos".into()),
        redirect_uris: Some(vec![CALLBACK.into()]),
        ..ClientChange::default()
    }
}

impl App {
    /// Registers an app with a secret; `change` says what is not usual about it.
    pub fn register(t: &Harness, change: impl FnOnce(&mut NewClient)) -> App {
        let mut new = NewClient {
            settings: settings(),
            ..NewClient::default()
        };
        change(&mut new);
        let made = t.operator().add_client(&new).expect("registered");
        App {
            id: made.client.client_id,
            secret: made.client_secret,
        }
    }

    /// An authorization request with PKCE; `more` is added, or replaces what has the same name.
    pub fn request(&self, more: &[(&str, &str)]) -> String {
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", &self.id),
            ("redirect_uri", CALLBACK),
            ("scope", "openid profile email groups offline_access"),
            ("state", "the state"),
            ("nonce", "n-1"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        pairs.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
        pairs.extend(more.iter().filter(|(_, value)| !value.is_empty()));
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        format!("/oauth/authorize?{query}")
    }

    /// Sends a form to an endpoint, with the secret in a Basic header, or the bare id of a public client.
    pub fn post(&self, t: &Harness, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut fields = fields.to_vec();
        if self.secret.is_none() {
            fields.push(("client_id", &self.id));
        }
        let ask = form(t, path, &fields);
        match &self.secret {
            Some(secret) => ask.header("authorization", basic(&self.id, secret)).send(),
            None => ask.send(),
        }
    }

    /// Exchanges a code.
    pub fn exchange(&self, t: &Harness, code: &str) -> Answer {
        self.exchange_with(t, code, &[])
    }

    /// The same with other fields; an empty one is left out.
    pub fn exchange_with(&self, t: &Harness, code: &str, more: &[(&str, &str)]) -> Answer {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        fields.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
        fields.extend(more.iter().filter(|(_, value)| !value.is_empty()));
        self.post(t, "/oauth/token", &fields)
    }

    pub fn refresh(&self, t: &Harness, token: &str) -> Answer {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.post(t, "/oauth/token", &fields)
    }

    /// Goes through a whole sign-in in `browser`, in which nobody needs to be signed in yet. Returns the tokens.
    #[track_caller]
    pub fn sign_in(&self, t: &Harness, browser: &mut Browser<'_>, name: &str) -> Value {
        let code = self.code(browser, name, &[]);
        self.exchange(t, &code).gives(200)
    }

    /// The code of a whole sign-in.
    #[track_caller]
    pub fn code(&self, browser: &mut Browser<'_>, name: &str, more: &[(&str, &str)]) -> String {
        let answer = go(browser, name, &self.request(more));
        let answer = received(&answer);
        answer
            .get("code")
            .unwrap_or_else(|| panic!("{answer:?}"))
            .clone()
    }
}

/// A form on its way, without credentials.
pub fn form<'t>(t: &'t Harness, path: &str, fields: &[(&str, &str)]) -> crate::harness::Ask<'t> {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    t.ask(Method::POST, path)
        .from(BACKEND)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
}

pub fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// Follows an authorization request in a browser: signs in, and agrees, where that is asked for. Returns the answer that leads
/// to the app.
#[track_caller]
pub fn go(browser: &mut Browser<'_>, name: &str, address: &str) -> Answer {
    let mut answer = browser.get(address);
    for _ in 0..8 {
        let location = answer.header("location").map(str::to_owned);
        answer = match location {
            Some(location) if !location.starts_with('/') => return answer,
            Some(location) => browser.get(&location),
            None => {
                let page = Page {
                    path: String::new(),
                    answer,
                };
                match page.text() {
                    text if text.contains("action=\"/login\"") => {
                        let fields = [("login", email(name)), ("password", PASSWORD.into())];
                        submit(browser, &page, "/login", &fields)
                    }
                    text if text.contains("action=\"/confirm\"") => {
                        submit(browser, &page, "/confirm", &[("password", PASSWORD.into())])
                    }
                    text if text.contains("action=\"/consent\"") => {
                        submit(browser, &page, "/consent", &[("decision", "allow".into())])
                    }
                    text => panic!("what is this? {text}"),
                }
            }
        };
    }
    panic!("no end");
}

/// Sends the form of a page with what was typed; does not follow.
#[track_caller]
pub fn submit(
    browser: &mut Browser<'_>,
    page: &Page,
    action: &str,
    fields: &[(&str, String)],
) -> Answer {
    let mut values = page.form(action);
    values.retain(|(name, _)| fields.iter().all(|(other, _)| other != name));
    let typed = fields
        .iter()
        .map(|(name, value)| (name.to_string(), value.clone()));
    values.extend(typed);
    browser.post(action, &values)
}

/// What the app receives in the query of its address.
#[track_caller]
pub fn received(answer: &Answer) -> BTreeMap<String, String> {
    assert_eq!(answer.status, 303, "{}", answer.text());
    let location = answer.header("location").expect("a location");
    let (address, query) = location.split_once('?').expect("a query");
    assert_eq!(address, CALLBACK);
    form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

/// The claims of a token, unverified.
#[track_caller]
pub fn claims(token: &Value) -> Value {
    part(token, 1)
}

/// The header of a token.
#[track_caller]
pub fn header(token: &Value) -> Value {
    part(token, 0)
}

fn part(token: &Value, number: usize) -> Value {
    let token = token.as_str().expect("a token");
    let part = token.split('.').nth(number).expect("a part");
    let json = URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&json).expect("JSON")
}

/// A browser in which `name` is signed in.
pub fn signed_in<'t>(t: &'t Harness, name: &str) -> Browser<'t> {
    let mut browser = Browser::new(t, LAPTOP);
    browser.sign_in(name);
    browser
}

/// Asserts an error as RFC 6749 §5.2 has it.
#[track_caller]
pub fn refused(answer: &Answer, status: u16, error: &str) {
    let body = answer.gives(status);
    assert_eq!(body["error"], error, "{body}");
    let description = body["error_description"].as_str().expect("a description");
    assert!(
        description
            .chars()
            .all(|c| (' '..='~').contains(&c) && c != '"' && c != '\\')
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}
