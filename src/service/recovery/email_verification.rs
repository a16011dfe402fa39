//! Proof of addresses: that the account owner reads mail at the address of the account.
//!
//! An address is typed at registration, and typing proves nothing. So an account shows whether its address was proven
//! (`email_verified`), and apps that give something to an address (an invitation, a membership by domain) ask for that
//! first.
//!
//! The proof is a link that was sent there. It works for a day and once, and only a request that says so uses it up: mail
//! programs open links before people do. No other input sets it. A new address is unproven again; a reset link that came by
//! mail proves as much.
//!
//! The same kind of link completes a registration ([`registration`]) and confirms a change of address ([`email_change`]).

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::ids::AccountKey;
use crate::password::Requester;
use crate::secret::VerificationToken;
use crate::service::account::identifiers;
use crate::service::account::pending_email::{self, Side};
use crate::service::administration::Administration;
use crate::service::context::Context;
use crate::service::delivery::link_request;
use crate::service::delivery::one_time_token::{self, Found, Purpose, Secret, Subject};
use crate::service::event::Kind;
use crate::service::recovery::email_change;
use crate::service::sign_up::registration::{self, Waiting};
use crate::service::throttle;
use crate::service::{Authd, Code, Device, Error, Registration, Selector, account};
use crate::store::{Broken, ReadTx, params};

/// What a link proves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Proves {
    /// That the owner of an account reads mail at its address.
    Address,
    /// The same of a person who registered, and has the account from then on.
    Registration,
    /// That the owner of an account agrees to a new address.
    PresentAddress,
    /// That the owner reads mail at the new address.
    NewAddress,
}

/// What a link came to that was used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Confirmed {
    /// The address of the account is proven.
    Address,
    /// The registration became an account.
    Registration,
    /// A change of address waits for the link that was sent to another address.
    OneSide {
        /// That address.
        missing_at: String,
    },
    /// The account has a new address.
    Changed {
        /// The new address.
        email: String,
    },
}

/// A link that an operator hands out, and which proves an address.
#[derive(Clone, Debug)]
pub struct VerificationLink {
    /// What it proves.
    pub proves: Proves,
    /// The address.
    pub email: String,
    /// When and from where the registration came; `None` for an account.
    pub asked_for: Option<(Timestamp, IpAddr)>,
    /// The plain token, for the link and for `POST /v1/email-verification/confirm`.
    pub token: String,
    /// Until when it works.
    pub expires_at: Timestamp,
}

impl Authd {
    /// Has a link sent with which the owner of the account with this e-mail address proves it, if there is one that may
    /// sign in, has not proven it yet, and was not sent three within the last hour. The answer does not tell whether that is
    /// so. A registration that waits has a link of its own.
    ///
    /// # Errors
    /// [`Code::NoMail`] where mail is off; [`Code::InvalidRequest`] for what is not an address;
    /// [`Code::TooManyRequests`] for a network that asks again and again; [`Error::Unavailable`] while too many requests
    /// wait.
    pub fn request_email_verification(&self, email: &str, device: &Device) -> Result<(), Error> {
        let command = "authd user verify-link";
        self.request_link(link_request::EMAIL_VERIFICATION, command, email, device)
    }

