//! From an authorization request to a code: who must sign in, who is asked, and what is remembered.
//!
//! [`Authd::authorization_step`] says what comes next, and changes nothing. [`Authd::grant_code`] makes the code, in one
//! transaction that asks everything again.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::{AccountKey, ClientKey, SessionKey};
use crate::secret::AuthorizationCode;
use crate::service::context::Context;
use crate::service::event::Kind;
use crate::service::oauth::answer::Answer;
use crate::service::oauth::client::Client;
use crate::service::oauth::request::AuthorizationRequest;
use crate::service::oauth::scope::Scopes;
use crate::service::session;
use crate::service::{Actor, Authd, Browser, Device, Error};
use crate::store::{Broken, ReadTx, params};

/// How long a code can be exchanged (req 43).
pub const CODE_LIFE: Duration = Duration::from_secs(60);

/// How long a code is kept beyond that, so that its second use ends what came of the first.
pub(in crate::service) const CODE_MEMORY: Duration = Duration::from_secs(60 * 60);

/// The most codes of one session that wait to be exchanged: the oldest goes first.
const MOST_CODES: u32 = 20;

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// The person signs in. The request goes on with the one given.
    SignIn(Box<AuthorizationRequest>),
    /// The person is signed in and authenticates again.
    Authenticate(Box<AuthorizationRequest>),
    /// The person is asked whether the app may.
    Ask(Question),
    /// The account may not use this app, and there is nothing to ask.
    Forbidden,
    /// The app is told something that is no code.
    Answer(Answer),
    /// Everything is settled: [`Authd::grant_code`].
    Grant,
}

/// What a person is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The words that the person has not agreed to before.
    pub is_new: bool,
    /// Another account is signed in than the app expects.
    pub is_other_account: bool,
}

impl Authd {
    /// What comes next for a request, in a browser in which `browser` is signed in.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn authorization_step(
        &self,
        request: &AuthorizationRequest,
        browser: Option<&Browser>,
    ) -> Result<Step, Error> {
        let prompt = request.prompt;
        let refused = |error, words: &str| Ok(Step::Answer(request.refuse(self, error, words)));
        let Some(browser) = browser else {
            return match prompt.none {
                true => refused("login_required", "The person is not signed in."),
                // Signing in now is all that prompt=login and max_age ask for.
                false => Ok(Step::SignIn(Box::new(self.authenticated_from_now(request)))),
            };
        };
        let is_other_account = request
            .subject
            .is_some_and(|subject| subject != browser.actor.account);
        if is_other_account && prompt.none {
            return refused("login_required", "Another account is signed in.");
        }
        if prompt.login || !is_fresh(request, browser.auth_time, self.now()) {
            return match prompt.none {
                true => refused("login_required", "The person signed in too long ago."),
                false => Ok(Step::Authenticate(Box::new(
                    self.authenticated_from_now(request),
                ))),
            };
        }
        let account = browser.actor.account_key;
        let client = Arc::clone(&request.client);
        let (may_use, remembered) = self.store.read(|tx| {
            Ok::<_, Broken>((
                may_use(tx, &client, account)?,
                remembered(tx, client.key, account)?,
            ))
        })?;
        if !may_use {
            return match prompt.none {
                true => refused("access_denied", "The account may not use this app."),
                false => Ok(Step::Forbidden),
            };
        }
        let is_new = remembered.is_none_or(|remembered| !remembered.include(&request.scope));
        // Anybody can claim to be a client without a secret (req 55).
        let is_asked = request.client.is_public()
            || (request.client.asks_consent && is_new)
            || prompt.consent
            || prompt.select_account
            || is_other_account;
        match (is_asked, prompt.none) {
            (false, _) => Ok(Step::Grant),
            (true, true) => refused("consent_required", "The person has to be asked."),
            (true, false) => Ok(Step::Ask(Question {
                is_new,
                is_other_account,
            })),
        }
    }

    /// Whether the request still holds for this browser after the person agreed: what [`Authd::authorization_step`] says but for
    /// the question.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn step_after_consent(
        &self,
        request: &AuthorizationRequest,
        browser: &Browser,
    ) -> Result<Step, Error> {
        match self.authorization_step(request, Some(browser))? {
            Step::Ask(Question {
                is_other_account: false,
                ..
            }) => Ok(Step::Grant),
            other => Ok(other),
        }
    }

    /// Makes the code for a request, and remembers what the person agreed to.
    ///
    /// # Errors
    /// [`Code::InvalidToken`](crate::service::Code::InvalidToken) if the session ended meanwhile;
    /// [`Code::AccessDenied`](crate::service::Code::AccessDenied) if the account may not use the client.
    pub fn grant_code(
        &self,
        request: &AuthorizationRequest,
        browser: &Browser,
        device: &Device,
    ) -> Result<Answer, Error> {
        let granted = request.clone();
        let (actor, auth_time, amr) = (
            browser.actor.clone(),
            browser.auth_time,
            browser.amr.clone(),
        );
        let code = self.write(Some(device), move |cx| {
            session::require_open(cx, &actor, cx.idle())?;
            require_use(cx, &granted.client, actor.account_key)?;
            remember(cx, &granted.client, &granted.scope, &actor)?;
            insert_code(cx, &granted, actor.session_key, auth_time, &amr)
        })?;
        Ok(Answer::code(
            &self.policy().issuer,
            &request.redirect_uri,
            request.mode,
            request.state.clone(),
            code.reveal(),
        ))
    }

    fn authenticated_from_now(&self, request: &AuthorizationRequest) -> AuthorizationRequest {
        match request.prompt.login || request.max_age.is_some() {
            true => request.authenticated_since(self.now()),
            false => request.clone(),
        }
    }
}

