//! The token endpoint (RFC 6749 §3.2): what a client gets for a code, a refresh token or its own secret.
//!
//! A transaction decides and writes; the tokens are signed after its commit, on the thread of the request. An RSA signature
//! takes ten times as long as all the rest.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::secret::{AuthorizationCode, RefreshToken};
use crate::service::context::Context;
use crate::service::error::unexpected;
use crate::service::oauth::authorization::require_use;
use crate::service::oauth::claims::{self, Authentication};
use crate::service::oauth::client::{Client, GrantType};
use crate::service::oauth::code::{PresentedCode, read_verifier, redeem};
use crate::service::oauth::grant::{Granted, wrong};
use crate::service::oauth::scope::{self, Scopes};
use crate::service::token::refresh::{Presented, invalid_grant};
use crate::service::{Authd, Code, Device, Error};
use crate::store::params;

/// A request to the token endpoint, whose client was authenticated.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenRequest<'a> {
    /// What is presented.
    pub grant_type: &'a str,
    /// An authorization code.
    pub code: Option<&'a str>,
    /// The redirect address of the request that the code answered.
    pub redirect_uri: Option<&'a str>,
    /// The PKCE verifier.
    pub code_verifier: Option<&'a str>,
    /// A refresh token.
    pub refresh_token: Option<&'a str>,
    /// A device code.
    pub device_code: Option<&'a str>,
    /// The scope, if less is wanted than was granted.
    pub scope: Option<&'a str>,
    /// The server for which the access token is to be.
    pub resource: Option<&'a str>,
}

/// What the client gets (RFC 6749 §5.1, OpenID Connect Core §3.1.3.3).
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Tokens {
    /// A signed JWT (RFC 9068).
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// Seconds until the access token expires.
    pub expires_in: u64,
    /// The next refresh token, if the client may refresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// What was granted.
    pub scope: String,
    /// Who signed in, if the scope has `openid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
}

impl Authd {
    /// Answers a request to the token endpoint.
    ///
    /// # Errors
    /// Those of RFC 6749 §5.2: [`Code::InvalidGrant`], [`Code::InvalidRequest`], [`Code::UnauthorizedClient`],
    /// [`Code::UnsupportedGrantType`], [`Code::InvalidScope`], [`Code::InvalidTarget`].
    pub fn exchange(
        &self,
        client: &Arc<Client>,
        request: &TokenRequest<'_>,
        device: &Device,
    ) -> Result<Tokens, Error> {
        let grant = GrantType::read(request.grant_type).ok_or_else(|| {
            Error::no(
                Code::UnsupportedGrantType,
                "This server does not have this grant type.",
            )
        })?;
        if !client.may_use(grant) {
            return Err(Error::no(
                Code::UnauthorizedClient,
                format!(
                    "The client is not registered for the grant {}.",
                    grant.as_str()
                ),
            ));
        }
        match grant {
            GrantType::AuthorizationCode => self.exchange_code(client, request, device),
            GrantType::RefreshToken => self.exchange_refresh_token(client, request, device),
            GrantType::ClientCredentials => self.exchange_credentials(client, request),
            GrantType::DeviceCode => self.exchange_device_code(client, request, device),
        }
    }

    fn exchange_code(
        &self,
        client: &Arc<Client>,
        request: &TokenRequest<'_>,
        device: &Device,
    ) -> Result<Tokens, Error> {
        let code = required(request.code, "code")?;
        let code = AuthorizationCode::read(code).ok_or_else(invalid_code)?;
        let redirect_uri = required(request.redirect_uri, "redirect_uri")?.to_owned();
        let challenge = read_verifier(request.code_verifier)?;
        let resource = read_resource(client, request.resource)?;
        let (presenter, from) = (Arc::clone(client), device.clone());
        let granted = self.write(Some(device), move |cx| {
            let presented = PresentedCode {
                redirect_uri: &redirect_uri,
                challenge: challenge.as_deref(),
                resource: resource.as_deref(),
            };
            redeem(cx, &presenter, &code, &presented, &from)
        })?;
        self.issue_tokens(client, granted.ok_or_else(invalid_code)?)
    }

    fn exchange_refresh_token(
        &self,
        client: &Arc<Client>,
        request: &TokenRequest<'_>,
        device: &Device,
    ) -> Result<Tokens, Error> {
        let token = required(request.refresh_token, "refresh_token")?;
        let token = RefreshToken::read(token, &self.settings.tag_key).ok_or_else(invalid_grant)?;
        let asked = request
            .scope
            .map(|text| read_scope(Some(text)))
            .transpose()?;
        let resource = read_resource(client, request.resource)?;
        let presenter = Arc::clone(client);
        let granted = self.present(token, client.key, None, device, move |cx, presented| {
            refreshed(
                cx,
                &presenter,
                presented,
                asked.as_ref(),
                resource.as_deref(),
            )
        })?;
        self.issue_tokens(client, granted)
    }

