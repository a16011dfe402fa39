//! `authd user …`: accounts, their passwords and the links that their owners get.

use std::io::{self, IsTerminal, Read};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use zeroize::Zeroizing;

use super::output::Output;
use super::{Common, Failure};
use crate::service::{AccountChange, AccountFilter, AccountQuery, Authd, NewAccount, Selector};

/// Most of standard input that is read, in bytes. The service refuses a password of this length.
const LONGEST_INPUT: u64 = 4096;

#[derive(Subcommand)]
pub(super) enum User {
    /// Create an account
    Add(Add),
    /// List accounts
    List {
        #[command(flatten)]
        which: AccountList,
        /// Only accounts that are locked after too many wrong passwords
        #[arg(long, conflicts_with_all = ["after", "group", "search", "status", "limit"])]
        locked: bool,
        /// Registrations whose e-mail address is not confirmed; they are not accounts yet
        #[arg(long, conflicts_with_all = ["after", "group", "search", "status", "limit", "locked"])]
        waiting: bool,
    },
    /// Show an account
    Show(Which),
    /// Change the username or the name of an account
    Update {
        #[command(flatten)]
        which: Which,
        /// New username; empty for none
        #[arg(long, value_name = "NAME", required_unless_present = "name")]
        username: Option<String>,
        /// New name; empty for none
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
    },
    /// Make an account an administrator
    Promote(Which),
    /// Make an administrator an ordinary account; the last administrator cannot be demoted
    Demote(Which),
    /// End the sessions of an account and refuse its sign-ins
    Disable(Which),
    /// Allow the sign-ins of a disabled account again
    Enable(Which),
    /// End the wait after too many wrong passwords
    Unlock(Which),
    /// Delete an account and everything that belongs to it
    Delete(Which),
    /// Set a password and end all sessions of the account
    SetPassword {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        password: PasswordInput,
        /// The owner must change the password at the next sign-in
        #[arg(long)]
        temporary: bool,
    },
    /// Print a link to choose a new password
    ///
    /// It works once, for 15 minutes, and replaces an earlier link.
    ResetLink {
        #[command(flatten)]
        which: Which,
        /// List the requests for such links in the last week, and create no link
        #[arg(long)]
        list: bool,
        /// Let the running server mail the link to the account's address instead of printing it
        #[arg(long, conflicts_with = "list")]
        send: bool,
    },
    /// Print the links that confirm an e-mail address
    ///
    /// They work once, for 24 hours, and replace earlier links.
    VerifyLink {
        /// E-mail address, username or id of an account, or the e-mail address of a waiting registration
        user: String,
    },
    /// Print a link to create the first administrator
    ///
    /// It works once, and replaces an earlier link.
    SetupLink,
}

#[derive(Args)]
pub(super) struct Add {
    /// E-mail address to sign in with
    email: String,
    /// Username, as a second name to sign in with
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Display name of the account's owner
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Mark the account as administrator, and make the set-up link invalid
    #[arg(long)]
    admin: bool,
    #[command(flatten)]
    password: PasswordInput,
    /// The owner must change the password at the first sign-in
    #[arg(long)]
    temporary: bool,
}

#[derive(Args)]
pub(super) struct AccountList {
    /// Only accounts whose e-mail address, username or name contains this text
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only accounts of this state
    #[arg(long, value_enum)]
    status: Option<Status>,
    /// Only accounts in this group
    #[arg(long, value_name = "GROUP", conflicts_with = "status")]
    group: Option<String>,
    /// At most this many accounts
    #[arg(long, default_value_t = AccountQuery::MOST, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Go on after this account, or after the place that the last page ended with
    #[arg(long, value_name = "USER")]
    after: Option<String>,
}

/// A state of accounts.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Status {
    /// Administrators
    Administrator,
    /// Disabled accounts
    Disabled,
    /// Accounts whose e-mail address is not proven
    Unverified,
}

