//! Proof of addresses: that somebody who has an account reads mail at the address that it is known by.
//!
//! An address is typed by whoever registers, and typing proves nothing. So an account shows whether its address was
//! proven (`email_verified`), and apps that give something to an address (an invitation, a membership by domain, the
//! account of another sign-in method) ask for that first: otherwise whoever types a stranger's address gets what is the
//! stranger's.
//!
//! The proof is a link that was sent there, works for a day and once, and is used up only by a request that says so:
//! mail programs open links before people do. No input of the interface sets it. A new address is unproven again, and
//! a reset link that came by mail proves as much.
//!
//! Where verification is required, proof comes first: a registration waits, and becomes an account when its own link is
//! followed ([`registration`]). Then nobody learns by registering who has an account, either. With a taken address
//! it is the same answer after the same work, and the owner of the account gets a letter (req 11).
//!
//! A new address is confirmed at both: at the new one that somebody reads mail there, at the present one that it is the
//! owner who wishes it ([`email_change`]). The second confirmation, whichever it is, applies the change in its
//! transaction. A taken address is told only where registering would tell it too.
//!
//! An operator hands out the same links without mail, to somebody of whom it is known by other means who they are.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::{AccountKey, InvitationKey};
use crate::secret::{Digest, VerificationToken};
use crate::service::account;
use crate::service::account::pending_email::{self, Side};
use crate::service::account::{Owner, Prepared};
use crate::service::delivery::mailed_link::{self, LinkLetter, MOST_REQUESTS, PERIOD, Wish};
use crate::service::delivery::message::Topic;
use crate::service::delivery::one_time_link::{self, Purpose};
use crate::service::delivery::outbox::{self, Note, Outbox};
use crate::service::event::{Entry, Kind};
use crate::service::sign_up::invitation;
use crate::service::sign_up::registration;
use crate::service::sign_up::registration::WaitingRegistration;
use crate::service::throttle::{self, Subject};
use crate::service::{
    Authd, Code, Device, Error, NewAccount, Registration, Selector, Verification,
};
use crate::store::{Broken, ReadTx, Tx, params};

/// A link that proves the address of an account.
pub(in crate::service) const WISH: Wish = Wish {
    letter: PROOF,
    command: "authd user verify-link",
    find: unproven,
};

const PROOF: LinkLetter = LinkLetter {
    purpose: Purpose::EmailVerification,
    topic: Topic::EmailVerification,
    event: Kind::EmailVerificationRequested,
};

/// What the owner of an account gets when somebody registers with its address: a link with which they get in, in case
/// it was them and they forgot.
const REMINDER: LinkLetter = LinkLetter {
    purpose: Purpose::PasswordReset,
    topic: Topic::AlreadyRegistered,
    event: Kind::PasswordResetRequested,
};

/// Registrations that one question lists.
const MOST_WAITING: u32 = 1000;

/// A link that confirms something is looked for among these.
const PROOFS: [Purpose; 3] = [
    Purpose::EmailVerification,
    Purpose::EmailChangePresent,
    Purpose::EmailChangeNew,
];

/// What an address has to be proven for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Proves {
    /// That the owner of an account reads mail at its address.
    Address,
    /// The same of somebody who registered, and has the account from then on.
    Registration,
    /// That the owner of an account wishes another address.
    PresentAddress,
    /// That the owner reads mail at that other one.
    NewAddress,
}

/// A link that an operator hands out, and which proves an address.
#[derive(Clone, Debug)]
pub struct VerificationLink {
    /// What it proves.
    pub proves: Proves,
    /// The address.
    pub email: String,
    /// When and from where the registration came; `None` for an account, where it is the operator who asks.
    pub asked_for: Option<(Timestamp, IpAddr)>,
    /// The plain token, for the link and for `POST /v1/email-verification/confirm`.
    pub token: String,
    /// Until when it works.
    pub expires_at: Timestamp,
}

/// What is waiting for a certain token.
#[derive(Clone, Copy)]
enum Awaits {
    Link(Purpose),
    Registration,
}