    /// RFC 6749 §4.4: the client's own token. There is no account, so there is no ID token and no refresh token.
    fn exchange_credentials(
        &self,
        client: &Client,
        request: &TokenRequest<'_>,
    ) -> Result<Tokens, Error> {
        if client.is_public() {
            return Err(Error::no(
                Code::UnauthorizedClient,
                "A client without a secret cannot authenticate itself.",
            ));
        }
        let resource = read_resource(client, request.resource)?;
        let asked = read_scope(request.scope)?;
        // The words that disclose something of an account mean nothing here.
        let own = client
            .scope
            .iter()
            .filter(|word| !scope::KNOWN.contains(word))
            .collect();
        let granted = match request.scope {
            Some(_) => asked.within(&own),
            None => own,
        };
        Ok(Tokens {
            access_token: self.sign_client_token(client, &granted, resource.as_deref())?,
            token_type: "Bearer",
            expires_in: client.access_token_lifetime(self).as_secs(),
            refresh_token: None,
            scope: granted.to_string(),
            id_token: None,
        })
    }

    /// Signs what a transaction granted.
    pub(in crate::service) fn issue_tokens(
        &self,
        client: &Client,
        granted: Granted,
    ) -> Result<Tokens, Error> {
        let Granted {
            family,
            refresh_token,
            authentication,
            identity,
            scope,
            resource,
            nonce,
        } = granted;
        let access_token = self.sign_app_token(
            client,
            family,
            &authentication,
            &identity,
            &scope,
            resource.as_deref(),
        )?;
        let id_token = match scope.has(scope::OPENID) {
            true => Some(self.sign_id_token(
                client,
                &identity,
                &authentication,
                nonce.as_deref(),
                &access_token,
            )?),
            false => None,
        };
        Ok(Tokens {
            access_token,
            token_type: "Bearer",
            expires_in: client.access_token_lifetime(self).as_secs(),
            refresh_token: refresh_token.map(|token| token.reveal(&self.settings.tag_key)),
            scope: scope.to_string(),
            id_token,
        })
    }
}

/// What a refresh grants: what the family was granted, or less.
fn refreshed(
    cx: &Context<'_>,
    client: &Client,
    presented: Presented,
    asked: Option<&Scopes>,
    resource: Option<&str>,
) -> Result<Granted, Error> {
    let Presented {
        token,
        family,
        holder,
        ..
    } = presented;
    let granted = Scopes::from_row(holder.scope.as_deref().unwrap_or_default());
    let stored: Option<(Option<String>, Timestamp, String)> = cx.row(
        "SELECT resource, auth_time, amr FROM oauth_grant WHERE family_id = ?1",
        params![family.key],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let (own_resource, auth_time, amr) =
        stored.ok_or_else(|| unexpected("a family of an app has no grant"))?;
    let scope = match asked {
        // req 49
        Some(asked) if !granted.include(asked) => {
            return Err(Error::no(
                Code::InvalidScope,
                "The scope is wider than the one that was granted.",
            ));
        }
        Some(asked) if !asked.is_empty() => asked.clone(),
        // What the client may not ask for any more is not granted any more.
        _ => granted,
    };
    let scope = scope.within(&client.scope);
    if resource.is_some() && own_resource.as_deref() != resource {
        return Err(Error::no(
            Code::InvalidTarget,
            "The refresh token was granted for another resource.",
        ));
    }
    require_use(cx, client, holder.account.key)
        .map_err(|_| wrong("The account may not use this app any more."))?;
    Ok(Granted {
        family: token.family,
        identity: claims::identity(cx, &holder.account, &scope)?,
        refresh_token: Some(token),
        authentication: Authentication {
            session: family.session_id,
            auth_time,
            amr,
        },
        scope,
        resource: own_resource,
        // OpenID Connect Core §12.2: the ID token of a refresh has none.
        nonce: None,
    })
}

/// A parameter that the grant cannot do without.
pub(in crate::service) fn required<'a>(
    value: Option<&'a str>,
    name: &str,
) -> Result<&'a str, Error> {
    let value = value.filter(|value| !value.is_empty());
    value.ok_or_else(|| Error::invalid(format!("The parameter {name} is missing.")))
}

pub(in crate::service) fn read_scope(text: Option<&str>) -> Result<Scopes, Error> {
    Scopes::read(text.unwrap_or_default()).ok_or_else(|| {
        Error::no(
            Code::InvalidScope,
            "The scope has a character that no scope has, or is too long.",
        )
    })
}

pub(in crate::service) fn read_resource(
    client: &Client,
    asked: Option<&str>,
) -> Result<Option<String>, Error> {
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else {
        return Ok(None);
    };
    let resource = client.resource(asked).map(str::to_owned);
    resource.map(Some).ok_or_else(|| {
        Error::no(
            Code::InvalidTarget,
            "The client is not registered for this resource.",
        )
    })
}

/// One answer for an unknown, expired, used and foreign code.
fn invalid_code() -> Error {
    wrong("The code is unknown, was used, has expired, or is of another client.")
}