/// Whether the person was authenticated as lately as the request wants.
fn is_fresh(request: &AuthorizationRequest, auth_time: Timestamp, now: Timestamp) -> bool {
    request.since.is_none_or(|since| auth_time >= since)
        && request.max_age.is_none_or(|age| now <= auth_time.plus(age))
}

/// Whether an account may use a client: all may, or the members of its groups.
pub(in crate::service) fn may_use(
    tx: &ReadTx<'_>,
    client: &Client,
    account: AccountKey,
) -> Result<bool, Broken> {
    if client.groups.is_none() {
        return Ok(true);
    }
    let member: Option<i64> = tx.row(
        "SELECT m.group_id FROM membership m JOIN oauth_client_group g ON g.group_id = m.group_id \
         WHERE m.account_id = ?1 AND g.client_id = ?2 LIMIT 1",
        params![account, client.key],
        |row| row.get(0),
    )?;
    Ok(member.is_some())
}

/// Asks again in a transaction that writes.
pub(in crate::service) fn require_use(
    tx: &ReadTx<'_>,
    client: &Client,
    account: AccountKey,
) -> Result<(), Error> {
    match may_use(tx, client, account)? {
        true => Ok(()),
        false => Err(Error::no(
            crate::service::Code::AccessDenied,
            "This account may not use the app. An administrator decides which groups may.",
        )),
    }
}

/// What the account owner agreed to before; `None` if the app was never allowed.
fn remembered(
    tx: &ReadTx<'_>,
    client: ClientKey,
    account: AccountKey,
) -> Result<Option<Scopes>, Broken> {
    tx.row(
        "SELECT scope FROM consent WHERE account_id = ?1 AND client_id = ?2",
        params![account, client],
        |row| {
            let scope: String = row.get(0)?;
            Ok(Scopes::from_row(&scope))
        },
    )
}

/// Remembers that the account owner agreed.
pub(in crate::service) fn remember(
    cx: &Context<'_>,
    client: &Client,
    scope: &Scopes,
    actor: &Actor,
) -> Result<(), Broken> {
    let before = remembered(cx, client.key, actor.account_key)?;
    if before.as_ref().is_some_and(|before| before.include(scope)) {
        return Ok(());
    }
    let all = before.unwrap_or_default().with(scope);
    cx.run(
        "INSERT INTO consent (account_id, client_id, scope, given_at) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (account_id, client_id) DO UPDATE SET scope = excluded.scope, given_at = excluded.given_at",
        params![actor.account_key, client.key, all.to_string(), cx.now],
    )?;
    cx.event(Kind::AppAllowed, actor.account_key)
        .session(actor.session)
        .detail(json!({ "client_id": client.client_id, "app": client.name, "scope": scope.to_string() }))
        .write(cx)
}

fn insert_code(
    cx: &Context<'_>,
    request: &AuthorizationRequest,
    session: SessionKey,
    auth_time: Timestamp,
    amr: &str,
) -> Result<AuthorizationCode, Error> {
    // A browser that is sent here again and again leaves few rows.
    cx.run(
        "DELETE FROM authorization_code WHERE session_id = ?1 AND used_at IS NULL AND id NOT IN \
         (SELECT id FROM authorization_code WHERE session_id = ?1 AND used_at IS NULL ORDER BY id DESC LIMIT ?2)",
        params![session, MOST_CODES - 1],
    )?;
    let code = AuthorizationCode::from_bytes(cx.random());
    cx.run(
        "INSERT INTO authorization_code (digest, client_id, session_id, redirect_uri, scope, resource, nonce, \
         code_challenge, auth_time, amr, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            code.digest(),
            request.client.key,
            session,
            request.redirect_uri,
            request.scope.to_string(),
            request.resource,
            request.nonce,
            request.code_challenge,
            auth_time,
            amr,
            cx.now.plus(CODE_LIFE),
        ],
    )?;
    Ok(code)
}

/// Deletes codes that have nothing to tell any more; at most `limit`. Returns how many.
pub(in crate::service) fn sweep(tx: &crate::store::Tx<'_>, limit: u32) -> Result<usize, Broken> {
    tx.run(
        "DELETE FROM authorization_code WHERE id IN \
         (SELECT id FROM authorization_code WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
        params![tx.now.minus(CODE_MEMORY), limit],
    )
}