impl Authd {
    /// Has a link sent with which the owner of the account with this e-mail address proves it, if there is one that may
    /// sign in, has not proven it yet, and was not sent three within the last hour. Whether that is so, the answer does
    /// not tell. A registration that waits is not among them: which of several is meant, only its own letter says.
    ///
    /// # Errors
    /// [`Code::NoMail`] where mail is off; [`Code::InvalidRequest`] for what is no address;
    /// [`Code::TooManyRequests`] for an address of the network that asks again and again.
    pub fn request_email_verification(&self, email: &str, device: &Device) -> Result<(), Error> {
        self.request_link(WISH, email, device)
    }

    /// Takes the token of such a link for the proof that it is: of an account's address; of that of a registration, which
    /// becomes an account with this; or of one side of a change of address, which is applied with the second. Nobody is
    /// signed in by it.
    ///
    /// # Errors
    /// [`Code::InvalidVerificationToken`] if the link was used or replaced, is older than 24 hours or never existed.
    /// [`Code::EmailTaken`] if another account has the address by now, and [`Code::InvalidInvitation`] if the invitation
    /// that a registration came with was used or withdrawn: what was to be confirmed waits on then, as it does with
    /// [`Code::RegistrationClosed`], where registration was closed since.
    pub fn confirm_email(&self, token: &str, device: &Device) -> Result<(), Error> {
        let digest = VerificationToken::read(token).ok_or_else(spent)?.digest();
        // Looked at first, so that what a stranger makes up costs no write; decided where it is used up.
        let awaits = self.store.read(|tx| awaits(tx, digest))?;
        let awaits = awaits.ok_or_else(spent)?;
        if matches!(awaits, Awaits::Registration)
            && self.policy.registration == Registration::Closed
        {
            return Err(Error::no(
                Code::RegistrationClosed,
                "Registration was closed since you registered. Ask whoever runs this server for an account.",
            ));
        }
        let (outbox, device) = (self.outbox(), device.clone());
        self.store.write(move |tx| match awaits {
            Awaits::Link(Purpose::EmailChangePresent) => {
                confirm_change(tx, outbox, digest, Side::Present, &device)
            }
            Awaits::Link(Purpose::EmailChangeNew) => {
                confirm_change(tx, outbox, digest, Side::New, &device)
            }
            Awaits::Link(_) => confirm_address(tx, digest, &device),
            Awaits::Registration => open_account(tx, digest, &device),
        })
    }

    /// The registrations that wait until their address is proven, newest first, at most 1,000, for an operator.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn waiting_registrations(&self) -> Result<Vec<WaitingRegistration>, Error> {
        Ok(self
            .store
            .read(|tx| registration::list_all(tx, MOST_WAITING))?)
    }

    /// Makes the links that somebody waits for, for an operator to hand out; older ones of the same kind are void then.
    /// `user` points at an account whose address is not proven or about to change, which takes two links; or is the
    /// address of registrations that wait: one link for each, newest first.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is neither; [`Code::InvalidRequest`] if there is nothing to prove.
    pub fn verification_links(&self, user: &str) -> Result<Vec<VerificationLink>, Error> {
        let user = user.to_owned();
        self.store.write(move |tx| {
            let found = account::select(tx, &Selector::read(&user));
            match (found, account::read_email(&user)) {
                (Ok(account), _) => links_of_account(tx, &account),
                (Err(Error::No(Code::NotFound, _)), Ok((_, email_key))) => {
                    links_of_registrations(tx, &email_key)
                }
                (Err(error), _) => Err(error),
            }
        })
    }
}

/// Has the letter sent that asks the owner of a new account to prove its address, where mail is on.
pub(in crate::service) fn ask(
    tx: &Tx<'_>,
    outbox: Outbox,
    account: AccountKey,
    device: &Device,
) -> Result<(), Broken> {
    match outbox.is_on() {
        true => mailed_link::send(tx, outbox, PROOF, account, device),
        false => Ok(()),
    }
}

