//! Clients: apps that an operator registered (RFC 6749 §2).
//!
//! There are few of them and each request of an app names one, so all are in memory, as they were when the file changed last.
//! Another process that changes a client (`authd client …`) is noticed as with signing keys.

pub mod known_apps;
pub mod redirect_uri;
pub mod registration;
pub mod settings;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::ids::{ClientKey, GroupKey};
use crate::secret::{ClientSecret, Digest};
use crate::service::oauth::scope::Scopes;
use crate::service::token::signing_key::Algorithm;
use crate::service::{Authd, Code, Error};
use crate::store::{Broken, ReadTx, Row, Store, params};

/// The most clients of a server.
pub const MOST_CLIENTS: u32 = 1000;

/// What a client may present at the token endpoint (RFC 6749 §1.3, RFC 8628).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GrantType {
    /// A code that a browser brought.
    AuthorizationCode,
    /// A refresh token.
    RefreshToken,
    /// Its own secret: the token is the client's own, and no account's.
    ClientCredentials,
    /// A code that a person typed at another screen.
    DeviceCode,
}

impl GrantType {
    /// All of them.
    pub const ALL: [GrantType; 4] = [
        GrantType::AuthorizationCode,
        GrantType::RefreshToken,
        GrantType::ClientCredentials,
        GrantType::DeviceCode,
    ];

    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            GrantType::AuthorizationCode => "authorization_code",
            GrantType::RefreshToken => "refresh_token",
            GrantType::ClientCredentials => "client_credentials",
            GrantType::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
        }
    }

    /// The grant of this name.
    pub fn read(text: &str) -> Option<GrantType> {
        GrantType::ALL
            .into_iter()
            .find(|grant| grant.as_str() == text)
    }
}

/// What an address of a client is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UriKind {
    /// Where authorization answers go.
    Redirect,
    /// Where a browser goes after a sign-out that the app asked for.
    PostLogout,
    /// An origin whose scripts may call the token, userinfo and revocation endpoints.
    Origin,
    /// A server that takes the client's access tokens (RFC 8707).
    Resource,
}

impl UriKind {
    /// The name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            UriKind::Redirect => "redirect",
            UriKind::PostLogout => "post_logout",
            UriKind::Origin => "origin",
            UriKind::Resource => "resource",
        }
    }
}

/// A registered client.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its row.
    pub(crate) key: ClientKey,
    /// Its public name: what it presents.
    pub client_id: String,
    /// What people call it.
    pub name: String,
    /// The digest of its secret; `None` for a public client.
    pub(crate) secret: Option<Digest>,
    /// The grants that it may use.
    pub grant_types: Vec<GrantType>,
    /// The scopes that it may ask for.
    pub scope: Scopes,
    /// Whether it must send a PKCE challenge.
    pub requires_pkce: bool,
    /// Whether account owners are asked before it gets something.
    pub asks_consent: bool,
    /// The groups whose members may use it; `None` for every account.
    pub(crate) groups: Option<Vec<GroupKey>>,
    /// The algorithm of its ID tokens.
    pub(in crate::service) id_token_algorithm: Algorithm,
    /// The lifetime of its access tokens, if not the server's.
    pub access_token_lifetime: Option<Duration>,
    /// The absolute lifetime of its refresh tokens, if not the sessions'.
    pub refresh_token_lifetime: Option<Duration>,
    /// How long a used refresh token yields the same successor, in seconds, if not as the server's.
    pub replay_window: Option<u32>,
    /// Where answers may go.
    pub redirect_uris: Vec<String>,
    /// Where a browser may go after signing out.
    pub post_logout_redirect_uris: Vec<String>,
    /// Whose scripts may call.
    pub origins: Vec<String>,
    /// The servers that take its access tokens.
    pub resources: Vec<String>,
    /// Where it is told of ended sessions.
    pub backchannel_logout_uri: Option<String>,
    /// Whether that may be in a private network.
    pub reaches_private: bool,
    /// The known app that it was made for.
    pub app: Option<String>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub changed_at: Timestamp,
}

impl Client {
    /// Whether it has no secret, so that anybody can claim to be it (RFC 6749 §2.1).
    pub fn is_public(&self) -> bool {
        self.secret.is_none()
    }

    /// Whether it may use this grant.
    pub fn may_use(&self, grant: GrantType) -> bool {
        self.grant_types.contains(&grant)
    }

    /// Whether answers may go to this address.
    pub fn has_redirect_uri(&self, uri: &str) -> bool {
        redirect_uri::is_registered(uri, &self.redirect_uris)
    }