    /// Takes the token of such a link for the proof that it is: of an account's address; of that of a registration, which
    /// becomes an account and takes the `password` that was chosen in it; or of one side of a change of address, which is
    /// applied with the second. Nobody is signed in by it. The same request again within a minute is answered as the first.
    ///
    /// # Errors
    /// [`Code::InvalidVerificationToken`] if the link was used or replaced, is older than 24 hours or never existed;
    /// [`Code::PasswordRequired`] and [`Code::WrongPassword`] for a registration; [`Code::TooManyRequests`] after too many
    /// wrong passwords. What was to be confirmed waits on with [`Code::EmailTaken`] if another account has the address by
    /// now, [`Code::InvalidInvitation`] if the invitation of the registration was used or withdrawn, and
    /// [`Code::RegistrationClosed`] where registration was closed since.
    pub fn confirm_email(
        &self,
        token: &str,
        password: Option<&str>,
        device: &Device,
    ) -> Result<Confirmed, Error> {
        let digest = VerificationToken::read(token).ok_or_else(spent)?.digest();
        // Looked at first, so that a made-up token costs no write; decided where it is used up.
        let found = self.store.read(|tx| one_time_token::find(tx, digest))?;
        let found = found.ok_or_else(spent)?;
        if found.was_just_used {
            // The token proves that it is the same client; the first request did all there is to do.
            return Ok(self.store.read(|tx| outcome(tx, &found))?);
        }
        let waiting = match found.subject {
            Subject::Registration(key) => Some(
                self.require_registration_password(
                    self.store
                        .read(|tx| registration::find(tx, key))?
                        .ok_or_else(spent)?,
                    password,
                    device,
                )?,
            ),
            _ => None,
        };
        self.write(Some(device), move |cx| {
            match apply(cx, &found, waiting.as_ref())? {
                true => Ok(outcome(cx, &found)?),
                false => Err(spent()),
            }
        })
    }

    /// Checks the password that was chosen in a registration; a wrong one counts like a failed sign-in.
    fn require_registration_password(
        &self,
        waiting: Waiting,
        password: Option<&str>,
        device: &Device,
    ) -> Result<Waiting, Error> {
        if self.policy().registration == Registration::Closed {
            return Err(Error::no(
                Code::RegistrationClosed,
                "Registration was closed since you registered. Ask the operator of this server for an account.",
            ));
        }
        let password = password.ok_or_else(|| {
            Error::no(
                Code::PasswordRequired,
                "This link completes a registration. Send the password that was chosen in it as well.",
            )
        })?;
        let ip = device.ip;
        let subject = throttle::Subject::SignIn(ip);
        self.store
            .read(|tx| throttle::check(tx, &self.settings.tag_key, &subject))?;
        self.write(Some(device), move |cx| {
            throttle::take(cx, cx.tag_key(), &throttle::Subject::SignIn(ip))
        })?;
        let requester = Requester::client(ip, waiting.password_hash());
        let checked = self.is_password(password, waiting.password_hash(), requester);
        if !matches!(checked, Ok(false)) {
            // It was right, or nothing was checked and so nothing guessed.
            self.write(Some(device), move |cx| {
                throttle::give_back(cx, cx.tag_key(), &throttle::Subject::SignIn(ip))
            })?;
        }
        if !checked? {
            tracing::warn!(address = %ip, reason = "wrong password of a registration", "sign-in failed");
            return Err(Error::no(
                Code::WrongPassword,
                "This is not the password that was chosen when this address registered. If you did not register, ignore \
                 the message; if you did, register again.",
            ));
        }
        Ok(waiting)
    }
}

impl Administration<'_> {
    /// Makes the links that an account or a registration waits for, for an operator to hand out; older ones of the same kind
    /// stop working. `user` names an account whose address is not proven or about to change, which takes two links; or is
    /// the address of a registration that waits.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is neither; [`Code::InvalidRequest`] if there is nothing to prove.
    pub fn verification_links(&self, user: &str) -> Result<Vec<VerificationLink>, Error> {
        let user = user.to_owned();
        self.write(move |cx| {
            let found = account::select(cx, &Selector::read(&user));
            match (found, identifiers::read_email(&user)) {
                (Ok(account), _) => links_of_account(cx, &account),
                (Err(Error::No(Code::NotFound, _)), Ok((_, email_key))) => {
                    link_of_registration(cx, &email_key)
                }
                (Err(error), _) => Err(error),
            }
        })
    }
}

