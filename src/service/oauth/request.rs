//! Authorization requests (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1): what a browser brings from an app.
//!
//! A request is checked in two steps. Until the client and its redirect address are known, nothing is sent anywhere: the person
//! sees a page ([`Refused::Page`], req 42). From then on the app is told what is wrong ([`Refused::Answer`]).
//!
//! A request that was understood can be written again ([`AuthorizationRequest::query`]), for the way over the sign-in page. It is
//! read and checked again when it comes back.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::clock::Timestamp;
use crate::ids::AccountId;
use crate::service::oauth::answer::{Answer, ResponseMode};
use crate::service::oauth::client::{Client, GrantType};
use crate::service::oauth::scope::{self, Scopes};
use crate::service::{Authd, Error};

/// The longest `state`, in bytes. Some apps keep a signed token in it.
const LONGEST_STATE: usize = 2048;

/// The longest `nonce`, in bytes: it is stored, and stands in the ID token.
const LONGEST_NONCE: usize = 512;

/// The longest `claims` parameter, in bytes.
const LONGEST_CLAIMS: usize = 2048;

/// The longest `login_hint` that is shown, in bytes.
const LONGEST_HINT: usize = 254;

/// How long a request may take on its way over the sign-in page.
const SINCE_LIFE: Duration = Duration::from_secs(60 * 60);

/// An S256 challenge: 32 bytes as base64url (RFC 7636 §4.2).
const CHALLENGE_LENGTH: usize = 43;

/// Why a request is not answered with a code.
#[derive(Debug)]
pub enum Refused {
    /// It is not known where an answer may go: only the person is told.
    Page(Unanswerable),
    /// The app is told.
    Answer(Answer),
}

/// Why nothing is sent to the app.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unanswerable {
    /// No client has this id, or there is none.
    UnknownClient,
    /// The redirect address is none that the client registered.
    RedirectUri,
}

/// What the app wants the person to be asked (OpenID Connect Core §3.1.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Prompt {
    /// Nothing: if something would have to be asked, the app gets an error.
    pub none: bool,
    /// To sign in again.
    pub login: bool,
    /// To agree again.
    pub consent: bool,
    /// With which account.
    pub select_account: bool,
}

/// A request that was understood.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest {
    /// The app.
    pub client: Arc<Client>,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// What the app wants back, byte for byte.
    pub state: Option<String>,
    /// How the answer is sent.
    pub mode: ResponseMode,
    /// What is asked for, as far as the client may.
    pub scope: Scopes,
    /// For which server the access token is to be.
    pub resource: Option<String>,
    /// A value for the ID token.
    pub nonce: Option<String>,
    /// The S256 challenge.
    pub code_challenge: Option<String>,
    /// What to ask.
    pub prompt: Prompt,
    /// How old the authentication may be.
    pub max_age: Option<Duration>,
    /// What the person probably types as the login.
    pub login_hint: Option<String>,
    /// Who must be signed in.
    pub subject: Option<AccountId>,
    /// Since when the person must have been authenticated: set by this server when it sent the browser to sign in.
    pub since: Option<Timestamp>,
    /// The languages that the person reads.
    pub ui_locales: Option<String>,
}

/// The parameters that this server reads, each at most once.
const READ: [&str; 18] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "response_mode",
    "prompt",
    "max_age",
    "login_hint",
    "id_token_hint",
    "ui_locales",
    "claims",
    "request",
    "request_uri",
    "since",
];

struct Reader<'a> {
    parameters: &'a [(String, String)],
}

impl Reader<'_> {
    /// The value; an empty one is none (RFC 6749 §3.1).
    fn get(&self, name: &str) -> Option<&str> {
        let mut named = self.parameters.iter().filter(|(own, _)| own == name);
        named
            .next()
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// A parameter that this server reads and that came twice (RFC 6749 §3.1).
    fn repeated(&self) -> Option<&'static str> {
        let is_repeated = |name: &&str| {
            self.parameters
                .iter()
                .filter(|(own, _)| own == name)
                .count()
                > 1
        };
        READ.into_iter()
            .chain(["resource"])
            .find(|name| is_repeated(name))
    }
}

