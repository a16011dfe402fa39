//! Registration: a person makes an account.
//!
//! Where addresses need no proof, the account is made at once. Where verification is required, there is no account before
//! the proof: the registration waits, and until it is completed no account holds the address or the username. So a stranger
//! who registers with an address of another person gains nothing by being first.
//!
//! A registration is completed with the link that was mailed to the address *and* the password that was chosen in it, so
//! that the person who reads the mailbox and the one who chose the password are the same. Only the link of the newest
//! registration works: it ends the older ones when its message leaves.
//!
//! With an address that has an account, the answer and the work are the same, and the owner is told (req 11).

use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::{AccountKey, InvitationKey, OneTimeTokenKey, RegistrationKey};
use crate::password::Requester;
use crate::secret::Digest;
use crate::service::account::{self, Owner, Prepared, identifiers};
use crate::service::authentication::Authenticated;
use crate::service::authentication::session_start::{AppOpening, BrowserOpening, Opening};
use crate::service::context::Context;
use crate::service::delivery::link_request::{self, MOST_REQUESTS, PERIOD};
use crate::service::delivery::message::Topic;
use crate::service::delivery::one_time_token::{self, Found, Purpose, Secret, Subject};
use crate::service::delivery::outbox::{self, Outgoing};
use crate::service::error::unexpected;
use crate::service::event::Kind;
use crate::service::session::browser::{BrowserWanted, NewCookie};
use crate::service::sign_up::invitation;
use crate::service::throttle;
use crate::service::{
    Authd, Code, Device, Error, NewAccount, Registration, SignIn, Verification, Wanted,
};
use crate::store::{Broken, ReadTx, Row, Tx, params};

/// How long a registration is kept at least: its message tries to leave for a day, and its link works for another.
const KEPT: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// Registrations that one question lists.
const MOST_WAITING: u32 = 1000;

/// What became of a registration.
#[derive(Debug)]
pub enum Registered<S = Box<SignIn>> {
    /// The account is made, and its owner signed in.
    SignedIn(S),
    /// There is an account as soon as the address is proven; or there was one before, which this does not tell.
    Waiting,
}

/// A registration that waits, as an operator sees it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WaitingRegistration {
    /// The address that has to be proven.
    pub email: String,
    /// The username that was asked for.
    pub username: Option<String>,
    /// The name that was given.
    pub name: Option<String>,
    /// When it came.
    pub requested_at: Timestamp,
    /// From where.
    pub ip: IpAddr,
    /// Until when its link works; absent while its message has not left.
    pub expires_at: Option<Timestamp>,
}

/// A link that completes a registration, for an operator to hand out.
pub struct PrintedLink {
    pub shown: WaitingRegistration,
    pub token: String,
    pub expires_at: Timestamp,
}

/// A registration that waits, with its row.
#[derive(Clone)]
pub struct Waiting {
    key: RegistrationKey,
    email: String,
    username: Option<String>,
    name: Option<String>,
    password_hash: String,
    invitation: Option<InvitationKey>,
    requested_at: Timestamp,
}

impl Authd {
    /// Makes an account and signs an app in; or lets the registration wait, where addresses have to be proven first. An invitation
    /// is used up by the account, and by nothing else: a refused registration can be tried again.
    ///
    /// # Errors
    /// [`Code::RegistrationClosed`]; [`Code::InvitationRequired`]; [`Code::InvalidInvitation`]; [`Code::WeakPassword`];
    /// [`Code::EmailTaken`], where no proof is required; [`Code::UsernameTaken`]; [`Code::InvalidScope`];
    /// [`Code::InvalidRequest`] for an address or a name; [`Code::TooManyRequests`] for a network that makes one account
    /// after the other; [`Code::StorageLow`] without an invitation, while storage is short.
    pub fn register(
        &self,
        account: NewAccount,
        password: &str,
        invite: Option<&str>,
        wanted: Wanted<'_>,
        device: &Device,
    ) -> Result<Registered, Error> {
        let opening = AppOpening::read(wanted, device)?;
        match self.create_account(account, password, invite, opening, device)? {
            Registered::SignedIn(grant) => Ok(Registered::SignedIn(Box::new(self.issue(grant)?))),
            Registered::Waiting => Ok(Registered::Waiting),
        }
    }