impl AccountList {
    fn query(self) -> AccountQuery {
        let filter = match (self.group, self.status) {
            (Some(group), _) => AccountFilter::Group(group),
            (None, Some(Status::Administrator)) => AccountFilter::Administrators,
            (None, Some(Status::Disabled)) => AccountFilter::Disabled,
            (None, Some(Status::Unverified)) => AccountFilter::Unverified,
            (None, None) => AccountFilter::All,
        };
        AccountQuery {
            filter,
            search: self.search,
            after: self.after,
            newest_first: false,
            limit: self.limit,
        }
    }
}

#[derive(Args)]
pub(super) struct Which {
    /// E-mail address, username or id
    user: String,
}

#[derive(Args)]
pub(super) struct PasswordInput {
    /// Read the password from standard input: one line, without its line end
    #[arg(long)]
    password_stdin: bool,
}

impl User {
    pub fn run(self, common: &Common, out: &Output) -> Result<(), Failure> {
        let authd = common.open()?;
        match self {
            User::Add(add) => add.run(&authd, out),
            User::List { locked: true, .. } => out.failures(&authd.locked_accounts()?),
            User::List { waiting: true, .. } => {
                out.waiting_registrations(&authd.waiting_registrations()?)
            }
            User::List { which, .. } => out.accounts(&authd.accounts(&which.query())?),
            User::Show(which) => show(&authd, &which.selector(), out),
            User::Update {
                which,
                username,
                name,
            } => {
                let change = AccountChange {
                    username,
                    name,
                    admin: None,
                };
                update(&authd, &which, &change, out)
            }
            User::Promote(which) => set_administrator(&authd, &which, true, out),
            User::Demote(which) => set_administrator(&authd, &which, false, out),
            User::Disable(which) => {
                let (account, ended) = authd.as_operator().disable_account(&which.selector())?;
                out.record(&json!({ "disabled": account.email, "sessions_ended": ended }))
            }
            User::Unlock(which) => {
                let (account, locked) = authd.as_operator().unlock_account(&which.selector())?;
                out.record(&json!({ "unlocked": account.email, "was_locked_until": locked }))
            }
            User::Enable(which) => {
                let account = authd.as_operator().enable_account(&which.selector())?;
                out.record(&json!({ "enabled": account.email }))
            }
            User::Delete(which) => {
                let account = authd.as_operator().delete_account(&which.selector())?;
                out.record(&json!({ "deleted": account.email }))
            }
            User::SetPassword {
                which,
                password,
                temporary,
            } => {
                let selector = which.selector();
                let account = authd.find_account(&selector)?.account;
                let text = password.read(false)?.unwrap_or_default();
                let ended = authd
                    .as_operator()
                    .set_password(&selector, &text, temporary)?;
                out.record(&json!({ "password_set": account.email, "sessions_ended": ended }))
            }
            User::ResetLink {
                which, list: true, ..
            } => out.link_requests(&authd.reset_requests(&which.selector())?),
            User::ResetLink {
                which, send: true, ..
            } => {
                let account = authd.as_operator().mail_reset_link(&which.selector())?;
                out.record(&json!({
                    "account": account.email,
                    "letter": "is sent by the server, as soon as it runs",
                }))
            }
            User::ResetLink { which, .. } => print_reset_link(&authd, &which.selector(), out),
            User::VerifyLink { user } => {
                let links = authd.as_operator().verification_links(&user)?;
                out.verification_links(&links, &authd.policy().issuer)
            }
            User::SetupLink => print_setup_link(&authd, out),
        }
    }
}

impl Add {
    fn run(self, authd: &Authd, out: &Output) -> Result<(), Failure> {
        let password = self.password.read(true)?;
        let account = NewAccount {
            email: self.email,
            username: self.username,
            name: self.name,
            admin: self.admin,
            temporary: self.temporary,
        };
        let made = authd
            .as_operator()
            .add_account(account, password.as_ref().map(|text| text.as_str()))?;
        let mut shown = json!(made);
        if password.is_none() {
            shown["password"] =
                json!("none yet: `authd user reset-link` prints a link to choose one");
        }
        out.record(&shown)
    }
}

