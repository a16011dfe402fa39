//! Lists of accounts: all of them, those of one state or of one group, and those that a text finds.
//!
//! A list is read page by page, each page from where the last one ended: by an index, so that the ten-thousandth page costs
//! what the first one does. There are no totals and no page numbers, which would read everything. Accounts that are added
//! while a client reads its pages put none out of place: each account that was there from the beginning is shown once.
//!
//! A text is first looked for at the beginning of e-mail addresses, of usernames and of names, each by its index and in its
//! order. Only when these are exhausted is it looked for inside of them: that reads the accounts one by one, in the order
//! in which they were made. It reads [`FEW_READ`] to complete a page that has hits already, so that a search by the
//! beginning is fast however many accounts there are, and [`MOST_READ`] for a page that has none. An account is shown where
//! it is found first.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::ids::{AccountId, AccountKey};
use crate::service::account::{self, account_columns, groups, identifiers};
use crate::service::{Account, Authd, Error, Selector};
use crate::store::{Broken, ReadTx, Row, params};

/// Accounts that one page reads to find a text inside of addresses and names. A million take about a fifth of a second.
const MOST_READ: i64 = 1_500_000;

/// Accounts that it reads where the page has hits already.
const FEW_READ: i64 = 50_000;

/// Longest text that is searched, in characters: the longest e-mail address.
const LONGEST_SEARCH: usize = 254;

/// Which accounts to list.
#[derive(Clone, Debug)]
pub struct AccountQuery {
    /// Of these.
    pub filter: AccountFilter,
    /// Only those whose e-mail address, username or name contains this text, or whose id it is; at most 254 characters.
    pub search: Option<String>,
    /// Go on after this: [`AccountPage::next`] of the last page or, where nothing is searched, an account (its id, e-mail
    /// address or username).
    pub after: Option<String>,
    /// Whether the account that was made last comes first. A search has an order of its own.
    pub newest_first: bool,
    /// At most this many: 1 to [`AccountQuery::MOST`].
    pub limit: u32,
}

impl AccountQuery {
    /// The most accounts on one page.
    pub const MOST: u32 = 1000;
}

impl Default for AccountQuery {
    /// The accounts in the order of their making.
    fn default() -> AccountQuery {
        AccountQuery {
            filter: AccountFilter::All,
            search: None,
            after: None,
            newest_first: false,
            limit: AccountQuery::MOST,
        }
    }
}

/// A set of accounts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AccountFilter {
    /// All.
    All,
    /// Those that administer.
    Administrators,
    /// Those that may not sign in.
    Disabled,
    /// Those whose address was not proven.
    Unverified,
    /// The members of the group of this name.
    Group(String),
}

/// One page of a list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AccountPage {
    /// The accounts.
    pub accounts: Vec<ListedAccount>,
    /// What to ask with as `after` for the next page; absent on the last one. A search of very many accounts can have a
    /// next page although this one is not full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Whether a search read as many accounts as it reads for one page, before the page was full.
    #[serde(skip)]
    pub is_cut: bool,
}

/// An account in a list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ListedAccount {
    /// The account.
    #[serde(flatten)]
    pub account: Account,
    /// Until when clients at unknown places are refused after too many wrong passwords; absent if they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked_until: Option<Timestamp>,
}

impl Authd {
    /// A page of a list of accounts.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) if there is no such account to go on after, or no such group;
    /// [`Code::InvalidRequest`](crate::service::Code::InvalidRequest) for a text that is too long, and for an `after` of
    /// another list.
    pub fn accounts(&self, query: &AccountQuery) -> Result<AccountPage, Error> {
        let limit = query.limit.clamp(1, AccountQuery::MOST);
        let text = query.search.as_deref().map(str::trim).unwrap_or_default();
        if text.chars().count() > LONGEST_SEARCH {
            return Err(Error::invalid(
                "The text to search for has more than 254 characters, and no address is longer.",
            ));
        }
        self.store.read(|tx| match text {
            "" => browse(tx, query, limit),
            // No address and no name has one.
            text if text.contains(char::is_control) => Ok(AccountPage::default()),
            text => match (text.parse(), &query.filter) {
                (Ok(id), AccountFilter::All) => find_one(tx, id),
                _ => search(tx, query, text, limit),
            },
        })
    }
}

