//! The settings of a client: what may be set, and what fits together.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::ids::ClientKey;
use crate::service::Error;
use crate::service::account::groups;
use crate::service::context::Context;
use crate::service::oauth::client::redirect_uri;
use crate::service::oauth::client::{Client, GrantType, UriKind};
use crate::service::oauth::scope::{self, Scopes};
use crate::service::token::signing_key::Algorithm;
use crate::store::{Broken, ReadTx, params};

/// The most addresses of one kind.
const MOST_URIS: usize = 20;

/// Access tokens of a client are valid for this long, in seconds (as the setting `access_token_lifetime`).
const ACCESS_LIFETIMES: std::ops::RangeInclusive<u32> = 60..=3600;

/// Refresh tokens of a client may be used for this long, in seconds: five minutes to ten years.
const REFRESH_LIFETIMES: std::ops::RangeInclusive<u32> = 300..=315_360_000;

/// The longest replay window of a client with a secret, and of one without, in seconds.
const LONGEST_WINDOW: u32 = 86_400;
const LONGEST_PUBLIC_WINDOW: u32 = 600;

/// What is changed of a client, and what a new one has: what is absent stays as it is, or has its default.
#[derive(Clone, Debug, Default)]
pub struct ClientChange {
    /// What people call it.
    pub name: Option<String>,
    /// All redirect addresses.
    pub redirect_uris: Option<Vec<String>>,
    /// All addresses after a sign-out.
    pub post_logout_redirect_uris: Option<Vec<String>>,
    /// The grants, by their names.
    pub grant_types: Option<Vec<String>>,
    /// The scopes, separated by spaces.
    pub scope: Option<String>,
    /// Whether it must use PKCE.
    pub require_pkce: Option<bool>,
    /// Whether account owners are asked.
    pub ask_consent: Option<bool>,
    /// The groups whose members may use it; the inner `None` for every account.
    pub groups: Option<Option<Vec<String>>>,
    /// The algorithm of its ID tokens.
    pub id_token_algorithm: Option<String>,
    /// In seconds; the inner `None` for the server's.
    pub access_token_lifetime: Option<Option<u32>>,
    /// The same.
    pub refresh_token_lifetime: Option<Option<u32>>,
    /// The same.
    pub replay_window: Option<Option<u32>>,
    /// All origins.
    pub origins: Option<Vec<String>>,
    /// All resources.
    pub resources: Option<Vec<String>>,
    /// Where it is told of ended sessions; the inner `None` for nowhere.
    pub backchannel_logout_uri: Option<Option<String>>,
    /// Whether that may be an address of a private network.
    pub private_network: Option<bool>,
}

/// The settings of a client, checked.
#[derive(Clone)]
pub(super) struct Registered {
    pub is_public: bool,
    pub redirect_uris: Vec<String>,
    pub post_logout_redirect_uris: Vec<String>,
    pub grant_types: Vec<GrantType>,
    pub scope: Scopes,
    pub requires_pkce: bool,
    pub asks_consent: bool,
    pub groups: Option<Vec<String>>,
    pub id_token_algorithm: Algorithm,
    pub access_token_lifetime: Option<u32>,
    pub refresh_token_lifetime: Option<u32>,
    pub replay_window: Option<u32>,
    pub origins: Vec<String>,
    pub resources: Vec<String>,
    pub backchannel_logout_uri: Option<String>,
    pub reaches_private: bool,
}

impl Registered {
    /// The defaults.
    pub fn blank(is_public: bool) -> Registered {
        Registered {
            is_public,
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
            scope: scope::KNOWN.into_iter().collect(),
            requires_pkce: true,
            asks_consent: true,
            groups: None,
            id_token_algorithm: Algorithm::Rs256,
            access_token_lifetime: None,
            refresh_token_lifetime: None,
            replay_window: None,
            origins: Vec::new(),
            resources: Vec::new(),
            backchannel_logout_uri: None,
            reaches_private: false,
        }
    }