/// Prints an account, and its failed sign-ins if there are any.
fn show(authd: &Authd, selector: &Selector, out: &Output) -> Result<(), Failure> {
    let mut shown = json!(authd.find_account(selector)?);
    if let Some(failures) = authd.failures(selector)? {
        shown["failed_sign_ins"] = json!(failures.failures);
        shown["failed_last_at"] = json!(failures.last_at);
        shown["failed_from"] = json!(failures.addresses);
        shown["locked_until"] = json!(failures.locked_until);
    }
    out.record(&shown)
}

fn update(
    authd: &Authd,
    which: &Which,
    change: &AccountChange,
    out: &Output,
) -> Result<(), Failure> {
    let account = authd
        .as_operator()
        .update_account(&which.selector(), change)?;
    out.record(&json!(account))
}

fn set_administrator(
    authd: &Authd,
    which: &Which,
    admin: bool,
    out: &Output,
) -> Result<(), Failure> {
    let change = AccountChange {
        admin: Some(admin),
        ..AccountChange::default()
    };
    update(authd, which, &change, out)
}

fn print_reset_link(authd: &Authd, selector: &Selector, out: &Output) -> Result<(), Failure> {
    let link = authd.as_operator().reset_link(selector)?;
    let url = format!("{}/reset?token={}", authd.policy().issuer, link.token);
    out.record(&json!({
        "reset_link": url,
        "account": link.email,
        "expires_at": link.expires_at,
    }))
}

fn print_setup_link(authd: &Authd, out: &Output) -> Result<(), Failure> {
    match authd.open_setup()? {
        Some(link) => {
            let link = format!("{}/setup?token={}", authd.policy().issuer, link.token);
            out.record(&json!({ "setup_link": link }))
        }
        None => Err(Failure::Refused(
            "there is an administrator already. `authd user list` shows which account it is."
                .into(),
        )),
    }
}

impl Which {
    fn selector(&self) -> Selector {
        Selector::read(&self.user)
    }
}

impl PasswordInput {
    /// Reads a password from standard input or, at a terminal, asks the operator for it twice. `None` if the password is
    /// `optional` and none is given.
    fn read(&self, optional: bool) -> Result<Option<Zeroizing<String>>, Failure> {
        if self.password_stdin {
            let mut text = Zeroizing::new(String::new());
            io::stdin()
                .lock()
                .take(LONGEST_INPUT)
                .read_to_string(&mut text)?;
            return Ok(Some(only_line(&text)?));
        }
        if !io::stdin().is_terminal() {
            return match optional {
                true => Ok(None),
                false => Err(Failure::Refused(
                    "there is no terminal to ask for the password. Pass it with --password-stdin."
                        .into(),
                )),
            };
        }
        let hint = if optional {
            " (empty for none yet)"
        } else {
            ""
        };
        let first = Zeroizing::new(rpassword::prompt_password(format!("Password{hint}: "))?);
        if optional && first.is_empty() {
            return Ok(None);
        }
        let second = Zeroizing::new(rpassword::prompt_password("Repeat the password: ")?);
        if first != second {
            return Err(Failure::Refused(
                "the two passwords differ. Nothing was changed. Run the command again.".into(),
            ));
        }
        Ok(Some(first))
    }
}

/// The one line of `text`, without its line end.
///
/// # Errors
/// There is a second line. Two lines are more often a mistake of a script than a password with a line end in it, which
/// no form of an app could take.
fn only_line(text: &str) -> Result<Zeroizing<String>, Failure> {
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    if !rest.is_empty() {
        return Err(Failure::Refused(
            "standard input has more than one line. Pass the password as a single line. Nothing was changed."
                .into(),
        ));
    }
    let line = line.strip_suffix('\r').unwrap_or(line);
    Ok(Zeroizing::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // a second line is not part of the password
    fn a_password_is_a_single_line() {
        for text in ["a b", "a b\n", "a b\r\n"] {
            let read = only_line(text).ok().expect("a line");
            assert_eq!(*read, "a b", "{text:?}");
        }
        assert_eq!(*only_line("").ok().expect("a line"), "");
        for text in ["a\nb", "a\nb\n", "a\n\n", "\na", "a\r\n\r\n"] {
            let refused = only_line(text).err();
            assert!(matches!(refused, Some(Failure::Refused(_))), "{text:?}");
        }
    }
}