    /// Makes an account, as [`Authd::register`] does, and signs a browser in.
    ///
    /// # Errors
    /// Those of [`Authd::register`], but for the scope.
    pub fn register_in_browser(
        &self,
        account: NewAccount,
        password: &str,
        invite: Option<&str>,
        wanted: BrowserWanted<'_>,
        device: &Device,
    ) -> Result<Registered<NewCookie>, Error> {
        let opening = BrowserOpening::new(wanted, device);
        self.create_account(account, password, invite, opening, device)
    }

    fn create_account<O: Opening>(
        &self,
        account: NewAccount,
        password: &str,
        invite: Option<&str>,
        opening: O,
        device: &Device,
    ) -> Result<Registered<O::Begun>, Error> {
        let invitation = self.read_invitation(invite)?;
        // Invitations are an operator's, and so is their number.
        let is_strangers = invitation.is_none();
        if is_strangers {
            self.require_storage()?;
        }
        let account = NewAccount {
            admin: false,
            temporary: false,
            ..account
        };
        let ip = device.ip;
        // Asked before hashing, so that strangers cannot make the server hash, and a form sent twice costs nothing; decided
        // where the invitation is used up, and by the unique index. Without an invitation no client learns what is taken.
        let (_, email_key) = identifiers::read_email(&account.email)?;
        let asked = self.store.read(|tx| {
            let network = throttle::Subject::Registration(ip);
            throttle::check(tx, &self.settings.tag_key, &network)?;
            let invitation = match invitation {
                Some(digest) => Some(invitation::find(tx, digest, &email_key)?),
                None => None,
            };
            let is_proven = invitation.is_some_and(|invitation| invitation.is_mailed);
            let waits = self.policy().verification == Verification::Required && !is_proven;
            if !waits {
                account::refuse_taken_email(tx, &email_key, AccountKey::from_row(0))?;
            }
            account::refuse_taken_name(tx, &account)?;
            Ok((invitation, waits))
        });
        if let Err(Error::No(Code::EmailTaken | Code::UsernameTaken, _)) = asked {
            // A client that tries one address after the other would learn who has an account here.
            self.write(Some(device), move |cx| {
                throttle::take(cx, cx.tag_key(), &throttle::Subject::Registration(ip))
            })?;
        }
        let (invitation, waits) = asked?;
        let requester = Requester::client(ip, &email_key);
        let new = self.prepare(account, Some(password), requester)?;
        if waits {
            self.write(Some(device), move |cx| {
                require_storage_for(cx, is_strangers)?;
                throttle::take(cx, cx.tag_key(), &throttle::Subject::Registration(ip))?;
                await_proof(cx, &new, invitation.map(|invitation| invitation.key))
            })?;
            return Ok(Registered::Waiting);
        }
        let begun = self.write(Some(device), move |cx| {
            require_storage_for(cx, is_strangers)?;
            throttle::take(cx, cx.tag_key(), &throttle::Subject::Registration(ip))?;
            let mut account = account::insert(cx, &new)?;
            if let Some(invitation) = invitation {
                invitation::claim(cx, &invitation, account.key, &new.email_key, cx.now)?;
                // One that was mailed has proven the address.
                account = account::load(cx, account.key)?;
            }
            if !account.shown.email_verified {
                link_request::send(cx, link_request::EMAIL_VERIFICATION, account.key)?;
            }
            opening.begin(cx, Authenticated::by_registration(cx, account))
        })?;
        Ok(Registered::SignedIn(begun))
    }

    /// The digest of the invitation, where one was given; refuses where one is needed or no account can be made at all.
    fn read_invitation(&self, invite: Option<&str>) -> Result<Option<Digest>, Error> {
        match (self.policy().registration, invite) {
            (Registration::Closed, _) => Err(Error::no(
                Code::RegistrationClosed,
                "Registration is closed here. Ask the operator of this server for an account.",
            )),
            (Registration::Invite, None) => Err(Error::no(
                Code::InvitationRequired,
                "Registration takes an invitation here, as `invite`. Ask the operator of this server for one.",
            )),
            (Registration::Open, None) => Ok(None),
            (Registration::Invite | Registration::Open, Some(token)) => {
                invitation::read(token).map(Some)
            }
        }
    }