    /// Those that a client has.
    pub fn of(tx: &ReadTx<'_>, client: &Client) -> Result<Registered, Broken> {
        Ok(Registered {
            is_public: client.is_public(),
            redirect_uris: client.redirect_uris.clone(),
            post_logout_redirect_uris: client.post_logout_redirect_uris.clone(),
            grant_types: client.grant_types.clone(),
            scope: client.scope.clone(),
            requires_pkce: client.requires_pkce,
            asks_consent: client.asks_consent,
            groups: group_names(tx, client)?,
            id_token_algorithm: client.id_token_algorithm,
            access_token_lifetime: seconds(client.access_token_lifetime),
            refresh_token_lifetime: seconds(client.refresh_token_lifetime),
            replay_window: client.replay_window,
            origins: client.origins.clone(),
            resources: client.resources.clone(),
            backchannel_logout_uri: client.backchannel_logout_uri.clone(),
            reaches_private: client.reaches_private,
        })
    }

    /// Takes over what a change has, and checks the whole.
    pub fn apply(&mut self, change: &ClientChange, issuer: &str) -> Result<(), Error> {
        let change = change.clone();
        set(&mut self.redirect_uris, change.redirect_uris);
        set(
            &mut self.post_logout_redirect_uris,
            change.post_logout_redirect_uris,
        );
        set(&mut self.requires_pkce, change.require_pkce);
        set(&mut self.asks_consent, change.ask_consent);
        set(&mut self.groups, change.groups);
        set(
            &mut self.access_token_lifetime,
            change.access_token_lifetime,
        );
        set(
            &mut self.refresh_token_lifetime,
            change.refresh_token_lifetime,
        );
        set(&mut self.replay_window, change.replay_window);
        set(&mut self.origins, change.origins);
        set(&mut self.resources, change.resources);
        set(
            &mut self.backchannel_logout_uri,
            change.backchannel_logout_uri,
        );
        set(&mut self.reaches_private, change.private_network);
        if let Some(names) = change.grant_types {
            self.grant_types = names
                .iter()
                .map(|name| read_grant(name))
                .collect::<Result<_, _>>()?;
        }
        if let Some(text) = change.scope {
            let scope = Scopes::read(&text).ok_or_else(|| {
                Error::invalid("A scope is words with spaces between them, without quotation marks and backslashes.")
            })?;
            self.scope = scope;
        }
        if let Some(name) = change.id_token_algorithm {
            self.id_token_algorithm = read_algorithm(&name)?;
        }
        self.check_uris(issuer)?;
        self.check()
    }

