//! Changes of address: confirmed at the present one and at the new one.
//!
//! At the new one, since an address that is typed may be a stranger's. At the present one, since an attacker who has the
//! password must not take the account along, and with it the way back in. The second confirmation, whichever it is, applies
//! the change in its transaction.
//!
//! A taken address is told only where registering would tell it too.

use serde_json::json;

use crate::ids::AccountKey;
use crate::service::account::pending_email::{self, Side};
use crate::service::context::Context;
use crate::service::delivery::link_request::{MOST_REQUESTS, PERIOD};
use crate::service::delivery::message::Topic;
use crate::service::delivery::one_time_token::{self, Found, Purpose, Subject};
use crate::service::delivery::outbox::{self, Outgoing};
use crate::service::event::Kind;
use crate::service::sign_up::registration;
use crate::service::{Code, Error, Verification, account, throttle};
use crate::store::params;

/// Gives an account another address, or has that wait for confirmation. Returns whether the account is changed now.
///
/// # Errors
/// [`Code::EmailTaken`], where no proof is required; [`Code::TooManyRequests`] for the fourth within an hour, and for a
/// network that asks for addresses or has messages sent again and again.
pub fn request(
    cx: &Context<'_>,
    account: AccountKey,
    email: &str,
    email_key: &str,
) -> Result<bool, Error> {
    let present = account::load(cx, account)?.shown.email;
    if present.eq_ignore_ascii_case(email) {
        // The same address, perhaps written in another way: it is as proven as it was, and no change waits any more.
        pending_email::withdraw(cx, account)?;
        for side in [Side::Present, Side::New] {
            one_time_token::void(cx, account, purpose_of(side), "withdrawn")?;
        }
        cx.run(
            "UPDATE account SET email = ?2 WHERE id = ?1",
            params![account, email],
        )?;
        return Ok(present != email);
    }
    let is_required = cx.policy().verification == Verification::Required;
    if let Some(device) = cx.device() {
        // The answer tells which addresses have an account, as a registration's does, and takes from the same allowance.
        let network = throttle::Subject::Registration(device.ip);
        throttle::take(cx, cx.tag_key(), &network)?;
    }
    if !is_required {
        account::refuse_taken_email(cx, email_key, account)?;
    }
    if !cx.policy().sends_mail && !is_required {
        cx.run(
            "UPDATE account SET email = ?2, email_key = ?3, email_verified_at = NULL WHERE id = ?1",
            params![account, email, email_key],
        )?;
        one_time_token::void_all(cx, account, "email_changed")?;
        return Ok(true);
    }
    let since = cx.now.minus(PERIOD);
    let earlier = one_time_token::count_recent(cx, account, Purpose::EmailChangeNew, since)?;
    if earlier >= MOST_REQUESTS {
        return Err(Error::Later(Code::TooManyRequests, PERIOD.as_secs()));
    }
    if let Some(device) = cx.device().filter(|_| cx.policy().sends_mail) {
        throttle::take(cx, cx.tag_key(), &throttle::Subject::Mail(device.ip))?;
    }
    pending_email::request(cx, account, email, email_key)?;
    send_links(cx, account, email, email_key)?;
    cx.record(Kind::EmailChangeRequested, account, json!({ "to": email }))?;
    Ok(false)
}

/// Enqueues both messages, and ends the links of an earlier change: they were for another address.
fn send_links(
    cx: &Context<'_>,
    account: AccountKey,
    email: &str,
    email_key: &str,
) -> Result<(), Error> {
    for side in [Side::Present, Side::New] {
        let purpose = purpose_of(side);
        one_time_token::void(cx, account, purpose, "replaced")?;
        let subject = Subject::Account(account);
        let token = one_time_token::request(cx, purpose, subject, cx.device(), None)?;
        match side {
            Side::Present => {
                let message = Outgoing::to(account, Topic::EmailChangePresent).with(token);
                outbox::enqueue(cx, message)?;
            }
            Side::New => match account::owner_of(cx, email_key)? {
                None => {
                    let message = Outgoing::to(account, Topic::EmailChangeNew).at(email);
                    outbox::enqueue(cx, message.with(token))?;
                }
                // The answer is that of a free address; without a message there is nothing to confirm with.
                Some(owner) => registration::remind(cx, &owner)?,
            },
        }
    }
    Ok(())
}

/// Confirms one side of a change, and applies the change if that was the second. Returns whether the link still worked.
///
/// # Errors
/// [`Code::EmailTaken`] if another account has the address by now.
pub fn confirm(
    cx: &Context<'_>,
    token: &Found,
    account: AccountKey,
    side: Side,
) -> Result<bool, Error> {
    if !one_time_token::claim(cx, token.key)? {
        return Ok(false);
    }
    let Some(pending) = pending_email::confirm(cx, account, side)? else {
        return Ok(false);
    };
    if !pending.is_complete() {
        return Ok(true);
    }
    account::refuse_taken_email(cx, &pending.email_key, account)?;
    let old = account::load(cx, account)?.shown.email;
    let applied = cx.run(
        "UPDATE account SET email = ?2, email_key = ?3, email_verified_at = ?4 \
         WHERE id = ?1 AND disabled_at IS NULL",
        params![account, pending.email, pending.email_key, cx.now],
    )?;
    if applied == 0 {
        return Ok(false);
    }
    // A link that is on its way to the old address must not open the account any more.
    one_time_token::void_all(cx, account, "email_changed")?;
    registration::delete_all(cx, &pending.email_key)?;
    outbox::enqueue(cx, Outgoing::to(account, Topic::EmailChanged).at(&old))?;
    cx.record(
        Kind::EmailChanged,
        account,
        json!({ "from": old, "to": pending.email }),
    )?;
    Ok(true)
}

/// The purpose of the link for one side of a change.
pub const fn purpose_of(side: Side) -> Purpose {
    match side {
        Side::Present => Purpose::EmailChangePresent,
        Side::New => Purpose::EmailChangeNew,
    }
}
