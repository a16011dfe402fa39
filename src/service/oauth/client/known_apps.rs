//! Apps that people put behind a small provider, and what each needs: so that an operator types two words and no addresses.
//!
//! The paths are those that the app's own documentation gives. An app that moves them is registered with `--redirect-uri`.

use super::registration::NewClient;
use super::settings::ClientChange;
use crate::service::oauth::scope;

/// An app that is known.
#[derive(Clone, Copy, Debug)]
pub struct KnownApp {
    /// What an operator types.
    pub id: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// Its redirect addresses: paths after the app's address, or whole ones of another scheme or host.
    redirects: &'static [&'static str],
    /// Where a browser goes after a sign-out.
    post_logout: &'static [&'static str],
    /// Where the app is told of ended sessions.
    backchannel: Option<&'static str>,
    /// Whether it sends a PKCE challenge, at least if it is told to.
    has_pkce: bool,
    /// Whether it keeps no secret.
    is_public: bool,
    /// Whether it may also use the device grant.
    has_device_grant: bool,
    /// Scopes beyond `openid profile email`.
    scopes: &'static [&'static str],
    /// Seconds in which a used refresh token is accepted again, for apps that refresh in parallel.
    replay_window: Option<u32>,
    /// What the operator has to know.
    pub hint: &'static str,
}

const PLAIN: KnownApp = KnownApp {
    id: "",
    name: "",
    redirects: &[],
    post_logout: &[],
    backchannel: None,
    has_pkce: true,
    is_public: false,
    has_device_grant: false,
    scopes: &[],
    replay_window: None,
    hint: "",
};

const GROUPS: &[&str] = &[scope::GROUPS];
const OFFLINE: &[&str] = &[scope::OFFLINE_ACCESS];

/// All of them, by their id.
pub const KNOWN_APPS: &[KnownApp] = &[
    KnownApp {
        id: "actual",
        name: "Actual",
        redirects: &["/openid/callback"],
        hint: "Actual signs in the first person that comes as its owner: sign in yourself before you invite others.",
        ..PLAIN
    },
    KnownApp {
        id: "audiobookshelf",
        name: "Audiobookshelf",
        redirects: &[
            "/auth/openid/callback",
            "/auth/openid/mobile-redirect",
            "audiobookshelf://oauth",
        ],
        scopes: GROUPS,
        hint: "In Audiobookshelf, add `audiobookshelf://oauth` to the allowed mobile redirect URIs.",
        ..PLAIN
    },
    KnownApp {
        id: "bookstack",
        name: "BookStack",
        redirects: &["/oidc/callback"],
        post_logout: &["/?prevent_auto_init=true", "/"],
        scopes: GROUPS,
        hint: "BookStack needs an https address for this server.",
        ..PLAIN
    },
    KnownApp {
        id: "forgejo",
        name: "Forgejo",
        redirects: &["/user/oauth2/authd/callback"],
        scopes: GROUPS,
        hint: "Name the authentication source `authd` in Forgejo: the name is a part of its redirect address.",
        ..PLAIN
    },
    KnownApp {
        id: "gitea",
        name: "Gitea",
        redirects: &["/user/oauth2/authd/callback"],
        has_pkce: false,
        scopes: GROUPS,
        hint: "Name the authentication source `authd` in Gitea: the name is a part of its redirect address.",
        ..PLAIN
    },
    KnownApp {
        id: "grafana",
        name: "Grafana",
        redirects: &["/login/generic_oauth"],
        post_logout: &["/login"],
        scopes: &[scope::GROUPS, scope::OFFLINE_ACCESS],
        hint: "Set `use_pkce = true` and `use_refresh_token = true` in Grafana's `[auth.generic_oauth]`.",
        ..PLAIN
    },
    KnownApp {
        id: "headscale",
        name: "Headscale",
        redirects: &["/oidc/callback"],
        scopes: GROUPS,
        hint: "Set `oidc.pkce.enabled: true` in Headscale's settings.",
        ..PLAIN
    },
    KnownApp {
        id: "home-assistant",
        name: "Home Assistant",
        redirects: &["/auth/oidc/callback"],
        scopes: GROUPS,
        hint: "Home Assistant signs in with the integration hass-oidc-auth.",
        ..PLAIN
    },
    KnownApp {
        id: "immich",
        name: "Immich",
        redirects: &[
            "/auth/login",
            "/user-settings",
            "app.immich:///oauth-callback",
        ],
        backchannel: Some("/api/oauth/backchannel-logout"),
        hint: "In Immich, leave the signing algorithm RS256.",
        ..PLAIN
    },
    KnownApp {
        id: "jellyfin",
        name: "Jellyfin",
        redirects: &["/sso/OID/redirect/authd"],
        scopes: GROUPS,
        hint: "Name the provider `authd` in the SSO plugin. Behind TLS, set its scheme override to https.",
        ..PLAIN
    },
    KnownApp {
        id: "kubelogin",
        name: "Kubernetes (kubelogin)",
        redirects: &["http://localhost:8000", "http://localhost:18000"],
        is_public: true,
        has_device_grant: true,
        scopes: &[scope::GROUPS, scope::OFFLINE_ACCESS],
        hint: "The API server needs an https address for this server (`--oidc-issuer-url`).",
        ..PLAIN
    },
    KnownApp {
        id: "linkding",
        name: "Linkding",
        redirects: &["/oidc/callback/"],
        hint: "Set OIDC_USE_PKCE=True in Linkding's settings.",
        ..PLAIN
    },
    KnownApp {
        id: "mealie",
        name: "Mealie",
        redirects: &["/login"],
        scopes: GROUPS,
        hint: "People need a name here, or Mealie shows the beginning of their address.",
        ..PLAIN
    },
    KnownApp {
        id: "miniflux",
        name: "Miniflux",
        redirects: &["/oauth2/oidc/callback"],
        hint: "Write the issuer without a slash at its end.",
        ..PLAIN
    },
    KnownApp {
        id: "nextcloud",
        name: "Nextcloud",
        redirects: &["/apps/user_oidc/code", "/index.php/apps/user_oidc/code"],
        post_logout: &["/", "/index.php/login"],
        backchannel: Some("/apps/user_oidc/backchannel-logout/authd"),
        scopes: GROUPS,
        hint: "Name the provider `authd` in the app user_oidc: the name is a part of its back-channel address.",
        ..PLAIN
    },
    KnownApp {
        id: "oauth2-proxy",
        name: "OAuth2 Proxy",
        redirects: &["/oauth2/callback"],
        scopes: GROUPS,
        hint: "Set `code_challenge_method = \"S256\"`. People without a proven address are refused by OAuth2 Proxy.",
        ..PLAIN
    },
    KnownApp {
        id: "open-webui",
        name: "Open WebUI",
        redirects: &["/oauth/oidc/callback"],
        scopes: GROUPS,
        hint: "Set OAUTH_CODE_CHALLENGE_METHOD=S256 in Open WebUI's settings.",
        ..PLAIN
    },
    KnownApp {
        id: "outline",
        name: "Outline",
        redirects: &["/auth/oidc.callback"],
        post_logout: &["/"],
        scopes: OFFLINE,
        hint: "Outline shows the name of the account: people need one here.",
        ..PLAIN
    },
    KnownApp {
        id: "paperless-ngx",
        name: "Paperless-ngx",
        redirects: &["/accounts/oidc/authd/login/callback/"],
        hint: "Use `authd` as `provider_id`, and set `\"OAUTH_PKCE_ENABLED\": true`.",
        ..PLAIN
    },
    KnownApp {
        id: "portainer",
        name: "Portainer",
        redirects: &["", "/"],
        has_pkce: false,
        scopes: GROUPS,
        hint: "Set the resource URL to the userinfo endpoint, and the user identifier to `preferred_username`.",
        ..PLAIN
    },
    KnownApp {
        id: "proxmox",
        name: "Proxmox VE",
        redirects: &[""],
        scopes: GROUPS,
        hint: "The address has to have the port that people use (`:8006`), and no slash at its end.",
        ..PLAIN
    },
    KnownApp {
        id: "tailscale",
        name: "Tailscale",
        redirects: &["https://login.tailscale.com/a/oauth_response"],
        has_pkce: false,
        hint: "Tailscale asks the domain of your e-mail address by WebFinger: set `webfinger_domains`.",
        ..PLAIN
    },
    KnownApp {
        id: "vaultwarden",
        name: "Vaultwarden",
        redirects: &["/identity/connect/oidc-signin"],
        scopes: OFFLINE,
        replay_window: Some(600),
        hint: "Vaultwarden takes people with a proven address alone. Set SSO_PKCE=true.",
        ..PLAIN
    },
];

