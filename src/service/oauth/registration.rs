//! Registration of clients: what an operator or an administrator tells this server about an app.
//!
//! Member names are those of RFC 7591 §2, where it has them. The secret is shown once; the database keeps its digest.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::ClientKey;
use crate::secret::ClientSecret;
use crate::service::account::groups;
use crate::service::administration::Administration;
use crate::service::context::Context;
use crate::service::error::unexpected;
use crate::service::event::Kind;
use crate::service::oauth::client::{Client, GrantType, MOST_CLIENTS, UriKind, read_all};
use crate::service::oauth::redirect_uri;
use crate::service::oauth::scope::{self, Scopes};
use crate::service::session::client::FIRST_PARTY;
use crate::service::token::signing_key::Algorithm;
use crate::service::{Authd, Error};
use crate::store::{Broken, ReadTx, params};

/// The most addresses of one kind.
const MOST_URIS: usize = 20;

/// The longest id of a client, in bytes: some apps store no more.
const LONGEST_ID: usize = 64;

/// The longest name, in characters.
const LONGEST_NAME: usize = 100;

/// Access tokens of a client are valid for this long, in seconds (as the setting `access_token_lifetime`).
const ACCESS_LIFETIMES: std::ops::RangeInclusive<u32> = 60..=3600;

/// Refresh tokens of a client may be used for this long, in seconds: five minutes to ten years.
const REFRESH_LIFETIMES: std::ops::RangeInclusive<u32> = 300..=315_360_000;

/// The longest replay window of a client with a secret, and of one without, in seconds.
const LONGEST_WINDOW: u32 = 86_400;
const LONGEST_PUBLIC_WINDOW: u32 = 600;

/// A client as an operator sees it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Client")]
pub struct ClientInfo {
    /// What the app presents.
    pub client_id: String,
    /// What people call it.
    pub client_name: String,
    /// `client_secret_basic` for a client with a secret, which may use `client_secret_post` too; `none` for a public one.
    pub token_endpoint_auth_method: &'static str,
    /// Where answers may go.
    pub redirect_uris: Vec<String>,
    /// Where a browser may go after a sign-out.
    pub post_logout_redirect_uris: Vec<String>,
    /// The grants that it may use.
    pub grant_types: Vec<&'static str>,
    /// The scopes that it may ask for, separated by spaces.
    pub scope: String,
    /// Whether it must use PKCE.
    pub require_pkce: bool,
    /// Whether account owners are asked before it gets something.
    pub ask_consent: bool,
    /// The groups whose members may use it; absent if every account may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// The algorithm of its ID tokens.
    pub id_token_signed_response_alg: &'static str,
    /// Seconds for which its access tokens are valid, if not as the server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token_lifetime: Option<u32>,
    /// Seconds after which its refresh tokens end, if not as sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token_lifetime: Option<u32>,
    /// Seconds in which a used refresh token yields the same successor, if not as the server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_window: Option<u32>,
    /// Origins whose scripts may call this server.
    pub origins: Vec<String>,
    /// Servers that take its access tokens (RFC 8707).
    pub resources: Vec<String>,
    /// Where it is told of ended sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backchannel_logout_uri: Option<String>,
    /// Whether that may be an address of a private network.
    pub private_network: bool,
    /// The known app that it was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub changed_at: Timestamp,
}

/// A client that was registered just now.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct NewlyRegistered {
    /// The client.
    #[serde(flatten)]
    pub client: ClientInfo,
    /// Its secret, which is not shown again; absent for a public client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
}

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

/// A client to register.
#[derive(Clone, Debug, Default)]
pub struct NewClient {
    /// Its id; made from the name if absent.
    pub client_id: Option<String>,
    /// Whether it can keep no secret: an app on a device, or a script in a browser.
    pub is_public: bool,
    /// The known app that it is for.
    pub app: Option<String>,
    /// Everything else. The name is required.
    pub settings: ClientChange,
}

