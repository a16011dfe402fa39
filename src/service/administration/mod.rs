//! Administration: who changes the accounts of other people, and on which conditions.
//!
//! The operator of the server administers with the command line: a person who can open the database file can do all of
//! this, so nothing is checked. An administrator is an account with `admin`, and administers from a device: with an access
//! token of the scope `admin`, or in a browser session that was authenticated within the last ten minutes.
//!
//! The methods that change something are those of [`Administration`]. Each is one transaction, which first looks again
//! whether the administrator still is one, and whose events say who did it (`detail.by`). What only reads is a method of
//! [`Authd`], and whoever calls it has checked the reader.
//!
//! There is always an administrator, once there was one: the last one that is enabled can be neither disabled, deleted nor
//! demoted, by any way. And an administrator cannot do these three things to the own account in here, where it would be an
//! accident; another administrator or the operator can.

pub mod accounts;
mod groups;
mod keys;
pub mod outbox;
pub mod search;
mod sessions;

use crate::service::account::Loaded;
use crate::service::by::{Administrator, By};
use crate::service::context::Context;
use crate::service::error::step_up_required;
use crate::service::session::browser::{self, Browser, StepUpPurpose};
use crate::service::session::scope::Scope;
use crate::service::session::{self};
use crate::service::{Actor, Authd, Code, Device, Error};
use crate::store::{ReadTx, params};

/// What an operator or an administrator may do, from [`Authd::as_operator`], [`Authd::administration`] or
/// [`Authd::administration_in_browser`].
pub struct Administration<'a> {
    pub(in crate::service) authd: &'a Authd,
    by: By,
}

impl Authd {
    /// Administration by the operator of the server. It checks nothing: the caller can open the database file.
    pub fn as_operator(&self) -> Administration<'_> {
        Administration {
            authd: self,
            by: By::Operator,
        }
    }

    /// Administration by the account of a first-party access token of the scope `admin`.
    ///
    /// # Errors
    /// [`Code::InvalidToken`] for every kind of bad token; [`Code::InsufficientScope`] for one without the scope, and where
    /// the account is not, or no longer, an administrator; [`Error::Unavailable`].
    pub fn administration(
        &self,
        token: &str,
        device: &Device,
    ) -> Result<Administration<'_>, Error> {
        let (actor, claims) = self.authenticate_with(token, require_admin)?;
        if !Scope::from_row(claims.scope.as_deref()).lets_administer() {
            return Err(insufficient_scope());
        }
        Ok(self.administration_of(actor, device, false))
    }

    /// Administration by an administrator in a browser. A change takes an authentication within the last ten minutes.
    ///
    /// # Errors
    /// [`Code::InsufficientScope`] if the account is not an administrator.
    pub fn administration_in_browser(
        &self,
        browser: &Browser,
        device: &Device,
    ) -> Result<Administration<'_>, Error> {
        match browser.admin {
            true => Ok(self.administration_of(browser.actor.clone(), device, true)),
            false => Err(insufficient_scope()),
        }
    }

    fn administration_of(
        &self,
        actor: Actor,
        device: &Device,
        is_browser: bool,
    ) -> Administration<'_> {
        Administration {
            authd: self,
            by: By::Administrator(Box::new(Administrator {
                actor,
                device: device.clone(),
                is_browser,
            })),
        }
    }
}

impl<'a> Administration<'a> {
    /// The service, for what only reads.
    pub fn authd(&self) -> &'a Authd {
        self.authd
    }

    /// The account and the session of the administrator; `None` for an operator.
    pub fn actor(&self) -> Option<&Actor> {
        match &self.by {
            By::Operator => None,
            By::Administrator(administrator) => Some(&administrator.actor),
        }
    }

    /// Runs `f` in one transaction, if this still is an administrator.
    ///
    /// # Errors
    /// What `f` returns, and those of the store; nothing was changed then.
    pub(in crate::service) fn write<T: Send + 'static>(
        &self,
        f: impl Fn(&Context<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.authd.write_by(&self.by, move |cx| {
            if let Some(by) = cx.by() {
                require(cx, by)?;
            }
            f(cx)
        })
    }
}

/// Refuses to take an account away, or its administration, where that would leave the server without an administrator, or
/// the administrator who asks without the own account.
///
/// # Errors
/// [`Code::LastAdministrator`]; [`Code::OwnAccount`].
pub(in crate::service) fn refuse_removal(cx: &Context<'_>, account: &Loaded) -> Result<(), Error> {
    refuse_last(cx, account)?;
    cx.by().map_or(Ok(()), |by| refuse_own(by, account))
}

/// Refuses what would leave the server without an administrator that is enabled.
///
/// # Errors
/// [`Code::LastAdministrator`].
pub(in crate::service) fn refuse_last(tx: &ReadTx<'_>, account: &Loaded) -> Result<(), Error> {
    if !account.shown.admin || account.shown.disabled_at.is_some() {
        return Ok(());
    }
    let other: Option<i64> = tx.row(
        "SELECT a.id FROM account a WHERE a.admin = 1 AND a.disabled_at IS NULL AND a.id <> ?1 LIMIT 1",
        params![account.key],
        |row| row.get(0),
    )?;
    match other {
        Some(_) => Ok(()),
        None => Err(Error::no(
            Code::LastAdministrator,
            "This is the last administrator. Make another account an administrator first; `authd user promote` does it.",
        )),
    }
}

/// Refuses to do to the administrator's own account what would be an accident.
///
/// # Errors
/// [`Code::OwnAccount`].
fn refuse_own(by: &By, account: &Loaded) -> Result<(), Error> {
    match by {
        By::Administrator(administrator) if administrator.actor.account_key == account.key => {
            Err(Error::no(
                Code::OwnAccount,
                "This is your own account. Another administrator can do this, and so can the operator of this server \
                 with `authd user`.",
            ))
        }
        _ => Ok(()),
    }
}

/// Asks again, in the transaction that writes, whether this is an administrator.
///
/// # Errors
/// [`Code::InvalidToken`]; [`Code::InsufficientScope`]; [`Code::StepUpRequired`].
fn require(cx: &Context<'_>, by: &By) -> Result<(), Error> {
    let By::Administrator(administrator) = by else {
        return Ok(());
    };
    let Administrator {
        actor, is_browser, ..
    } = &**administrator;
    session::require_open(cx, actor, cx.idle())?;
    require_admin(cx, actor)?;
    if *is_browser && !browser::is_recent(cx, actor.session_key, StepUpPurpose::Administration)? {
        return Err(step_up_required());
    }
    Ok(())
}

/// Whether the account of an open session is an administrator.
fn require_admin(tx: &ReadTx<'_>, actor: &Actor) -> Result<(), Error> {
    let admin: Option<i64> = tx.row(
        "SELECT a.id FROM account a WHERE a.id = ?1 AND a.admin = 1 AND a.disabled_at IS NULL",
        params![actor.account_key],
        |row| row.get(0),
    )?;
    admin.map(drop).ok_or_else(insufficient_scope)
}

/// RFC 6750 §3.1.
fn insufficient_scope() -> Error {
    Error::no(
        Code::InsufficientScope,
        "This takes an access token of the scope `admin`, of an account that is an administrator. Sign in with \
         `\"scope\":\"admin\"`.",
    )
}