/// Lets a registration wait for the proof of its address; or, if there is an account with that already, has its owner
/// told. Nobody gets more than three such letters an hour; beyond that nothing is noted.
pub(in crate::service) fn await_proof(
    tx: &Tx<'_>,
    outbox: Outbox,
    new: &Prepared,
    invitation: Option<InvitationKey>,
    device: &Device,
) -> Result<(), Broken> {
    if let Some(owner) = account::owner_of(tx, &new.email_key)? {
        return remind(tx, outbox, &owner, device);
    }
    if registration::count(tx, &new.email_key, tx.now.minus(PERIOD))? >= MOST_REQUESTS {
        return Ok(());
    }
    let waiting = registration::insert(tx, new, invitation, device)?;
    outbox.note(tx, Note::to_newcomer(&new.email, waiting).from(device))
}

/// Gives an account another address, or has that wait for confirmation. Returns whether the account is another now.
///
/// # Errors
/// [`Code::EmailTaken`], where no proof is required; [`Code::TooManyRequests`] for the fourth within an hour, and for an
/// address of the network that has letters sent again and again.
pub(in crate::service) fn change_email(
    tx: &Tx<'_>,
    outbox: Outbox,
    verification: Verification,
    account: AccountKey,
    email: &str,
    email_key: &str,
    device: &Device,
) -> Result<bool, Error> {
    let present = account::load(tx, account)?.shown.email;
    if present.eq_ignore_ascii_case(email) {
        // The same address, perhaps written in another way: it is as proven as it was, and nothing waits any more.
        pending_email::withdraw(tx, account)?;
        for side in [Side::Present, Side::New] {
            one_time_link::void(tx, account, purpose_of(side), "withdrawn")?;
        }
        tx.run(
            "UPDATE account SET email = ?2 WHERE id = ?1",
            params![account, email],
        )?;
        return Ok(present != email);
    }
    let is_required = verification == Verification::Required;
    if !is_required {
        account::refuse_taken_email(tx, email_key, account)?;
    }
    if !outbox.is_on() && !is_required {
        tx.run(
            "UPDATE account SET email = ?2, email_key = ?3, email_verified_at = NULL WHERE id = ?1",
            params![account, email, email_key],
        )?;
        one_time_link::void_all(tx, account, "email_changed")?;
        return Ok(true);
    }
    let since = tx.now.minus(PERIOD);
    let earlier = one_time_link::count_requests(tx, account, Purpose::EmailChangeNew, since)?;
    if earlier >= MOST_REQUESTS {
        return Err(Error::Later(Code::TooManyRequests, PERIOD.as_secs()));
    }
    if outbox.is_on() {
        count_sender(tx, device)?;
    }
    pending_email::request(tx, account, email, email_key)?;
    let link = one_time_link::request(tx, account, Purpose::EmailChangePresent, Some(device))?;
    outbox.note(
        tx,
        Note::to(account, Topic::EmailChangePresent)
            .with(link)
            .from(device),
    )?;
    let link = one_time_link::request(tx, account, Purpose::EmailChangeNew, Some(device))?;
    match account::owner_of(tx, email_key)? {
        None => {
            let letter = Note::to(account, Topic::EmailChangeNew).at(email);
            outbox.note(tx, letter.with(link).from(device))?;
        }
        // As if it were free, to whoever asks; without a letter there is nothing to confirm with.
        Some(owner) => remind(tx, outbox, &owner, device)?,
    }
    Entry::of(Kind::EmailChangeRequested, account)
        .device(device)
        .detail(json!({ "to": email }))
        .write(tx)?;
    Ok(false)
}

/// Counts whoever has a letter sent to an address that they typed. Who is signed in may have many accounts, and each would
/// do for three strangers an hour.
fn count_sender(tx: &Tx<'_>, device: &Device) -> Result<(), Error> {
    let sender = Subject::Mail(device.ip);
    let tag_key = crate::service::present_tag_key(tx)?;
    throttle::refuse_blocked(tx, &tag_key, &sender)?;
    throttle::record(tx, &tag_key, &sender)?;
    Ok(())
}