impl Authd {
    /// All clients, by their id.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn client_list(&self) -> Result<Vec<ClientInfo>, Error> {
        self.store.read(|tx| {
            let clients = read_all(tx)?;
            clients
                .iter()
                .map(|client| Ok(describe(tx, client)?))
                .collect()
        })
    }

    /// One client.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound).
    pub fn client_info(&self, client_id: &str) -> Result<ClientInfo, Error> {
        self.store
            .read(|tx| Ok(describe(tx, &find(tx, client_id)?)?))
    }
}

impl Administration<'_> {
    /// Registers a client.
    ///
    /// # Errors
    /// [`Code::InvalidRequest`](crate::service::Code::InvalidRequest) for a setting that is not possible, an id that is taken,
    /// and the 1,001st client; [`Code::NotFound`](crate::service::Code::NotFound) for a group that there is not.
    pub fn add_client(&self, new: &NewClient) -> Result<NewlyRegistered, Error> {
        let NewClient {
            client_id,
            is_public,
            app,
            settings,
        } = new.clone();
        let name = read_name(settings.name.as_deref().unwrap_or_default())?;
        if let Some(id) = &client_id {
            check_id(id)?;
        }
        let mut registered = Registered::blank(is_public);
        registered.apply(&settings, &self.authd.policy().issuer)?;
        self.ensure_key(registered.id_token_algorithm)?;
        let made = self.write(move |cx| {
            let client_id = free_id(cx, client_id.as_deref(), &name)?;
            let secret = (!is_public).then(|| ClientSecret::from_bytes(cx.random()));
            let key: Option<ClientKey> = cx.row(
                "INSERT INTO client (client_id, name, replay_window, created_at) VALUES (?1, ?2, ?3, ?4) RETURNING id",
                params![client_id, name, registered.replay_window, cx.now],
                |row| row.get(0),
            )?;
            let key = key.ok_or_else(|| unexpected("an insertion returned no row"))?;
            cx.run(
                "INSERT INTO oauth_client (id, secret_digest, grant_types, scope, requires_pkce, asks_consent, is_restricted, \
                 id_token_algorithm, reaches_private, app, changed_at) VALUES (?1, ?2, '', '', 1, 1, 0, '', 0, ?3, ?4)",
                params![key, secret.as_ref().map(ClientSecret::digest), app, cx.now],
            )?;
            registered.store(cx, key)?;
            cx.event_of_nobody(Kind::ClientCreated)
                .detail(json!({ "client_id": client_id, "app": name }))
                .write(cx)?;
            let client = describe(cx, &find(cx, &client_id)?)?;
            Ok(NewlyRegistered { client, client_secret: secret.map(|secret| secret.reveal()) })
        })?;
        self.authd.clients.reload(&self.authd.store)?;
        Ok(made)
    }

    /// Changes a client. What it may not do any more ends at once, also for tokens that it has.
    ///
    /// # Errors
    /// Those of [`Administration::add_client`].
    pub fn update_client(
        &self,
        client_id: &str,
        change: &ClientChange,
    ) -> Result<ClientInfo, Error> {
        let name = change.name.as_deref().map(read_name).transpose()?;
        if let Some(algorithm) = &change.id_token_algorithm {
            self.ensure_key(read_algorithm(algorithm)?)?;
        }
        let (client_id, change) = (client_id.to_owned(), change.clone());
        let issuer = self.authd.policy().issuer.clone();
        let changed = self.write(move |cx| {
            let client = find(cx, &client_id)?;
            let mut registered = Registered::of(cx, &client)?;
            registered.apply(&change, &issuer)?;
            cx.run(
                "UPDATE client SET name = ?2, replay_window = ?3 WHERE id = ?1",
                params![
                    client.key,
                    name.as_ref().unwrap_or(&client.name),
                    registered.replay_window
                ],
            )?;
            registered.store(cx, client.key)?;
            let changed = describe(cx, &find(cx, &client_id)?)?;
            cx.event_of_nobody(Kind::ClientChanged)
                .detail(json!({ "client_id": client_id, "app": changed.client_name }))
                .write(cx)?;
            Ok(changed)
        })?;
        self.authd.clients.reload(&self.authd.store)?;
        Ok(changed)
    }

    /// Gives a client another secret. The old one is worth nothing from now on.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound);
    /// [`Code::InvalidRequest`](crate::service::Code::InvalidRequest) for a public client.
    pub fn rotate_client_secret(&self, client_id: &str) -> Result<NewlyRegistered, Error> {
        let client_id = client_id.to_owned();
        let rotated = self.write(move |cx| {
            let client = find(cx, &client_id)?;
            if client.is_public() {
                return Err(Error::invalid("This client is public and has no secret."));
            }
            let secret = ClientSecret::from_bytes(cx.random());
            cx.run(
                "UPDATE oauth_client SET secret_digest = ?2, changed_at = ?3 WHERE id = ?1",
                params![client.key, secret.digest(), cx.now],
            )?;
            cx.event_of_nobody(Kind::ClientSecretRotated)
                .detail(json!({ "client_id": client_id, "app": client.name }))
                .write(cx)?;
            let client = describe(cx, &find(cx, &client_id)?)?;
            Ok(NewlyRegistered {
                client,
                client_secret: Some(secret.reveal()),
            })
        })?;
        self.authd.clients.reload(&self.authd.store)?;
        Ok(rotated)
    }

    /// Deletes a client, with everything that it was granted.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound).
    pub fn delete_client(&self, client_id: &str) -> Result<(), Error> {
        let client_id = client_id.to_owned();
        self.write(move |cx| {
            let client = find(cx, &client_id)?;
            cx.run("DELETE FROM client WHERE id = ?1", params![client.key])?;
            cx.event_of_nobody(Kind::ClientDeleted)
                .detail(json!({ "client_id": client_id, "app": client.name }))
                .write(cx)?;
            Ok(())
        })?;
        self.authd.clients.reload(&self.authd.store)?;
        Ok(())
    }

    fn ensure_key(&self, algorithm: Algorithm) -> Result<(), Error> {
        self.authd.keys.ensure(&self.authd.store, algorithm)
    }
}

