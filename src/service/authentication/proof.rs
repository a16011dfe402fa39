//! Proof, inside a session, that the account owner asks: by the current password, or by a recent authentication of a browser
//! session.
//!
//! What an attacker with a stolen access token or an unlocked screen must not be able to do takes one (req 15, req 36).

use serde_json::json;

use super::hashing::read_password;
use super::password::{credentials_by_key, log_failure};
use crate::password::{self, Requester};
use crate::service::context::Context;
use crate::service::error::{invalid_token, step_up_required};
use crate::service::event::Kind;
use crate::service::session;
use crate::service::session::browser::{self, NewCookie, StepUpPurpose};
use crate::service::throttle::{self, Subject};
use crate::service::{Actor, Authd, Code, Device, Error};

/// How the client shows, inside a session, that it is the account owner.
#[derive(Clone, Copy, Debug)]
pub enum Confirmation<'a> {
    /// By the current password, if the client sent it.
    Password(Option<&'a str>),
    /// By a recent authentication of a browser session, for a purpose.
    Recent(StepUpPurpose),
}

/// That a client showed inside a session that it is the account owner. A change is written only after [`Proof::require`].
#[derive(Clone)]
pub struct Proof {
    actor: Actor,
    evidence: Evidence,
}

#[derive(Clone)]
enum Evidence {
    /// The hash that the password was right for.
    Password(String),
    Recent(StepUpPurpose),
}

impl Proof {
    /// Checks again, in the transaction that writes: while the password was hashed, it may have been changed, the session
    /// ended, or the account deleted.
    ///
    /// # Errors
    /// [`Code::InvalidToken`]; [`Code::WrongPassword`]; [`Code::StepUpRequired`].
    pub fn require(&self, cx: &Context<'_>) -> Result<(), Error> {
        session::require_open(cx, &self.actor, cx.idle())?;
        match &self.evidence {
            Evidence::Password(hash) => {
                let found = credentials_by_key(cx, self.actor.account_key)?;
                if found.is_none_or(|found| found.password_hash.as_ref() != Some(hash)) {
                    return Err(wrong_password());
                }
                Ok(())
            }
            Evidence::Recent(purpose) => {
                match browser::is_recent(cx, self.actor.session_key, *purpose)? {
                    true => Ok(()),
                    false => Err(step_up_required()),
                }
            }
        }
    }
}

impl Authd {
    /// Checks how the client shows that it is the account owner.
    ///
    /// # Errors
    /// [`Code::WrongPassword`]; [`Code::TooManyRequests`] after too many wrong ones in this session;
    /// [`Code::StepUpRequired`] where the last authentication is too old.
    pub(in crate::service) fn prove(
        &self,
        actor: &Actor,
        confirmation: Confirmation<'_>,
        device: &Device,
    ) -> Result<Proof, Error> {
        match confirmation {
            Confirmation::Password(password) => self.require_password(actor, password, device),
            Confirmation::Recent(purpose) => {
                let session = actor.session_key;
                let is_recent = self
                    .store
                    .read(|tx| browser::is_recent(tx, session, purpose))?;
                is_recent.then_some(()).ok_or_else(step_up_required)?;
                Ok(Proof {
                    actor: actor.clone(),
                    evidence: Evidence::Recent(purpose),
                })
            }
        }
    }

    /// Authenticates the holder of a browser session again, by password, and replaces its cookie. For the next ten minutes
    /// the session may do what takes a recent authentication for `purpose`, and nothing else.
    ///
    /// # Errors
    /// [`Code::WrongPassword`]; [`Code::TooManyRequests`] after too many in this session; [`Code::InvalidToken`] if the
    /// session ended meanwhile.
    pub fn step_up(
        &self,
        actor: &Actor,
        password: &str,
        purpose: StepUpPurpose,
        device: &Device,
    ) -> Result<NewCookie, Error> {
        let proof = self.require_password(actor, Some(password), device)?;
        let session = actor.session_key;
        self.write(Some(device), move |cx| {
            proof.require(cx)?;
            let cookie = browser::renew_cookie(cx, session)?.ok_or_else(invalid_token)?;
            browser::record_step_up(cx, session, purpose)?;
            Ok(cookie)
        })
    }

    /// Checks the current password of the client that asks, inside its session. Wrong ones are counted by session, so that
    /// strangers who guess elsewhere cannot keep the owner from changing it (req 15, req 20).
    ///
    /// # Errors
    /// [`Code::WrongPassword`]; [`Code::TooManyRequests`] after too many in this session.
    fn require_password(
        &self,
        actor: &Actor,
        password: Option<&str>,
        device: &Device,
    ) -> Result<Proof, Error> {
        let password = password.ok_or_else(|| {
            Error::no(
                Code::WrongPassword,
                "This change takes the current password as `current_password`.",
            )
        })?;
        let password = read_password(password)?;
        let session = actor.session;
        let account = actor.account_key;
        let found = self.write(Some(device), move |cx| {
            throttle::take(cx, cx.tag_key(), &Subject::Session(session))?;
            credentials_by_key(cx, account)?.ok_or_else(invalid_token)
        })?;
        let stored = found.password_hash;
        let requester = Requester::owner(device.ip, account);
        let verification = match self.hasher.verify(requester, &password, stored.as_deref()) {
            Ok(verification) => verification,
            Err(overloaded) => {
                // Nothing was checked, so it was no guess.
                self.write(Some(device), move |cx| {
                    throttle::give_back(cx, cx.tag_key(), &Subject::Session(session))
                })?;
                return Err(overloaded.into());
            }
        };
        match (verification, stored) {
            (password::Verification::Right { .. }, Some(hash)) => {
                // At once: what is wrong with the change itself is no guess.
                self.write(Some(device), move |cx| {
                    throttle::give_back(cx, cx.tag_key(), &Subject::Session(session))
                })?;
                Ok(Proof {
                    actor: actor.clone(),
                    evidence: Evidence::Password(hash),
                })
            }
            _ => {
                self.write(Some(device), move |cx| {
                    let detail = json!({ "cause": "wrong current password" });
                    cx.event(Kind::SignInFailed, account)
                        .session(session)
                        .detail(detail)
                        .write(cx)
                })?;
                log_failure(device, "wrong current password");
                Err(wrong_password())
            }
        }
    }
}

fn wrong_password() -> Error {
    Error::no(Code::WrongPassword, "The current password is wrong.")
}