/// Tells the owner of an account that somebody asked for one with its address.
fn remind(tx: &Tx<'_>, outbox: Outbox, owner: &Owner, device: &Device) -> Result<(), Broken> {
    match outbox.is_on() && !owner.is_disabled {
        true => mailed_link::send(tx, outbox, REMINDER, owner.key, device),
        false => Ok(()),
    }
}

fn awaits(tx: &ReadTx<'_>, digest: Digest) -> Result<Option<Awaits>, Broken> {
    for purpose in PROOFS {
        if one_time_link::find(tx, purpose, digest)?.is_some() {
            return Ok(Some(Awaits::Link(purpose)));
        }
    }
    let waits = registration::is_open(tx, digest)?;
    Ok(waits.then_some(Awaits::Registration))
}

fn confirm_address(tx: &Tx<'_>, digest: Digest, device: &Device) -> Result<(), Error> {
    let claimed = one_time_link::claim(tx, Purpose::EmailVerification, digest)?;
    let account = claimed.ok_or_else(spent)?.account;
    if !prove(tx, account)? {
        return Err(spent());
    }
    Ok(Entry::of(Kind::EmailVerified, account)
        .device(device)
        .write(tx)?)
}

/// Makes the account of a registration whose link was followed.
fn open_account(tx: &Tx<'_>, digest: Digest, device: &Device) -> Result<(), Error> {
    let waited = registration::claim(tx, digest)?.ok_or_else(spent)?;
    let (email, email_key) = account::read_email(&waited.email)?;
    let asked = match &waited.username {
        Some(username) => account::read_username(username)?,
        None => None,
    };
    // The proof is worth more than the name, which can be chosen anew.
    let username = match &asked {
        Some((_, key)) if account::is_username_taken(tx, key)? => None,
        _ => asked.clone(),
    };
    let without = asked.filter(|_| username.is_none()).map(|(name, _)| name);
    let new = Prepared {
        account: NewAccount {
            email: email.clone(),
            username: username.as_ref().map(|(name, _)| name.clone()),
            name: waited.name.clone(),
            admin: false,
            temporary: false,
        },
        email,
        email_key,
        username,
        name: waited.name,
        hash: Some(waited.password_hash),
    };
    let account = account::insert(tx, &new)?.key;
    if let Some(invitation) = waited.invitation {
        let as_of = waited.requested_at;
        invitation::claim(tx, invitation, account, &new.email_key, as_of)?;
    }
    registration::drop_all(tx, &new.email_key)?;
    prove(tx, account)?;
    let entry = Entry::of(Kind::EmailVerified, account).device(device);
    let entry = entry.detail(match without {
        None => json!({ "registered_at": waited.requested_at }),
        Some(taken) => {
            json!({ "registered_at": waited.requested_at, "username_taken_meanwhile": taken })
        }
    });
    Ok(entry.write(tx)?)
}

/// Confirms one side of a change of address, and applies it if that was the second.
fn confirm_change(
    tx: &Tx<'_>,
    outbox: Outbox,
    digest: Digest,
    side: Side,
    device: &Device,
) -> Result<(), Error> {
    let purpose = purpose_of(side);
    let account = one_time_link::claim(tx, purpose, digest)?
        .ok_or_else(spent)?
        .account;
    let pending = pending_email::confirm(tx, account, side)?.ok_or_else(spent)?;
    if !pending.is_complete() {
        return Ok(());
    }
    account::refuse_taken_email(tx, &pending.email_key, account)?;
    let old = account::load(tx, account)?.shown.email;
    let applied = tx.run(
        "UPDATE account SET email = ?2, email_key = ?3, email_verified_at = ?4 \
         WHERE id = ?1 AND disabled_at IS NULL",
        params![account, pending.email, pending.email_key, tx.now],
    )?;
    if applied == 0 {
        return Err(spent());
    }
    // A link that is on its way to the old address must not open the account any more.
    one_time_link::void_all(tx, account, "email_changed")?;
    registration::drop_all(tx, &pending.email_key)?;
    outbox.note(
        tx,
        Note::to(account, Topic::EmailChanged).at(&old).from(device),
    )?;
    Ok(Entry::of(Kind::EmailChanged, account)
        .device(device)
        .detail(json!({ "from": old, "to": pending.email }))
        .write(tx)?)
}

