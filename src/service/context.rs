//! What an operation works with: its transaction, the settings in force, and the device that asks.
//!
//! A public method of [`Authd`] opens one [`Context`] with [`Authd::write`], and the private functions that it calls take
//! the context and compose. So a function says with its other parameters what it is about, and nothing else.
//!
//! The closure may be run again by the store: it has no effect outside its transaction.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::by::By;
use super::event::{Entry, Kind};
use super::{Authd, Device, Error};
use crate::ids::AccountKey;
use crate::policy::Policy;
use crate::secret::TagKey;
use crate::store::{Broken, Tx};

/// What does not change while the server runs.
pub(super) struct Settings {
    /// What an operator set.
    pub policy: Policy,
    /// The key of the database's tags and digests.
    pub tag_key: TagKey,
}

/// One transaction that may write, with what its operation needs beside it.
pub(super) struct Context<'a> {
    tx: &'a Tx<'a>,
    settings: &'a Settings,
    device: Option<&'a Device>,
    by: Option<&'a By>,
}

impl<'a> Context<'a> {
    /// What an operator set.
    pub fn policy(&self) -> &'a Policy {
        &self.settings.policy
    }

    /// The key of the database's tags and digests.
    pub fn tag_key(&self) -> &'a TagKey {
        &self.settings.tag_key
    }

    /// How long a session lives without being used.
    pub fn idle(&self) -> Duration {
        self.settings.policy.session_idle_lifetime
    }

    /// The device of the client that asks; `None` for an operator and an administrator.
    pub fn device(&self) -> Option<&'a Device> {
        self.device
    }

    /// Whether storage is short: then nothing is stored on behalf of strangers.
    pub fn is_short_of_storage(&self) -> Result<bool, Broken> {
        Ok(self.shortage()?.is_some())
    }

    /// Refuses what would be stored on behalf of a stranger while storage is short.
    ///
    /// # Errors
    /// [`Code::StorageLow`](super::Code::StorageLow).
    pub fn require_storage(&self) -> Result<(), Error> {
        match self.is_short_of_storage()? {
            true => Err(Error::storage_low()),
            false => Ok(()),
        }
    }

    /// Who administers; `None` where this is no administration.
    pub fn by(&self) -> Option<&'a By> {
        self.by
    }

    /// Begins an event about an account, with the device that asks, or with who administers.
    pub fn event(&self, kind: Kind, account: AccountKey) -> Entry<'a> {
        let entry = Entry {
            device: self.device,
            ..Entry::of(kind, account)
        };
        entry.by(self.by)
    }

    /// Begins an event about no account, with who administers.
    pub fn event_of_nobody(&self, kind: Kind) -> Entry<'a> {
        Entry::of_nobody(kind).by(self.by)
    }

    /// Writes an event about an account, with the device that asks.
    pub fn record(&self, kind: Kind, account: AccountKey, detail: Value) -> Result<(), Broken> {
        self.event(kind, account).detail(detail).write(self)
    }
}

impl<'a> Deref for Context<'a> {
    type Target = Tx<'a>;

    fn deref(&self) -> &Tx<'a> {
        self.tx
    }
}

impl Authd {
    /// Runs `f` in one transaction, for a device or, without one, for the server itself. Returns when what it wrote is safe on
    /// the disk.
    ///
    /// # Errors
    /// What `f` returns, and those of the store; nothing was changed then.
    pub(super) fn write<T, E>(
        &self,
        device: Option<&Device>,
        f: impl Fn(&Context<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Broken> + Send + 'static,
    {
        self.write_in_context(device.cloned(), None, f)
    }

    /// The same for an operator or an administrator.
    ///
    /// # Errors
    /// Those of [`Authd::write`].
    pub(super) fn write_by<T, E>(
        &self,
        by: &By,
        f: impl Fn(&Context<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Broken> + Send + 'static,
    {
        self.write_in_context(None, Some(by.clone()), f)
    }

    fn write_in_context<T, E>(
        &self,
        device: Option<Device>,
        by: Option<By>,
        f: impl Fn(&Context<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Broken> + Send + 'static,
    {
        let settings = Arc::clone(&self.settings);
        self.store.write(move |tx| {
            f(&Context {
                tx,
                settings: &settings,
                device: device.as_ref(),
                by: by.as_ref(),
            })
        })
    }
}