/// An error for the app: its code (RFC 6749 §4.1.2.1) and a sentence for its developer.
type Wrong = (&'static str, String);

fn invalid(sentence: impl Into<String>) -> Wrong {
    ("invalid_request", sentence.into())
}

impl Authd {
    /// Reads an authorization request.
    ///
    /// # Errors
    /// Only those of the store; what is wrong with the request is the inner [`Refused`].
    pub fn read_authorization(
        &self,
        parameters: &[(String, String)],
    ) -> Result<Result<AuthorizationRequest, Refused>, Error> {
        let reader = Reader { parameters };
        let (client_id, redirect_uri) = match (reader.repeated(), reader.get("client_id")) {
            (Some("client_id"), _) | (_, None) => {
                return Ok(Err(Refused::Page(Unanswerable::UnknownClient)));
            }
            (Some("redirect_uri"), _) => return Ok(Err(Refused::Page(Unanswerable::RedirectUri))),
            (_, Some(client_id)) => (client_id, reader.get("redirect_uri")),
        };
        let Some(client) = self.client(client_id)? else {
            return Ok(Err(Refused::Page(Unanswerable::UnknownClient)));
        };
        let registered = redirect_uri.filter(|uri| client.has_redirect_uri(uri));
        let Some(redirect_uri) = registered else {
            return Ok(Err(Refused::Page(Unanswerable::RedirectUri)));
        };
        let (state, mode) = read_way_back(&reader);
        match self.read_rest(&reader, client, redirect_uri, state.clone(), mode)? {
            Ok(request) => Ok(Ok(request)),
            Err((error, description)) => {
                let answer = Answer::error(
                    &self.policy().issuer,
                    redirect_uri,
                    mode,
                    state,
                    error,
                    &description,
                );
                Ok(Err(Refused::Answer(answer)))
            }
        }
    }

    fn read_rest(
        &self,
        reader: &Reader<'_>,
        client: Arc<Client>,
        redirect_uri: &str,
        state: Option<String>,
        mode: ResponseMode,
    ) -> Result<Result<AuthorizationRequest, Wrong>, Error> {
        let subject = match self.read_hint(reader, &client)? {
            Ok(subject) => subject,
            Err(wrong) => return Ok(Err(wrong)),
        };
        let read = || -> Result<AuthorizationRequest, Wrong> {
            check_form(reader, &client)?;
            let (claimed, claimed_subject) = read_claims(reader.get("claims"))?;
            let asked = Scopes::read(reader.get("scope").unwrap_or_default());
            let asked = asked.ok_or((
                "invalid_scope",
                "The scope has a character that no scope has, or is too long.".to_owned(),
            ))?;
            if subject.is_some() && claimed_subject.is_some() && subject != claimed_subject {
                return Err(invalid("id_token_hint and claims name two accounts."));
            }
            let mut prompt = read_prompt(reader.get("prompt"))?;
            let since = reader
                .get("since")
                .and_then(|text| self.read_since(text, &client.client_id));
            // An old mark shows nothing any more: the person signs in again.
            let is_old = since.is_some_and(|at| self.now() > at.plus(SINCE_LIFE));
            prompt.login |= is_old;
            let since = since.filter(|_| !is_old);
            let max_age = reader.get("max_age");
            let max_age = max_age.map(|text| {
                text.parse::<u32>()
                    .map_err(|_| invalid("max_age is a number of seconds."))
            });
            Ok(AuthorizationRequest {
                redirect_uri: redirect_uri.to_owned(),
                state: state.clone(),
                mode,
                scope: asked.with(&claimed).within(&client.scope),
                resource: read_resource(reader, &client)?,
                nonce: read_nonce(reader)?,
                code_challenge: read_challenge(reader, &client)?,
                prompt,
                max_age: max_age
                    .transpose()?
                    .map(|seconds| Duration::from_secs(seconds.into())),
                login_hint: reader
                    .get("login_hint")
                    .filter(|hint| hint.len() <= LONGEST_HINT)
                    .map(str::to_owned),
                subject: subject.or(claimed_subject),
                since,
                ui_locales: reader
                    .get("ui_locales")
                    .filter(|tags| tags.len() <= LONGEST_HINT)
                    .map(str::to_owned),
                client: Arc::clone(&client),
            })
        };
        Ok(read())
    }

    /// The account that the ID token in `id_token_hint` names. An expired one still names it (OpenID Connect Core §3.1.2.1).
    fn read_hint(
        &self,
        reader: &Reader<'_>,
        client: &Client,
    ) -> Result<Result<Option<AccountId>, Wrong>, Error> {
        let Some(hint) = reader.get("id_token_hint") else {
            // What `AuthorizationRequest::query` wrote.
            return Ok(Ok(reader.get("subject").and_then(|text| text.parse().ok())));
        };
        let hint = self.read_id_token_hint(hint)?;
        let hint = hint.filter(|hint| hint.aud == client.client_id);
        let wrong = "id_token_hint is no ID token that this server issued to this client.";
        Ok(hint
            .and_then(|hint| hint.sub.parse().ok())
            .map(Some)
            .ok_or_else(|| invalid(wrong)))
    }

    /// The mark of a request whose person was sent to sign in at `at`. Only this server can make it.
    fn write_since(&self, at: Timestamp, client_id: &str) -> String {
        let at = at.as_unix();
        format!(
            "{at}.{}",
            self.form_token(&format!("authorize {at} {client_id}"))
        )
    }

    fn read_since(&self, text: &str, client_id: &str) -> Option<Timestamp> {
        let (at, tag) = text.split_once('.')?;
        let at: i64 = at.parse().ok()?;
        self.is_form_token(tag, &format!("authorize {at} {client_id}"))
            .then_some(Timestamp::from_unix(at))
    }
}

impl AuthorizationRequest {
    /// The request as a query, for the way over a page of this server.
    pub fn query(&self, authd: &Authd) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client.client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("response_mode", self.mode.as_str());
        let scope = self.scope.to_string();
        let prompt = self.prompt.text();
        let max_age = self.max_age.map(|age| age.as_secs().to_string());
        let since = self
            .since
            .map(|at| authd.write_since(at, &self.client.client_id));
        let subject = self.subject.map(|id| id.to_string());
        let optional = [
            (
                "scope",
                Some(scope.as_str()).filter(|scope| !scope.is_empty()),
            ),
            ("state", self.state.as_deref()),
            ("nonce", self.nonce.as_deref()),
            ("resource", self.resource.as_deref()),
            ("code_challenge", self.code_challenge.as_deref()),
            (
                "code_challenge_method",
                self.code_challenge.as_ref().map(|_| "S256"),
            ),
            ("prompt", prompt.as_deref()),
            ("max_age", max_age.as_deref()),
            ("login_hint", self.login_hint.as_deref()),
            ("subject", subject.as_deref()),
            ("since", since.as_deref()),
            ("ui_locales", self.ui_locales.as_deref()),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }

    /// The same request, which from now on takes an authentication at `now` or later in the place of `prompt=login` and
    /// `max_age`.
    pub fn authenticated_since(&self, now: Timestamp) -> AuthorizationRequest {
        AuthorizationRequest {
            prompt: Prompt {
                login: false,
                ..self.prompt
            },
            max_age: None,
            since: Some(now),
            ..self.clone()
        }
    }

    /// An error for the app.
    pub fn refuse(&self, authd: &Authd, error: &'static str, description: &str) -> Answer {
        let issuer = &authd.policy().issuer;
        Answer::error(
            issuer,
            &self.redirect_uri,
            self.mode,
            self.state.clone(),
            error,
            description,
        )
    }
}

impl Prompt {
    fn text(self) -> Option<String> {
        let words = [
            (self.none, "none"),
            (self.login, "login"),
            (self.consent, "consent"),
            (self.select_account, "select_account"),
        ];
        let words: Vec<&str> = words
            .into_iter()
            .filter_map(|(is_set, word)| is_set.then_some(word))
            .collect();
        Some(words.join(" ")).filter(|text| !text.is_empty())
    }
}

/// State and response mode, as far as they can be understood: every answer needs them.
fn read_way_back(reader: &Reader<'_>) -> (Option<String>, ResponseMode) {
    let state = match reader.repeated() {
        Some("state") => None,
        _ => reader
            .get("state")
            .filter(|state| state.len() <= LONGEST_STATE)
            .map(str::to_owned),
    };
    let mode = reader.get("response_mode").and_then(ResponseMode::read);
    // A request object is refused; where the refusal goes stands in it alone if the app put it there.
    let object = reader
        .get("request")
        .and_then(read_object)
        .unwrap_or_default();
    let inner = object.response_mode.as_deref().and_then(ResponseMode::read);
    let inner_state = object.state.filter(|state| state.len() <= LONGEST_STATE);
    (
        state.or(inner_state),
        mode.or(inner).unwrap_or(ResponseMode::Query),
    )
}

/// What is read of a request object (RFC 9101) that is refused.
#[derive(Default, Deserialize)]
struct RequestObject {
    state: Option<String>,
    response_mode: Option<String>,
}

fn read_object(object: &str) -> Option<RequestObject> {
    let payload = object.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

/// What does not depend on the values of the other parameters.
fn check_form(reader: &Reader<'_>, client: &Client) -> Result<(), Wrong> {
    if let Some(name) = reader.repeated() {
        return Err(match name {
            "resource" => (
                "invalid_target",
                "An access token is for one resource: send `resource` once.".into(),
            ),
            _ => invalid(format!("The parameter {name} came twice.")),
        });
    }
    if reader.get("request").is_some() {
        return Err((
            "request_not_supported",
            "Send the parameters of the request in the query.".into(),
        ));
    }
    if reader.get("request_uri").is_some() {
        return Err((
            "request_uri_not_supported",
            "Send the parameters of the request in the query.".into(),
        ));
    }
    match reader.get("response_type") {
        Some("code") => {}
        Some(_) => {
            return Err((
                "unsupported_response_type",
                "This server has the response type `code` alone.".into(),
            ));
        }
        None => return Err(invalid("The parameter response_type is missing.")),
    }
    if !client.may_use(GrantType::AuthorizationCode) {
        return Err((
            "unauthorized_client",
            "The client is not registered for the grant authorization_code.".into(),
        ));
    }
    if reader
        .get("response_mode")
        .is_some_and(|mode| ResponseMode::read(mode).is_none())
    {
        return Err(invalid(
            "The response_mode is one of query, fragment and form_post.",
        ));
    }
    if reader
        .get("state")
        .is_some_and(|state| state.len() > LONGEST_STATE)
    {
        return Err(invalid(format!(
            "The state has more than {LONGEST_STATE} bytes."
        )));
    }
    Ok(())
}

fn read_prompt(text: Option<&str>) -> Result<Prompt, Wrong> {
    let mut prompt = Prompt::default();
    let words: Vec<&str> = text
        .unwrap_or_default()
        .split(' ')
        .filter(|word| !word.is_empty())
        .collect();
    for word in &words {
        match *word {
            "none" => prompt.none = true,
            "login" => prompt.login = true,
            "consent" => prompt.consent = true,
            "select_account" => prompt.select_account = true,
            // Of an extension that this server does not have.
            _ => {}
        }
    }
    match prompt.none && words.len() > 1 {
        true => Err(invalid("prompt=none stands alone.")),
        false => Ok(prompt),
    }
}

fn read_nonce(reader: &Reader<'_>) -> Result<Option<String>, Wrong> {
    match reader.get("nonce") {
        Some(nonce) if nonce.len() > LONGEST_NONCE => Err(invalid(format!(
            "The nonce has more than {LONGEST_NONCE} bytes."
        ))),
        nonce => Ok(nonce.map(str::to_owned)),
    }
}

/// Req 45: a challenge is required, unless the client is registered otherwise; it is S256; a wrong one is refused at once.
fn read_challenge(reader: &Reader<'_>, client: &Client) -> Result<Option<String>, Wrong> {
    let method = reader.get("code_challenge_method");
    match (reader.get("code_challenge"), method) {
        (Some(challenge), Some("S256")) => {
            let is_digest = challenge.len() == CHALLENGE_LENGTH
                && URL_SAFE_NO_PAD
                    .decode(challenge)
                    .is_ok_and(|bytes| bytes.len() == 32);
            match is_digest {
                true => Ok(Some(challenge.to_owned())),
                false => Err(invalid(
                    "The code_challenge is no S256 challenge (RFC 7636 section 4.2).",
                )),
            }
        }
        (Some(_), _) => Err(invalid("The code_challenge_method must be S256.")),
        (None, Some(_)) => Err(invalid(
            "There is a code_challenge_method without a code_challenge.",
        )),
        (None, None) if client.requires_pkce => Err(invalid(
            "The code_challenge is missing (PKCE, RFC 7636). Turn PKCE on in the app. If it has none, an operator can allow \
             that: authd client update --allow-no-pkce.",
        )),
        (None, None) => Ok(None),
    }
}

fn read_resource(reader: &Reader<'_>, client: &Client) -> Result<Option<String>, Wrong> {
    let Some(asked) = reader.get("resource") else {
        return Ok(None);
    };
    let resource = client.resource(asked).map(str::to_owned);
    let unknown = "The client is not registered for this resource.";
    resource
        .map(Some)
        .ok_or_else(|| ("invalid_target", unknown.to_owned()))
}

/// The claims parameter (OpenID Connect Core §5.5), as far as it has an effect: a claim that a scope discloses brings that
/// scope, and a `sub` names who must be signed in. All other claims are voluntary, and are left out.
fn read_claims(text: Option<&str>) -> Result<(Scopes, Option<AccountId>), Wrong> {
    let Some(text) = text else {
        return Ok((Scopes::default(), None));
    };
    let wrong = || invalid("The parameter claims is no JSON object of at most 2,048 bytes.");
    if text.len() > LONGEST_CLAIMS {
        return Err(wrong());
    }
    let claims: serde_json::Value = serde_json::from_str(text).map_err(|_| wrong())?;
    let claims = claims.as_object().ok_or_else(wrong)?;
    let members = ["userinfo", "id_token"]
        .into_iter()
        .filter_map(|member| claims.get(member)?.as_object());
    let members: Vec<_> = members.collect();
    let names = members.iter().flat_map(|claims| claims.keys());
    let scopes = names.filter_map(|name| match name.as_str() {
        "name" | "preferred_username" | "updated_at" => Some(scope::PROFILE),
        "email" | "email_verified" => Some(scope::EMAIL),
        "groups" => Some(scope::GROUPS),
        _ => None,
    });
    let scopes = scopes.collect();
    let subject = members
        .iter()
        .find_map(|claims| claims.get("sub")?.get("value")?.as_str());
    match subject.map(str::parse) {
        Some(Err(_)) => Err(("login_required", "No account has this sub.".into())),
        subject => Ok((scopes, subject.and_then(Result::ok))),
    }
}