    /// The registrations that wait until their address is proven, newest first, at most 1,000, for an operator.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn waiting_registrations(&self) -> Result<Vec<WaitingRegistration>, Error> {
        Ok(self.store.read(|tx| {
            tx.rows(
                "SELECT r.email, r.username, r.name, r.requested_at, t.ip, t.expires_at \
                 FROM registration r JOIN one_time_token t ON t.registration_id = r.id ORDER BY r.id DESC LIMIT ?1",
                params![MOST_WAITING],
                shown_from_row,
            )
        })?)
    }
}

fn require_storage_for(cx: &Context<'_>, is_strangers: bool) -> Result<(), Error> {
    match is_strangers {
        true => cx.require_storage(),
        false => Ok(()),
    }
}

/// Lets a registration wait for the proof of its address; or, if an account has that, tells its owner. No address gets more
/// than three such messages an hour; beyond that nothing is stored.
fn await_proof(
    cx: &Context<'_>,
    new: &Prepared,
    invitation: Option<InvitationKey>,
) -> Result<(), Error> {
    if let Some(owner) = account::owner_of(cx, &new.email_key)? {
        return Ok(remind(cx, &owner)?);
    }
    if count_since(cx, &new.email_key, cx.now.minus(PERIOD))? >= MOST_REQUESTS {
        return Ok(());
    }
    let key: RegistrationKey = cx
        .row(
            "INSERT INTO registration (email, email_key, username, name, password_hash, invitation_id, requested_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING id",
            params![
                new.email,
                new.email_key,
                new.username.as_ref().map(|(username, _)| username),
                new.name,
                new.hash,
                invitation,
                cx.now,
            ],
            |row| row.get(0),
        )?
        .ok_or_else(|| unexpected("an insertion returned no row"))?;
    let subject = Subject::Registration(key);
    let token = one_time_token::request(cx, Purpose::Registration, subject, cx.device(), None)?;
    let message = Outgoing::to_address(&new.email, Topic::Registration).with(token);
    Ok(outbox::enqueue(cx, message)?)
}

/// Tells the owner of an account that a client asked for one with its address.
pub fn remind(cx: &Context<'_>, owner: &Owner) -> Result<(), Broken> {
    match owner.is_disabled {
        false => link_request::send(cx, link_request::ALREADY_REGISTERED, owner.key),
        true => Ok(()),
    }
}

/// Loads the registration of a token that was found.
pub fn find(tx: &ReadTx<'_>, key: RegistrationKey) -> Result<Option<Waiting>, Broken> {
    tx.row(
        "SELECT id, email, username, name, password_hash, invitation_id, requested_at FROM registration WHERE id = ?1",
        params![key],
        |row| {
            Ok(Waiting {
                key: row.get(0)?,
                email: row.get(1)?,
                username: row.get(2)?,
                name: row.get(3)?,
                password_hash: row.get(4)?,
                invitation: row.get(5)?,
                requested_at: row.get(6)?,
            })
        },
    )
}

impl Waiting {
    /// The address that it is for.
    pub fn email(&self) -> &str {
        &self.email
    }

    /// The hash of the password that was chosen.
    pub fn password_hash(&self) -> &str {
        &self.password_hash
    }
}