    fn check_uris(&self, issuer: &str) -> Result<(), Error> {
        let lists = [
            &self.redirect_uris,
            &self.post_logout_redirect_uris,
            &self.origins,
            &self.resources,
        ];
        if lists.iter().any(|list| list.len() > MOST_URIS) {
            return Err(Error::invalid(format!(
                "A client has at most {MOST_URIS} addresses of each kind."
            )));
        }
        for uri in self
            .redirect_uris
            .iter()
            .chain(&self.post_logout_redirect_uris)
        {
            redirect_uri::check(uri).map_err(Error::invalid)?;
        }
        for origin in &self.origins {
            redirect_uri::check_origin(origin).map_err(Error::invalid)?;
        }
        for resource in &self.resources {
            redirect_uri::check(resource).map_err(Error::invalid)?;
            // Access tokens of this server's own audience open `/v1`.
            if resource == issuer || resource.starts_with(&format!("{issuer}/")) {
                return Err(Error::invalid(
                    "This server itself cannot be a resource: its tokens open the accounts.",
                ));
            }
        }
        if let Some(uri) = &self.backchannel_logout_uri {
            redirect_uri::check_web(uri).map_err(Error::invalid)?;
            if uri.starts_with("http://") && !self.reaches_private {
                return Err(Error::invalid(
                    "The back-channel logout address needs https, or the permission to reach a private network.",
                ));
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        let uses = |grant| self.grant_types.contains(&grant);
        if self.grant_types.is_empty() {
            return Err(Error::invalid("A client has at least one grant type."));
        }
        if uses(GrantType::AuthorizationCode) && self.redirect_uris.is_empty() {
            return Err(Error::invalid(
                "A client for the grant authorization_code needs the address to which answers go: --redirect-uri.",
            ));
        }
        if self.is_public && uses(GrantType::ClientCredentials) {
            return Err(Error::invalid(
                "A public client has no credentials for the grant client_credentials.",
            ));
        }
        if self.is_public && !self.requires_pkce {
            return Err(Error::invalid(
                "A public client must use PKCE: it has nothing else to protect its codes.",
            ));
        }
        if self.is_public && !self.asks_consent {
            return Err(Error::invalid(
                "For a public client people are always asked: another app can claim to be it.",
            ));
        }
        let window = if self.is_public {
            LONGEST_PUBLIC_WINDOW
        } else {
            LONGEST_WINDOW
        };
        if self.replay_window.is_some_and(|own| own > window) {
            return Err(Error::invalid(format!(
                "The replay window of this client is at most {window} seconds."
            )));
        }
        if self
            .access_token_lifetime
            .is_some_and(|life| !ACCESS_LIFETIMES.contains(&life))
        {
            return Err(Error::invalid(
                "Access tokens are valid for one minute to one hour.",
            ));
        }
        if self
            .refresh_token_lifetime
            .is_some_and(|life| !REFRESH_LIFETIMES.contains(&life))
        {
            return Err(Error::invalid(
                "Refresh tokens may be used for five minutes to ten years.",
            ));
        }
        Ok(())
    }

    /// Writes the settings of a client that has its rows.
    pub fn store(&self, cx: &Context<'_>, key: ClientKey) -> Result<(), Error> {
        let grants: Vec<&str> = self
            .grant_types
            .iter()
            .map(|grant| grant.as_str())
            .collect();
        cx.run(
            "UPDATE oauth_client SET grant_types = ?2, scope = ?3, requires_pkce = ?4, asks_consent = ?5, is_restricted = ?6, \
             id_token_algorithm = ?7, access_token_lifetime = ?8, refresh_token_lifetime = ?9, backchannel_logout_uri = ?10, \
             reaches_private = ?11, changed_at = ?12 WHERE id = ?1",
            params![
                key,
                grants.join(" "),
                self.scope.to_string(),
                self.requires_pkce,
                self.asks_consent,
                self.groups.is_some(),
                self.id_token_algorithm.as_str(),
                self.access_token_lifetime,
                self.refresh_token_lifetime,
                self.backchannel_logout_uri,
                self.reaches_private,
                cx.now,
            ],
        )?;
        cx.run(
            "DELETE FROM oauth_client_uri WHERE client_id = ?1",
            params![key],
        )?;
        cx.run(
            "DELETE FROM oauth_client_group WHERE client_id = ?1",
            params![key],
        )?;
        let lists = [
            (UriKind::Redirect, &self.redirect_uris),
            (UriKind::PostLogout, &self.post_logout_redirect_uris),
            (UriKind::Origin, &self.origins),
            (UriKind::Resource, &self.resources),
        ];
        for (kind, uris) in lists {
            for uri in uris.iter().collect::<BTreeSet<_>>() {
                cx.run(
                    "INSERT INTO oauth_client_uri (client_id, kind, uri) VALUES (?1, ?2, ?3)",
                    params![key, kind.as_str(), uri],
                )?;
            }
        }
        for name in self.groups.iter().flatten().collect::<BTreeSet<_>>() {
            let group = groups::select(cx, name)?;
            cx.run(
                "INSERT INTO oauth_client_group (client_id, group_id) VALUES (?1, ?2)",
                params![key, group],
            )?;
        }
        Ok(())
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

pub(super) fn seconds(life: Option<Duration>) -> Option<u32> {
    life.and_then(|life| u32::try_from(life.as_secs()).ok())
}

pub(super) fn group_names(tx: &ReadTx<'_>, client: &Client) -> Result<Option<Vec<String>>, Broken> {
    if client.groups.is_none() {
        return Ok(None);
    }
    let names = tx.rows(
        "SELECT g.name FROM oauth_client_group o JOIN user_group g ON g.id = o.group_id WHERE o.client_id = ?1 ORDER BY g.name",
        params![client.key],
        |row| row.get(0),
    )?;
    Ok(Some(names))
}

fn read_grant(name: &str) -> Result<GrantType, Error> {
    // The long name of RFC 8628 is hard to type.
    let grant = match name {
        "device_code" => Some(GrantType::DeviceCode),
        name => GrantType::read(name),
    };
    grant.ok_or_else(|| {
        Error::invalid(format!(
            "There is no grant type `{name}`. This server has authorization_code, refresh_token, client_credentials and \
             device_code."
        ))
    })
}

pub(super) fn read_algorithm(name: &str) -> Result<Algorithm, Error> {
    Algorithm::from_name(name).ok_or_else(|| {
        Error::invalid(format!(
            "There is no algorithm `{name}`. ID tokens are signed with RS256, ES256 or EdDSA."
        ))
    })
}
