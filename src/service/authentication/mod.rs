//! Authentication: who may begin a session.
//!
//! [`Authenticated`] is the proof that an account owner was authenticated. Only this module and its children make one, and
//! only with one can a session begin ([`session_start`]). Where something is still owed, a check ends in
//! [`Authentication::Pending`] instead, from which no session can be made.

mod hashing;
pub mod password;
pub mod proof;
pub mod session_start;

use crate::clock::Timestamp;
use crate::service::account;
use crate::store::Tx;

/// How an account owner was authenticated (RFC 8176, and names of our own where it has none).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// A password.
    Password,
    /// The token of a set-up link.
    SetUpLink,
    /// A registration, with the password that was chosen in it.
    Registration,
    /// A program that embeds authd answers for it.
    Embedder,
}

impl Method {
    /// The name that is stored, and that a verifier sees as `amr`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Password | Method::Registration => "pwd",
            Method::SetUpLink => "link",
            Method::Embedder => "ext",
        }
    }
}

/// The proof that the owner of an account was authenticated just now.
pub struct Authenticated {
    account: account::Loaded,
    amr: Method,
    at: Timestamp,
}

impl Authenticated {
    /// Made in the transaction in which `method` succeeded.
    fn by(tx: &Tx<'_>, method: Method, account: account::Loaded) -> Authenticated {
        Authenticated {
            account,
            amr: method,
            at: tx.now,
        }
    }

    /// By the token of the set-up link, which was used up in this transaction.
    pub fn by_set_up_link(tx: &Tx<'_>, account: account::Loaded) -> Authenticated {
        Authenticated::by(tx, Method::SetUpLink, account)
    }

    /// By a registration that made the account in this transaction.
    pub fn by_registration(tx: &Tx<'_>, account: account::Loaded) -> Authenticated {
        Authenticated::by(tx, Method::Registration, account)
    }

    /// By the word of a program that embeds authd.
    pub fn by_embedder(tx: &Tx<'_>, account: account::Loaded) -> Authenticated {
        Authenticated::by(tx, Method::Embedder, account)
    }
}

/// What a check of a first factor came to, when the factor was right.
pub enum Authentication {
    /// Nothing more is owed.
    Complete(Box<Authenticated>),
    /// The account owner owes a further step first.
    Pending(Owed),
}

/// What an account owner owes before a session can begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owed {
    /// A new password: an operator set the present one as a temporary one.
    NewPassword,
}