const fn purpose_of(side: Side) -> Purpose {
    match side {
        Side::Present => Purpose::EmailChangePresent,
        Side::New => Purpose::EmailChangeNew,
    }
}

fn links_of_account(
    tx: &Tx<'_>,
    account: &account::Loaded,
) -> Result<Vec<VerificationLink>, Error> {
    let present = &account.shown.email;
    let mut links = Vec::new();
    let mut print = |purpose, proves, email: &str| -> Result<(), Error> {
        let link = one_time_link::request(tx, account.key, purpose, None)?;
        let token = VerificationToken::from_bytes(tx.random());
        let expires_at = one_time_link::arm(tx, link, purpose, token.digest())?
            .ok_or_else(|| Error::not_found("open link"))?;
        links.push(VerificationLink {
            proves,
            email: email.to_owned(),
            asked_for: None,
            token: token.reveal(),
            expires_at,
        });
        Ok(())
    };
    if !account.shown.email_verified {
        print(Purpose::EmailVerification, Proves::Address, present)?;
    }
    if let Some(pending) = pending_email::pending(tx, account.key)? {
        if !pending.present_confirmed {
            let purpose = purpose_of(Side::Present);
            print(purpose, Proves::PresentAddress, present)?;
        }
        if !pending.new_confirmed {
            let purpose = purpose_of(Side::New);
            print(purpose, Proves::NewAddress, &pending.email)?;
        }
    }
    if links.is_empty() {
        return Err(Error::invalid("This address is confirmed already."));
    }
    Entry::of(Kind::EmailVerificationRequested, account.key)
        .detail(json!({ "by": "operator" }))
        .write(tx)?;
    Ok(links)
}

fn links_of_registrations(tx: &Tx<'_>, email_key: &str) -> Result<Vec<VerificationLink>, Error> {
    let mut links = Vec::new();
    for waiting in registration::list(tx, email_key)? {
        let token = VerificationToken::from_bytes(tx.random());
        let armed = registration::arm(tx, waiting.key, token.digest())?;
        outbox::forget_registration(tx, waiting.key)?;
        links.extend(armed.map(|expires_at| VerificationLink {
            proves: Proves::Registration,
            email: waiting.shown.email,
            asked_for: Some((waiting.shown.requested_at, waiting.shown.ip)),
            token: token.reveal(),
            expires_at,
        }));
    }
    match links.is_empty() {
        true => Err(Error::not_found("account, nor such a registration")),
        false => Ok(links),
    }
}

/// Notes that the present address of an account is proven. `false` if the account may not sign in.
fn prove(tx: &Tx<'_>, account: AccountKey) -> Result<bool, Broken> {
    let proven = tx.run(
        "UPDATE account SET email_verified_at = ?2 WHERE id = ?1 AND disabled_at IS NULL",
        params![account, tx.now],
    )?;
    Ok(proven == 1)
}

/// The account that this address belongs to, if it may sign in and has not proven it.
fn unproven(tx: &Tx<'_>, email_key: &str) -> Result<Option<AccountKey>, Broken> {
    tx.row(
        "SELECT id FROM account WHERE email_key = ?1 AND disabled_at IS NULL AND email_verified_at IS NULL",
        params![email_key],
        |row| row.get(0),
    )
}

fn spent() -> Error {
    Error::no(
        Code::InvalidVerificationToken,
        "This link was used, replaced by a newer one, or is older than 24 hours. Ask for another.",
    )
}