    /// Whether a browser may go to this address after a sign-out.
    pub fn has_post_logout_redirect_uri(&self, uri: &str) -> bool {
        redirect_uri::is_registered(uri, &self.post_logout_redirect_uris)
    }

    /// The registered resource that a request names. A slash at the end may be missing or added: clients write the same server
    /// in both ways (RFC 8707 §2).
    pub fn resource(&self, asked: &str) -> Option<&str> {
        let bare = |text: &str| text.strip_suffix('/').unwrap_or(text).to_owned();
        let mut own = self.resources.iter();
        own.find(|own| bare(own) == bare(asked)).map(String::as_str)
    }

    /// How long its access tokens are valid.
    pub(in crate::service) fn access_token_lifetime(&self, authd: &Authd) -> Duration {
        self.access_token_lifetime
            .unwrap_or(authd.policy().access_token_lifetime)
    }
}

/// How a client says who it is (RFC 6749 §2.3).
#[derive(Clone, Debug)]
pub struct ClientCredentials<'a> {
    /// What it says its id is.
    pub client_id: &'a str,
    /// Its secret, if it sent one.
    pub secret: Option<&'a str>,
}

/// All clients by their id, in memory.
#[derive(Debug, Default)]
pub(in crate::service) struct Clients {
    loaded: RwLock<Loaded>,
    /// Held while they are read, so that an older reading does not replace a newer one.
    reading: Mutex<()>,
}

type ById = Arc<HashMap<String, Arc<Client>>>;

#[derive(Clone, Debug, Default)]
struct Loaded {
    clients: ById,
    /// What [`Store::foreign_changes`] was before they were read; `None` before the first time.
    as_of: Option<u64>,
}

impl Clients {
    /// All clients, as new as the last change: costs no query unless another process changed the file.
    pub fn all(&self, store: &Store) -> Result<ById, Broken> {
        let loaded = self.loaded();
        match loaded.as_of == Some(store.foreign_changes()) {
            true => Ok(loaded.clients),
            false => self.reload(store),
        }
    }

    /// Reads the clients again: after a change by this process.
    pub fn reload(&self, store: &Store) -> Result<ById, Broken> {
        let _alone = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let as_of = Some(store.foreign_changes());
        let clients = store.read(|tx| Ok::<_, Broken>(read_all(tx)?.into_iter()))?;
        let clients: HashMap<String, Arc<Client>> = clients
            .map(|client| (client.client_id.clone(), Arc::new(client)))
            .collect();
        let clients = Arc::new(clients);
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        *loaded = Loaded {
            clients: Arc::clone(&clients),
            as_of,
        };
        Ok(clients)
    }

    fn loaded(&self) -> Loaded {
        self.loaded
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Authd {
    /// The client of this id.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn client(&self, client_id: &str) -> Result<Option<Arc<Client>>, Error> {
        Ok(self.clients.all(&self.store)?.get(client_id).cloned())
    }

    /// Whether a client registered this origin: its scripts may call the token, userinfo and revocation endpoints.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn is_client_origin(&self, origin: &str) -> Result<bool, Error> {
        let clients = self.clients.all(&self.store)?;
        let mut origins = clients.values().flat_map(|client| &client.origins);
        Ok(origins.any(|own| own == origin))
    }

    /// The algorithms whose keys verifiers need: ES256 for access tokens, RS256 once a client was registered, and EdDSA while a
    /// client uses it. Some apps cannot read a JWKS with a key of an Edwards curve.
    ///
    /// # Errors
    /// Only those of the store.
    pub(in crate::service) fn algorithms_in_use(&self) -> Result<Vec<Algorithm>, Error> {
        let clients = self.clients.all(&self.store)?;
        let uses = |algorithm| {
            clients
                .values()
                .any(|client| client.id_token_algorithm == algorithm)
        };
        let mut used = vec![Algorithm::Es256, Algorithm::Rs256];
        if uses(Algorithm::EdDsa) {
            used.push(Algorithm::EdDsa);
        }
        Ok(used)
    }

    /// The longest time for which a token is valid that was signed just now: a client may have another than the server. A key is
    /// published for so long after its successor took over.
    pub(in crate::service) fn longest_token(&self) -> Duration {
        let own = self.policy().access_token_lifetime;
        let clients = self.clients.all(&self.store).unwrap_or_default();
        let lifetimes = clients
            .values()
            .filter_map(|client| client.access_token_lifetime);
        lifetimes.fold(own, Duration::max)
    }