/// The place of an account in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Cursor {
    /// Among the hits at the beginning of an address.
    Email(String),
    /// Among the hits at the beginning of a username.
    Username(String),
    /// Among the hits at the beginning of a name. Several accounts can have one name.
    Name(String, AccountKey),
    /// In the order in which accounts were made.
    Made(AccountKey),
}

impl Cursor {
    /// Reads the text that it is displayed as.
    fn read(text: &str) -> Option<Cursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix('~')?).ok()?;
        let (kind, rest) = bytes.split_first()?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let key = |bytes: &[u8]| {
            Some(AccountKey::from_row(i64::from_be_bytes(
                bytes.try_into().ok()?,
            )))
        };
        Some(match kind {
            b'e' => Cursor::Email(text(rest)?),
            b'u' => Cursor::Username(text(rest)?),
            b'n' => {
                let (made, name) = rest.split_at_checked(8)?;
                Cursor::Name(text(name)?, key(made)?)
            }
            b'i' => Cursor::Made(key(rest)?),
            _ => return None,
        })
    }
}

impl fmt::Display for Cursor {
    /// A text that clients pass on as it is. No login begins with its first character and lacks an `@`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = match self {
            Cursor::Email(key) => [b"e", key.as_bytes()].concat(),
            Cursor::Username(key) => [b"u", key.as_bytes()].concat(),
            Cursor::Name(key, made) => {
                [b"n", made.as_row().to_be_bytes().as_slice(), key.as_bytes()].concat()
            }
            Cursor::Made(made) => [b"i", made.as_row().to_be_bytes().as_slice()].concat(),
        };
        write!(f, "~{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// A hit, with its place.
type Hit = (ListedAccount, Cursor);

impl AccountPage {
    fn default() -> AccountPage {
        AccountPage {
            accounts: Vec::new(),
            next: None,
            is_cut: false,
        }
    }

    /// A page of the first `limit` of these hits. If there is one more, a page follows.
    fn of(mut hits: Vec<Hit>, limit: u32) -> AccountPage {
        let limit = limit as usize;
        let has_more = hits.len() > limit;
        hits.truncate(limit);
        let next = hits
            .last()
            .filter(|_| has_more)
            .map(|(_, at)| at.to_string());
        AccountPage {
            accounts: hits.into_iter().map(|(account, _)| account).collect(),
            next,
            is_cut: false,
        }
    }
}

/// The columns of [`ListedAccount`]; `?1` is the time.
macro_rules! listed_columns {
    () => {
        concat!(
            account_columns!(),
            ", (SELECT max(c.locked_until) FROM sign_in_counter c WHERE c.account_id = a.id AND c.locked_until > ?1)"
        )
    };
}

/// The column after those.
const AFTER_LISTED: usize = 10;

fn from_row(row: &Row<'_>) -> Result<(ListedAccount, AccountKey), Broken> {
    let loaded = account::from_row(row)?;
    let listed = ListedAccount {
        account: loaded.shown,
        locked_until: row.get(AFTER_LISTED - 1)?,
    };
    Ok((listed, loaded.key))
}

fn made_from_row(row: &Row<'_>) -> Result<Hit, Broken> {
    let (listed, key) = from_row(row)?;
    Ok((listed, Cursor::Made(key)))
}

fn find_one(tx: &ReadTx<'_>, id: AccountId) -> Result<AccountPage, Error> {
    let found = tx.rows(
        concat!(
            "SELECT ",
            listed_columns!(),
            " FROM account a WHERE a.public_id = ?2"
        ),
        params![tx.now, id],
        made_from_row,
    )?;
    Ok(AccountPage::of(found, 1))
}

macro_rules! browsing {
    ($from:literal, $key:literal, $side:literal, $order:literal) => {
        concat!(
            "SELECT ",
            listed_columns!(),
            " FROM ",
            $from,
            " AND ",
            $key,
            $side,
            "?2 ORDER BY ",
            $key,
            $order,
            " LIMIT ?3"
        )
    };
}

/// A page of a list in which nothing is searched.
fn browse(tx: &ReadTx<'_>, query: &AccountQuery, limit: u32) -> Result<AccountPage, Error> {
    let start = match query.newest_first {
        true => AccountKey::from_row(i64::MAX),
        false => AccountKey::from_row(0),
    };
    let from = match query.after.as_deref() {
        None => start,
        Some(text) => match (Cursor::read(text), text.starts_with('~')) {
            (Some(Cursor::Made(key)), _) => key,
            (_, true) if !text.contains('@') => return Err(another_list()),
            _ => account::select(tx, &Selector::read(text))?.key,
        },
    };
    let sql = match (&query.filter, query.newest_first) {
        (AccountFilter::All, false) => browsing!("account a WHERE a.id > 0", "a.id", " > ", ""),
        (AccountFilter::All, true) => browsing!("account a WHERE a.id > 0", "a.id", " < ", " DESC"),
        (AccountFilter::Administrators, false) => {
            browsing!("account a WHERE a.admin = 1", "a.id", " > ", "")
        }
        (AccountFilter::Administrators, true) => {
            browsing!("account a WHERE a.admin = 1", "a.id", " < ", " DESC")
        }
        (AccountFilter::Disabled, false) => {
            browsing!(
                "account a WHERE a.disabled_at IS NOT NULL",
                "a.id",
                " > ",
                ""
            )
        }
        (AccountFilter::Disabled, true) => {
            browsing!(
                "account a WHERE a.disabled_at IS NOT NULL",
                "a.id",
                " < ",
                " DESC"
            )
        }
        (AccountFilter::Unverified, false) => {
            browsing!(
                "account a WHERE a.email_verified_at IS NULL",
                "a.id",
                " > ",
                ""
            )
        }
        (AccountFilter::Unverified, true) => {
            browsing!(
                "account a WHERE a.email_verified_at IS NULL",
                "a.id",
                " < ",
                " DESC"
            )
        }
        (AccountFilter::Group(_), false) => browsing!(
            "membership m JOIN account a ON a.id = m.account_id WHERE m.group_id = ?4",
            "m.account_id",
            " > ",
            ""
        ),
        (AccountFilter::Group(_), true) => browsing!(
            "membership m JOIN account a ON a.id = m.account_id WHERE m.group_id = ?4",
            "m.account_id",
            " < ",
            " DESC"
        ),
    };
    let hits = match &query.filter {
        AccountFilter::Group(name) => {
            let group = groups::select(tx, name)?;
            tx.rows(sql, params![tx.now, from, limit + 1, group], made_from_row)?
        }
        _ => tx.rows(sql, params![tx.now, from, limit + 1], made_from_row)?,
    };
    Ok(AccountPage::of(hits, limit))
}

/// A text that is searched, in its folded form.
struct Needle {
    /// It, and the first text after all those that begin with it.
    first: String,
    end: String,
    /// A pattern for LIKE that fits what contains it.
    pattern: String,
}

impl Needle {
    fn new(text: &str) -> Needle {
        let first = identifiers::fold_login(text);
        // No character that is stored comes after this one.
        let end = format!("{first}\u{10ffff}");
        let mut pattern = String::from("%");
        for c in first.chars() {
            if matches!(c, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push('%');
        Needle {
            first,
            end,
            pattern,
        }
    }

    /// The first key that a page looks at which follows the one with `last`.
    fn from(&self, last: &str) -> String {
        match last {
            "" => self.first.clone(),
            // No key has a control character, so nothing is between the two.
            last => format!("{last}\u{1}"),
        }
    }
}

/// A page of the accounts that a text finds.
fn search(
    tx: &ReadTx<'_>,
    query: &AccountQuery,
    text: &str,
    limit: u32,
) -> Result<AccountPage, Error> {
    let needle = Needle::new(text);
    let is_everywhere = query.filter == AccountFilter::All;
    let mut at = match query.after.as_deref() {
        Some(text) => Cursor::read(text).ok_or_else(another_list)?,
        // The members of a set are few: they are read one by one.
        None if !is_everywhere => Cursor::Made(AccountKey::from_row(0)),
        None => Cursor::Email(String::new()),
    };
    if !is_everywhere && !matches!(at, Cursor::Made(_)) {
        return Err(another_list());
    }
    let mut hits: Vec<Hit> = Vec::new();
    loop {
        let wanted = limit + 1 - u32::try_from(hits.len()).unwrap_or(limit);
        let (found, following) = match &at {
            Cursor::Email(last) => (
                by_email(tx, &needle, last, wanted)?,
                Cursor::Username(String::new()),
            ),
            Cursor::Username(last) => (
                by_username(tx, &needle, last, wanted)?,
                Cursor::Name(String::new(), AccountKey::from_row(0)),
            ),
            Cursor::Name(last, made) => (
                by_name(tx, &needle, last, *made, wanted)?,
                Cursor::Made(AccountKey::from_row(0)),
            ),
            Cursor::Made(last) => {
                return inside(tx, &query.filter, &needle, *last, hits, limit);
            }
        };
        hits.extend(found);
        if hits.len() > limit as usize {
            return Ok(AccountPage::of(hits, limit));
        }
        at = following;
    }
}

fn by_email(tx: &ReadTx<'_>, needle: &Needle, last: &str, limit: u32) -> Result<Vec<Hit>, Broken> {
    tx.rows(
        concat!(
            "SELECT ",
            listed_columns!(),
            ", a.email_key FROM account a WHERE a.email_key >= ?2 AND a.email_key < ?3 ORDER BY a.email_key LIMIT ?4"
        ),
        params![tx.now, needle.from(last), needle.end, limit],
        |row| Ok((from_row(row)?.0, Cursor::Email(row.get(AFTER_LISTED)?))),
    )
}

fn by_username(
    tx: &ReadTx<'_>,
    needle: &Needle,
    last: &str,
    limit: u32,
) -> Result<Vec<Hit>, Broken> {
    tx.rows(
        concat!(
            "SELECT ",
            listed_columns!(),
            ", a.username_key FROM account a WHERE a.username_key >= ?2 AND a.username_key < ?3 \
                 AND NOT (a.email_key >= ?5 AND a.email_key < ?3) ORDER BY a.username_key LIMIT ?4"
        ),
        params![tx.now, needle.from(last), needle.end, limit, needle.first],
        |row| Ok((from_row(row)?.0, Cursor::Username(row.get(AFTER_LISTED)?))),
    )
}

macro_rules! named {
    ($range:literal, $order:literal) => {
        concat!(
            "SELECT ",
            listed_columns!(),
            ", a.name_key FROM account a WHERE ",
            $range,
            " AND NOT (a.email_key >= ?3 AND a.email_key < ?4) \
             AND NOT (coalesce(a.username_key, '') >= ?3 AND coalesce(a.username_key, '') < ?4) ORDER BY ",
            $order,
            " LIMIT ?5"
        )
    };
}

fn by_name(
    tx: &ReadTx<'_>,
    needle: &Needle,
    last: &str,
    made: AccountKey,
    limit: u32,
) -> Result<Vec<Hit>, Broken> {
    let (now, first, end) = (tx.now, &needle.first, &needle.end);
    let hit = |row: &Row<'_>| {
        let (listed, key) = from_row(row)?;
        Ok((listed, Cursor::Name(row.get(AFTER_LISTED)?, key)))
    };
    // Two ranges, since SQLite does not look for a pair of columns in an index.
    let mut hits = match last {
        "" => Vec::new(),
        last => tx.rows(
            named!("a.name_key = ?2 AND a.id > ?6", "a.id"),
            params![now, last, first, end, limit, made],
            hit,
        )?,
    };
    let wanted = limit.saturating_sub(u32::try_from(hits.len()).unwrap_or(limit));
    if wanted > 0 {
        hits.extend(tx.rows(
            named!("a.name_key >= ?2 AND a.name_key < ?4", "a.name_key, a.id"),
            params![now, needle.from(last), first, end, wanted],
            hit,
        )?);
    }
    Ok(hits)
}

macro_rules! containing {
    ($from:literal, $key:literal) => {
        concat!(
            "SELECT ",
            listed_columns!(),
            " FROM ",
            $from,
            " AND ",
            $key,
            " > ?2 AND ",
            $key,
            " <= ?3 AND (a.email_key LIKE ?5 ESCAPE '\\' OR a.username_key LIKE ?5 ESCAPE '\\' \
                 OR a.name_key LIKE ?5 ESCAPE '\\') \
             AND NOT (a.email_key >= ?6 AND a.email_key < ?7) \
             AND NOT (coalesce(a.username_key, '') >= ?6 AND coalesce(a.username_key, '') < ?7) \
             AND NOT (coalesce(a.name_key, '') >= ?6 AND coalesce(a.name_key, '') < ?7) \
             ORDER BY ",
            $key,
            " LIMIT ?4"
        )
    };
}

/// Completes a page with the accounts made after `last` that contain the text. Of all accounts, without those that begin
/// with it, which were shown before.
fn inside(
    tx: &ReadTx<'_>,
    filter: &AccountFilter,
    needle: &Needle,
    last: AccountKey,
    mut hits: Vec<Hit>,
    limit: u32,
) -> Result<AccountPage, Error> {
    let sql = match filter {
        AccountFilter::All => containing!("account a WHERE a.id > 0", "a.id"),
        AccountFilter::Administrators => containing!("account a WHERE a.admin = 1", "a.id"),
        AccountFilter::Disabled => {
            containing!("account a WHERE a.disabled_at IS NOT NULL", "a.id")
        }
        AccountFilter::Unverified => {
            containing!("account a WHERE a.email_verified_at IS NULL", "a.id")
        }
        AccountFilter::Group(_) => containing!(
            "membership m JOIN account a ON a.id = m.account_id WHERE m.group_id = ?8",
            "m.account_id"
        ),
    };
    let newest: Option<AccountKey> = tx
        .row("SELECT max(id) FROM account", params![], |row| row.get(0))?
        .flatten();
    let newest = newest.unwrap_or(last);
    let reads = match hits.is_empty() {
        true => MOST_READ,
        false => FEW_READ,
    };
    let end = AccountKey::from_row(last.as_row().saturating_add(reads));
    // An empty range: of a set nothing was shown before.
    let (first, after) = match filter {
        AccountFilter::All => (needle.first.as_str(), needle.end.as_str()),
        _ => ("", ""),
    };
    let wanted = limit + 1 - u32::try_from(hits.len()).unwrap_or(limit);
    let (now, pattern) = (tx.now, needle.pattern.as_str());
    let found = match filter {
        AccountFilter::Group(name) => {
            let group = groups::select(tx, name)?;
            let params = params![now, last, end, wanted, pattern, first, after, group];
            tx.rows(sql, params, made_from_row)?
        }
        _ => {
            let params = params![now, last, end, wanted, pattern, first, after];
            tx.rows(sql, params, made_from_row)?
        }
    };
    hits.extend(found);
    let mut page = AccountPage::of(hits, limit);
    if page.next.is_none() && end < newest {
        page.next = Some(Cursor::Made(end).to_string());
        page.is_cut = true;
    }
    Ok(page)
}

fn another_list() -> Error {
    Error::invalid("`after` is not from this list. Take `next` of the page before.")
}