/// What the link of `token` came to, right after it was used.
fn outcome(tx: &ReadTx<'_>, token: &Found) -> Result<Confirmed, Broken> {
    let (account, side) = match (token.purpose, token.subject) {
        (Purpose::EmailVerification, Subject::Account(_)) => return Ok(Confirmed::Address),
        (Purpose::EmailChangePresent, Subject::Account(account)) => (account, Side::Present),
        (Purpose::EmailChangeNew, Subject::Account(account)) => (account, Side::New),
        _ => return Ok(Confirmed::Registration),
    };
    let present = account::load(tx, account)?.shown.email;
    Ok(match (pending_email::pending(tx, account)?, side) {
        (None, _) => Confirmed::Changed { email: present },
        (Some(pending), Side::Present) => Confirmed::OneSide {
            missing_at: pending.email,
        },
        (Some(_), Side::New) => Confirmed::OneSide {
            missing_at: present,
        },
    })
}

/// Does what the link is for. Returns whether it still worked.
fn apply(cx: &Context<'_>, token: &Found, waiting: Option<&Waiting>) -> Result<bool, Error> {
    match (token.purpose, token.subject, waiting) {
        (Purpose::EmailVerification, Subject::Account(account), _) => prove(cx, token, account),
        (Purpose::EmailChangePresent, Subject::Account(account), _) => {
            email_change::confirm(cx, token, account, Side::Present)
        }
        (Purpose::EmailChangeNew, Subject::Account(account), _) => {
            email_change::confirm(cx, token, account, Side::New)
        }
        (Purpose::Registration, _, Some(waiting)) => registration::complete(cx, token, waiting),
        _ => Ok(false),
    }
}

/// Marks the present address of an account as proven, if the account may sign in.
fn prove(cx: &Context<'_>, token: &Found, account: AccountKey) -> Result<bool, Error> {
    if !one_time_token::claim(cx, token.key)? {
        return Ok(false);
    }
    let proven = cx.run(
        "UPDATE account SET email_verified_at = ?2 WHERE id = ?1 AND disabled_at IS NULL",
        params![account, cx.now],
    )?;
    if proven == 1 {
        cx.event(Kind::EmailVerified, account).write(cx)?;
    }
    Ok(proven == 1)
}

fn links_of_account(
    cx: &Context<'_>,
    account: &account::Loaded,
) -> Result<Vec<VerificationLink>, Error> {
    let present = &account.shown.email;
    let mut wanted = Vec::new();
    if !account.shown.email_verified {
        wanted.push((Purpose::EmailVerification, Proves::Address, present.clone()));
    }
    if let Some(pending) = pending_email::pending(cx, account.key)? {
        let (there, here) = (
            email_change::purpose_of(Side::New),
            email_change::purpose_of(Side::Present),
        );
        if !pending.present_confirmed {
            wanted.push((here, Proves::PresentAddress, present.clone()));
        }
        if !pending.new_confirmed {
            wanted.push((there, Proves::NewAddress, pending.email));
        }
    }
    if wanted.is_empty() {
        return Err(Error::invalid("This address is confirmed already."));
    }
    let mut links = Vec::new();
    for (purpose, proves, email) in wanted {
        let subject = Subject::Account(account.key);
        let key = one_time_token::request(cx, purpose, subject, None, None)?;
        let secret = Secret::draw(cx, purpose);
        let expires_at = one_time_token::arm(cx, key, purpose, secret.digest())?
            .ok_or_else(|| Error::not_found("open link"))?;
        links.push(VerificationLink {
            proves,
            email,
            asked_for: None,
            token: secret.reveal(),
            expires_at,
        });
    }
    cx.event(Kind::EmailVerificationRequested, account.key)
        .write(cx)?;
    Ok(links)
}

fn link_of_registration(cx: &Context<'_>, email_key: &str) -> Result<Vec<VerificationLink>, Error> {
    let printed = registration::print_links(cx, email_key)?;
    if printed.is_empty() {
        return Err(Error::not_found("account, nor such a registration"));
    }
    let links = printed.into_iter().map(|link| VerificationLink {
        proves: Proves::Registration,
        email: link.shown.email,
        asked_for: Some((link.shown.requested_at, link.shown.ip)),
        token: link.token,
        expires_at: link.expires_at,
    });
    Ok(links.collect())
}

fn spent() -> Error {
    Error::no(
        Code::InvalidVerificationToken,
        "This link was used, was replaced by a newer one, or is older than 24 hours. Ask for another.",
    )
}