    /// The client that these credentials authenticate. A public client has no secret, and is what it says.
    ///
    /// # Errors
    /// [`Code::InvalidClient`] for every kind of wrong (RFC 6749 §5.2).
    pub fn authenticate_client(
        &self,
        credentials: &ClientCredentials<'_>,
    ) -> Result<Arc<Client>, Error> {
        let client = self.client(credentials.client_id)?;
        let client = client.ok_or_else(invalid_client)?;
        let is_right = match (&client.secret, credentials.secret) {
            // req 60: digests are compared in constant time.
            (Some(own), Some(given)) => {
                ClientSecret::read(given).is_some_and(|given| given.digest() == *own)
            }
            (Some(_), None) => false,
            // Some libraries send an empty secret for a public client.
            (None, given) => given.is_none_or(str::is_empty),
        };
        match is_right {
            true => Ok(client),
            false => Err(invalid_client()),
        }
    }
}

/// One answer for an unknown client and a wrong secret.
fn invalid_client() -> Error {
    Error::no(
        Code::InvalidClient,
        "The client is unknown, or its secret is wrong or missing.",
    )
}

macro_rules! client_columns {
    () => {
        "SELECT c.id, c.client_id, c.name, o.secret_digest, o.grant_types, o.scope, o.requires_pkce, o.asks_consent, \
         o.is_restricted, o.id_token_algorithm, o.access_token_lifetime, o.refresh_token_lifetime, c.replay_window, \
         o.backchannel_logout_uri, o.reaches_private, o.app, c.created_at, o.changed_at \
         FROM oauth_client o JOIN client c ON c.id = o.id"
    };
}

/// All clients, by name.
pub(in crate::service) fn read_all(tx: &ReadTx<'_>) -> Result<Vec<Client>, Broken> {
    let mut clients = tx.rows(
        concat!(client_columns!(), " ORDER BY c.client_id"),
        params![],
        from_row,
    )?;
    let uris: Vec<(ClientKey, String, String)> = tx.rows(
        "SELECT client_id, kind, uri FROM oauth_client_uri ORDER BY client_id, kind, uri",
        params![],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let groups: Vec<(ClientKey, GroupKey)> = tx.rows(
        "SELECT client_id, group_id FROM oauth_client_group",
        params![],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let mut places: HashMap<ClientKey, &mut Client> = clients
        .iter_mut()
        .map(|client| (client.key, client))
        .collect();
    for (client, kind, uri) in uris {
        if let Some(client) = places.get_mut(&client) {
            client.add_uri(&kind, uri);
        }
    }
    for (client, group) in groups {
        if let Some(groups) = places
            .get_mut(&client)
            .and_then(|client| client.groups.as_mut())
        {
            groups.push(group);
        }
    }
    Ok(clients)
}

impl Client {
    fn add_uri(&mut self, kind: &str, uri: String) {
        let list = match kind {
            "redirect" => &mut self.redirect_uris,
            "post_logout" => &mut self.post_logout_redirect_uris,
            "origin" => &mut self.origins,
            "resource" => &mut self.resources,
            // Of another release.
            _ => return,
        };
        list.push(uri);
    }
}

fn from_row(row: &Row<'_>) -> Result<Client, Broken> {
    let grant_types: String = row.get(4)?;
    let scope: String = row.get(5)?;
    let is_restricted: bool = row.get(8)?;
    let algorithm: String = row.get(9)?;
    let seconds = |seconds: Option<u32>| seconds.map(|s| Duration::from_secs(s.into()));
    Ok(Client {
        key: row.get(0)?,
        client_id: row.get(1)?,
        name: row.get(2)?,
        secret: row.get(3)?,
        grant_types: grant_types.split(' ').filter_map(GrantType::read).collect(),
        scope: Scopes::from_row(&scope),
        requires_pkce: row.get(6)?,
        asks_consent: row.get(7)?,
        groups: is_restricted.then(Vec::new),
        // An algorithm of a newer release: the default of OpenID Connect.
        id_token_algorithm: Algorithm::from_name(&algorithm).unwrap_or(Algorithm::Rs256),
        access_token_lifetime: seconds(row.get(10)?),
        refresh_token_lifetime: seconds(row.get(11)?),
        replay_window: row.get(12)?,
        redirect_uris: Vec::new(),
        post_logout_redirect_uris: Vec::new(),
        origins: Vec::new(),
        resources: Vec::new(),
        backchannel_logout_uri: row.get(13)?,
        reaches_private: row.get(14)?,
        app: row.get(15)?,
        created_at: row.get(16)?,
        changed_at: row.get(17)?,
    })
}