/// Makes the account of a registration whose link and password were given. Returns whether the link still worked.
///
/// # Errors
/// [`Code::EmailTaken`] if another account has the address by now; [`Code::InvalidInvitation`] if the invitation was used or
/// withdrawn. The registration waits on then.
pub fn complete(cx: &Context<'_>, token: &Found, waiting: &Waiting) -> Result<bool, Error> {
    if find(cx, waiting.key)?.is_none() || !one_time_token::claim(cx, token.key)? {
        return Ok(false);
    }
    let (email, email_key) = identifiers::read_email(&waiting.email)?;
    let asked = match &waiting.username {
        Some(username) => identifiers::read_username(username)?,
        None => None,
    };
    // The proof is worth more than the name, which can be chosen again.
    let username = match &asked {
        Some((_, key)) if account::is_username_taken(cx, key)? => None,
        _ => asked.clone(),
    };
    let taken = asked.filter(|_| username.is_none()).map(|(name, _)| name);
    let new = Prepared {
        account: NewAccount {
            email: email.clone(),
            username: None,
            name: None,
            admin: false,
            temporary: false,
        },
        email,
        email_key,
        username,
        name: waiting.name.clone(),
        hash: Some(waiting.password_hash.clone()),
    };
    let account = account::insert(cx, &new)?.key;
    if let Some(invitation) = waiting.invitation {
        let invitation = invitation::load(cx, invitation)?;
        invitation::claim(
            cx,
            &invitation,
            account,
            &new.email_key,
            waiting.requested_at,
        )?;
    }
    one_time_token::pass_to_account(cx, token.key, account)?;
    delete_all(cx, &new.email_key)?;
    cx.run(
        "UPDATE account SET email_verified_at = ?2 WHERE id = ?1",
        params![account, cx.now],
    )?;
    let mut detail = json!({ "registered_at": waiting.requested_at });
    if let Some(taken) = taken {
        detail["username_taken_meanwhile"] = json!(taken);
    }
    cx.record(Kind::EmailVerified, account, detail)?;
    Ok(true)
}

/// Deletes all registrations of an address that has an account now.
pub fn delete_all(tx: &Tx<'_>, email_key: &str) -> Result<(), Broken> {
    tx.run(
        "DELETE FROM registration WHERE email_key = ?1",
        params![email_key],
    )?;
    Ok(())
}

/// Makes a new link for the newest registration that waits with this address, for an operator.
pub fn print_links(cx: &Context<'_>, email_key: &str) -> Result<Vec<PrintedLink>, Error> {
    let waiting: Vec<(OneTimeTokenKey, WaitingRegistration)> = cx.rows(
        "SELECT r.email, r.username, r.name, r.requested_at, t.ip, t.expires_at, t.id \
         FROM registration r JOIN one_time_token t ON t.registration_id = r.id \
         WHERE r.email_key = ?1 AND t.ended_at IS NULL ORDER BY r.id DESC LIMIT 1",
        params![email_key],
        |row| Ok((row.get(6)?, shown_from_row(row)?)),
    )?;
    let mut links = Vec::new();
    for (key, shown) in waiting {
        let secret = Secret::draw(cx, Purpose::Registration);
        let armed = one_time_token::arm(cx, key, Purpose::Registration, secret.digest())?;
        // Its message would carry a link that works no more.
        cx.run("DELETE FROM outbox WHERE token_id = ?1", params![key])?;
        links.extend(armed.map(|expires_at| PrintedLink {
            shown,
            token: secret.reveal(),
            expires_at,
        }));
    }
    Ok(links)
}

/// Deletes at most `limit` registrations that were not completed in time; returns how many.
pub fn sweep(tx: &Tx<'_>, limit: u32) -> Result<usize, Broken> {
    tx.run(
        "DELETE FROM registration WHERE id IN (SELECT r.id FROM registration r \
         WHERE r.requested_at < ?1 AND NOT EXISTS (SELECT 1 FROM one_time_token t \
             WHERE t.registration_id = r.id AND t.ended_at IS NULL AND t.expires_at > ?2) \
         ORDER BY r.id LIMIT ?3)",
        params![tx.now.minus(KEPT), tx.now, limit],
    )
}

fn count_since(tx: &ReadTx<'_>, email_key: &str, since: Timestamp) -> Result<u32, Broken> {
    let count = tx.row(
        "SELECT count(*) FROM registration WHERE email_key = ?1 AND requested_at > ?2",
        params![email_key, since],
        |row| row.get(0),
    )?;
    Ok(count.unwrap_or(0))
}

fn shown_from_row(row: &Row<'_>) -> Result<WaitingRegistration, Broken> {
    Ok(WaitingRegistration {
        email: row.get(0)?,
        username: row.get(1)?,
        name: row.get(2)?,
        requested_at: row.get(3)?,
        ip: row.get(4)?,
        expires_at: row.get(5)?,
    })
}