/// The settings of a client, checked.
#[derive(Clone)]
struct Registered {
    is_public: bool,
    redirect_uris: Vec<String>,
    post_logout_redirect_uris: Vec<String>,
    grant_types: Vec<GrantType>,
    scope: Scopes,
    requires_pkce: bool,
    asks_consent: bool,
    groups: Option<Vec<String>>,
    id_token_algorithm: Algorithm,
    access_token_lifetime: Option<u32>,
    refresh_token_lifetime: Option<u32>,
    replay_window: Option<u32>,
    origins: Vec<String>,
    resources: Vec<String>,
    backchannel_logout_uri: Option<String>,
    reaches_private: bool,
}

impl Registered {
    /// The defaults.
    fn blank(is_public: bool) -> Registered {
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
    fn of(tx: &ReadTx<'_>, client: &Client) -> Result<Registered, Broken> {
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
    fn apply(&mut self, change: &ClientChange, issuer: &str) -> Result<(), Error> {
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
    fn store(&self, cx: &Context<'_>, key: ClientKey) -> Result<(), Error> {
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

fn seconds(life: Option<Duration>) -> Option<u32> {
    life.and_then(|life| u32::try_from(life.as_secs()).ok())
}

fn find(tx: &ReadTx<'_>, client_id: &str) -> Result<Client, Error> {
    let clients = read_all(tx)?;
    let found = clients
        .into_iter()
        .find(|client| client.client_id == client_id);
    found.ok_or_else(|| Error::not_found("client"))
}

fn describe(tx: &ReadTx<'_>, client: &Client) -> Result<ClientInfo, Broken> {
    Ok(ClientInfo {
        client_id: client.client_id.clone(),
        client_name: client.name.clone(),
        token_endpoint_auth_method: if client.is_public() {
            "none"
        } else {
            "client_secret_basic"
        },
        redirect_uris: client.redirect_uris.clone(),
        post_logout_redirect_uris: client.post_logout_redirect_uris.clone(),
        grant_types: client
            .grant_types
            .iter()
            .map(|grant| grant.as_str())
            .collect(),
        scope: client.scope.to_string(),
        require_pkce: client.requires_pkce,
        ask_consent: client.asks_consent,
        groups: group_names(tx, client)?,
        id_token_signed_response_alg: client.id_token_algorithm.as_str(),
        access_token_lifetime: seconds(client.access_token_lifetime),
        refresh_token_lifetime: seconds(client.refresh_token_lifetime),
        replay_window: client.replay_window,
        origins: client.origins.clone(),
        resources: client.resources.clone(),
        backchannel_logout_uri: client.backchannel_logout_uri.clone(),
        private_network: client.reaches_private,
        app: client.app.clone(),
        created_at: client.created_at,
        changed_at: client.changed_at,
    })
}

fn group_names(tx: &ReadTx<'_>, client: &Client) -> Result<Option<Vec<String>>, Broken> {
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

/// The id that was asked for, if no client has it; or one made from the name.
fn free_id(cx: &Context<'_>, asked: Option<&str>, name: &str) -> Result<String, Error> {
    let count: Option<u32> = cx.row("SELECT count(*) FROM oauth_client", params![], |row| {
        row.get(0)
    })?;
    if count.unwrap_or(0) >= MOST_CLIENTS {
        return Err(Error::invalid(format!(
            "There are {MOST_CLIENTS} clients already. Delete one that nobody needs."
        )));
    }
    let is_taken = |id: &str| -> Result<bool, Broken> {
        let known: Option<i64> = cx.row(
            "SELECT id FROM client WHERE client_id = ?1",
            params![id],
            |row| row.get(0),
        )?;
        Ok(known.is_some())
    };
    if let Some(asked) = asked {
        return match is_taken(asked)? {
            true => Err(Error::invalid("Another client has this client_id.")),
            false => Ok(asked.to_owned()),
        };
    }
    let slug = slug(name);
    if !is_taken(&slug)? {
        return Ok(slug);
    }
    let tail: [u8; 4] = cx.random();
    let tail: String = tail.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{slug}-{tail}"))
}

/// A name in the characters of an id: `Home Assistant` is `home-assistant`.
fn slug(name: &str) -> String {
    let words: Vec<String> = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let slug: String = words.join("-").chars().take(40).collect();
    match slug.trim_end_matches('-') {
        "" => "app".to_owned(),
        slug => slug.to_owned(),
    }
}

fn check_id(id: &str) -> Result<(), Error> {
    let is_char = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if id.is_empty() || id.len() > LONGEST_ID || !id.bytes().all(is_char) {
        return Err(Error::invalid(format!(
            "A client_id has 1 to {LONGEST_ID} letters, digits, `-` and `_`."
        )));
    }
    match id == FIRST_PARTY {
        true => Err(Error::invalid(
            "The client_id `authd` is this server's own.",
        )),
        false => Ok(()),
    }
}

fn read_name(name: &str) -> Result<String, Error> {
    let name = name.trim();
    let length = name.chars().count();
    if length == 0 || length > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "A client has a name of 1 to {LONGEST_NAME} characters."
        )));
    }
    Ok(name.to_owned())
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

fn read_algorithm(name: &str) -> Result<Algorithm, Error> {
    Algorithm::from_name(name).ok_or_else(|| {
        Error::invalid(format!(
            "There is no algorithm `{name}`. ID tokens are signed with RS256, ES256 or EdDSA."
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_made_from_a_name() {
        for (name, id) in [
            ("Home Assistant", "home-assistant"),
            ("  Müller's App! ", "m-ller-s-app"),
            ("日本", "app"),
            (&"x".repeat(100), &"x".repeat(40)),
        ] {
            assert_eq!(slug(name), *id);
            assert!(check_id(&slug(name)).is_ok());
        }
        for bad in ["", "a b", "a.b", "ä", "authd", &"x".repeat(65)] {
            assert!(check_id(bad).is_err(), "{bad}");
        }
    }
}