impl KnownApp {
    /// The app of this id.
    pub fn find(id: &str) -> Option<&'static KnownApp> {
        KNOWN_APPS.iter().find(|app| app.id == id)
    }

    /// The registration of this app at `url`, an address without a path that the app itself does not have.
    pub fn registration(&self, url: &str) -> NewClient {
        let base = url.trim_end_matches('/');
        let at = |path: &&str| match path.contains("://") {
            true => (*path).to_owned(),
            false => format!("{base}{path}"),
        };
        let scopes = [scope::OPENID, scope::PROFILE, scope::EMAIL];
        let scopes: Vec<&str> = scopes
            .into_iter()
            .chain(self.scopes.iter().copied())
            .collect();
        let mut grants = vec!["authorization_code".to_owned(), "refresh_token".to_owned()];
        grants.extend(self.has_device_grant.then(|| "device_code".to_owned()));
        NewClient {
            client_id: None,
            is_public: self.is_public,
            app: Some(self.id.to_owned()),
            settings: ClientChange {
                name: Some(self.name.to_owned()),
                redirect_uris: Some(self.redirects.iter().map(at).collect()),
                post_logout_redirect_uris: Some(self.post_logout.iter().map(at).collect()),
                grant_types: Some(grants),
                scope: Some(scopes.join(" ")),
                require_pkce: Some(self.has_pkce),
                replay_window: Some(self.replay_window),
                backchannel_logout_uri: Some(self.backchannel.as_ref().map(at)),
                ..ClientChange::default()
            },
        }
    }

    /// Whether the operator has to say where the app is.
    pub fn needs_url(&self) -> bool {
        !self.redirects.iter().all(|path| path.contains("://"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::oauth::client::redirect_uri;

    #[test]
    fn every_known_app_can_be_registered() {
        assert!(KNOWN_APPS.is_sorted_by_key(|app| app.id));
        for app in KNOWN_APPS {
            let registration = app.registration("https://app.example.org/");
            let settings = registration.settings;
            for uri in settings
                .redirect_uris
                .iter()
                .flatten()
                .chain(settings.post_logout_redirect_uris.iter().flatten())
            {
                assert_eq!(redirect_uri::check(uri), Ok(()), "{}", app.id);
                assert!(!uri.contains("org//"), "{uri}");
            }
            assert!(!settings.redirect_uris.unwrap_or_default().is_empty());
            assert!(
                app.hint.ends_with('.') && !app.name.is_empty(),
                "{}",
                app.id
            );
        }
    }
}
