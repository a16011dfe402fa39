//! Registration of clients: what an operator or an administrator tells this server about an app.
//!
//! Member names are those of RFC 7591 §2, where it has them. The secret is shown once; the database keeps its digest.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::ClientKey;
use crate::secret::ClientSecret;
use crate::service::administration::Administration;
use crate::service::context::Context;
use crate::service::error::unexpected;
use crate::service::event::Kind;
use crate::service::oauth::client::settings::{
    ClientChange, Registered, group_names, read_algorithm, seconds,
};
use crate::service::oauth::client::{Client, MOST_CLIENTS, read_all};
use crate::service::session::client::FIRST_PARTY;
use crate::service::token::signing_key::Algorithm;
use crate::service::{Authd, Error};
use crate::store::{Broken, ReadTx, params};

/// The longest id of a client, in bytes: some apps store no more.
const LONGEST_ID: usize = 64;

/// The longest name, in characters.
const LONGEST_NAME: usize = 100;

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
