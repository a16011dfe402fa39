//! `authd client …`

use clap::{Args, Subcommand};
use serde_json::json;

use super::output::Output;
use super::{Common, Failure};
use crate::service::{Authd, ClientChange, KNOWN_APPS, KnownApp, NewClient, NewlyRegistered};

#[derive(Subcommand)]
pub(super) enum Client {
    /// Register an app that signs people in here; prints its secret, once
    ///
    /// A known app needs its address alone: authd client add --app grafana --url URL
    Add {
        /// What people call the app; with --app, its usual name if absent
        name: Option<String>,
        /// A known app, whose paths are filled in; `authd client apps` lists them
        #[arg(long, value_name = "APP")]
        app: Option<String>,
        /// Address of the app, for --app
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// Id that the app presents; made from the name if absent
        #[arg(long, value_name = "ID")]
        client_id: Option<String>,
        /// The app can keep no secret: it runs on a device or in a browser
        #[arg(long)]
        public: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// List all apps
    List,
    /// List the apps that `authd client add --app` knows
    Apps,
    /// Show an app
    Show {
        /// Id of the app
        client_id: String,
    },
    /// Change an app; a list that is given replaces the present one
    Update {
        /// Id of the app
        client_id: String,
        /// What people call the app
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Give an app another secret; the old one is refused from then on
    RotateSecret {
        /// Id of the app
        client_id: String,
    },
    /// Delete an app; nobody is signed in to it any more
    Delete {
        /// Id of the app
        client_id: String,
    },
}

#[derive(Args)]
pub(super) struct Settings {
    /// Address to which answers go, compared character by character; can be repeated
    #[arg(long, value_name = "URI")]
    redirect_uri: Vec<String>,
    /// Address to which a browser may go after signing out; can be repeated
    #[arg(long, value_name = "URI")]
    post_logout_redirect_uri: Vec<String>,
    /// authorization_code, refresh_token, client_credentials or device_code; can be repeated
    #[arg(long, value_name = "TYPE")]
    grant: Vec<String>,
    /// Scopes that it may ask for, separated by spaces
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,
    /// Accept sign-ins without PKCE, for an app that cannot do it
    #[arg(long, conflicts_with = "require_pkce")]
    allow_no_pkce: bool,
    /// Require PKCE again
    #[arg(long)]
    require_pkce: bool,
    /// Ask nobody whether the app may have what it wants: for your own apps
    #[arg(long, conflicts_with = "ask_consent")]
    trusted: bool,
    /// Ask again
    #[arg(long)]
    ask_consent: bool,
    /// Only members of this group may use it; can be repeated
    #[arg(long, value_name = "GROUP", conflicts_with = "for_all")]
    group: Vec<String>,
    /// Every account may use it
    #[arg(long)]
    for_all: bool,
    /// Algorithm of its ID tokens: RS256, ES256 or EdDSA
    #[arg(long, value_name = "ALG")]
    id_token_alg: Option<String>,
    /// How long its access tokens are valid, such as 5m; `default` for the server's setting
    #[arg(long, value_name = "TIME")]
    access_token_lifetime: Option<String>,
    /// How long its refresh tokens may be used, such as 30d; `default` for the life of a session
    #[arg(long, value_name = "TIME")]
    refresh_token_lifetime: Option<String>,
    /// How long a used refresh token yields the same successor, such as 10m; `default` for the server's setting
    #[arg(long, value_name = "TIME")]
    replay_window: Option<String>,
    /// Origin whose scripts may call this server; can be repeated
    #[arg(long, value_name = "ORIGIN")]
    origin: Vec<String>,
    /// Server that takes the app's access tokens (RFC 8707); can be repeated
    #[arg(long, value_name = "URI")]
    resource: Vec<String>,
    /// Address at which the app is told of ended sessions; `none` for nowhere
    #[arg(long, value_name = "URI")]
    backchannel_logout_uri: Option<String>,
    /// That address may be in a private network
    #[arg(long)]
    private_network: bool,
}

impl Client {
    pub fn run(self, common: &Common, out: &Output) -> Result<(), Failure> {
        if let Client::Apps = self {
            return out.known_apps(KNOWN_APPS);
        }
        let authd = common.open()?;
        match self {
            Client::Add {
                name,
                app,
                url,
                client_id,
                public,
                settings,
            } => {
                let new = new_client(
                    name,
                    app.as_deref(),
                    url.as_deref(),
                    client_id,
                    public,
                    &settings,
                )?;
                print_registered(&authd, &authd.as_operator().add_client(&new)?, out)
            }
            Client::List => out.clients(&authd.client_list()?),
            Client::Show { client_id } => out.record(&json!(authd.client_info(&client_id)?)),
            Client::Update {
                client_id,
                name,
                settings,
            } => {
                let change = ClientChange {
                    name,
                    ..settings.change()?
                };
                out.record(&json!(
                    authd.as_operator().update_client(&client_id, &change)?
                ))
            }
            Client::RotateSecret { client_id } => {
                let rotated = authd.as_operator().rotate_client_secret(&client_id)?;
                print_registered(&authd, &rotated, out)
            }
            Client::Delete { client_id } => {
                authd.as_operator().delete_client(&client_id)?;
                out.record(&json!({ "deleted": client_id }))
            }
            // Answered above.
            Client::Apps => Ok(()),
        }
    }
}

/// What `add` registers: a known app with what differs, or what the flags say.
fn new_client(
    name: Option<String>,
    app: Option<&str>,
    url: Option<&str>,
    client_id: Option<String>,
    public: bool,
    settings: &Settings,
) -> Result<NewClient, Failure> {
    let base = match (app, url) {
        (Some(app), url) => {
            let known = KnownApp::find(app).ok_or_else(|| {
                Failure::Refused(format!("`{app}` is no known app. `authd client apps` lists them; others are registered with --redirect-uri."))
            })?;
            let url = match (known.needs_url(), url) {
                (true, None) => {
                    return Err(Failure::Refused(
                        "Say where the app is: --url https://…".to_owned(),
                    ));
                }
                (_, url) => url.unwrap_or_default(),
            };
            known.registration(url)
        }
        (None, Some(_)) => {
            return Err(Failure::Refused(
                "--url is for a known app: add --app.".to_owned(),
            ));
        }
        (None, None) => NewClient::default(),
    };
    let given = settings.change()?;
    let known = base.settings;
    Ok(NewClient {
        client_id,
        is_public: public || base.is_public,
        app: base.app,
        settings: ClientChange {
            name: name.or(known.name),
            redirect_uris: given.redirect_uris.or(known.redirect_uris),
            post_logout_redirect_uris: given
                .post_logout_redirect_uris
                .or(known.post_logout_redirect_uris),
            grant_types: given.grant_types.or(known.grant_types),
            scope: given.scope.or(known.scope),
            require_pkce: given.require_pkce.or(known.require_pkce),
            replay_window: given.replay_window.or(known.replay_window),
            backchannel_logout_uri: given
                .backchannel_logout_uri
                .or(known.backchannel_logout_uri),
            ..given
        },
    })
}

impl Settings {
    fn change(&self) -> Result<ClientChange, Failure> {
        let list = |values: &[String]| Some(values.to_vec()).filter(|values| !values.is_empty());
        let switch = |on: bool, off: bool| match (on, off) {
            (false, false) => None,
            (on, _) => Some(on),
        };
        Ok(ClientChange {
            name: None,
            redirect_uris: list(&self.redirect_uri),
            post_logout_redirect_uris: list(&self.post_logout_redirect_uri),
            grant_types: list(&self.grant),
            scope: self.scope.clone(),
            require_pkce: switch(self.require_pkce, self.allow_no_pkce),
            ask_consent: switch(self.ask_consent, self.trusted),
            groups: match self.for_all {
                true => Some(None),
                false => list(&self.group).map(Some),
            },
            id_token_algorithm: self.id_token_alg.clone(),
            access_token_lifetime: seconds(self.access_token_lifetime.as_deref())?,
            refresh_token_lifetime: seconds(self.refresh_token_lifetime.as_deref())?,
            replay_window: seconds(self.replay_window.as_deref())?,
            origins: list(&self.origin),
            resources: list(&self.resource),
            backchannel_logout_uri: self
                .backchannel_logout_uri
                .as_ref()
                .map(|uri| Some(uri.clone()).filter(|uri| uri != "none")),
            private_network: self.private_network.then_some(true),
        })
    }
}

/// A time such as `5m`, or `default`.
fn seconds(text: Option<&str>) -> Result<Option<Option<u32>>, Failure> {
    match text {
        None => Ok(None),
        Some("default") => Ok(Some(None)),
        Some(text) => {
            let time = humantime::parse_duration(text).ok();
            let seconds = time.and_then(|time| u32::try_from(time.as_secs()).ok());
            let wrong = || {
                Failure::Refused(format!(
                    "`{text}` is no time. Write it as 90s, 10m, 12h or 30d."
                ))
            };
            Ok(Some(Some(seconds.ok_or_else(wrong)?)))
        }
    }
}

/// What the operator copies into the app.
fn print_registered(authd: &Authd, made: &NewlyRegistered, out: &Output) -> Result<(), Failure> {
    if out.json {
        return out.record(&json!(made));
    }
    let issuer = &authd.policy().issuer;
    let mut lines = json!({ "client_id": made.client.client_id });
    if let Some(secret) = &made.client_secret {
        lines["client_secret"] = json!(secret);
    }
    lines["issuer"] = json!(issuer);
    lines["discovery"] = json!(format!("{issuer}/.well-known/openid-configuration"));
    lines["scope"] = json!(made.client.scope);
    lines["redirect_uris"] = json!(made.client.redirect_uris.join("\n"));
    if made.client_secret.is_some() {
        lines["note"] =
            json!("The secret is not shown again. `authd client rotate-secret` makes another.");
    }
    if let Some(known) = made.client.app.as_deref().and_then(KnownApp::find) {
        lines["hint"] = json!(known.hint);
    }
    out.record(&lines)
}
