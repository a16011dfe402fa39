//! Locked accounts, signing keys and the settings in force.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{account_of, administration};
use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::pages::view::Notice;
use crate::http::pages::view::admin::operations::{
    KeyRow, KeyState, Keys, Locked, LockedRow, RotateKey, SettingRow, Settings,
};
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::service::Browser;

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct AccountForm {
    #[serde(default)]
    account: String,
}

pub(in crate::http) fn list_locked(
    visitor: &Visitor<'_>,
    _: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    let locked = visitor.call.authd.locked_accounts()?;
    let texts: Vec<(String, Vec<String>)> = locked
        .iter()
        .map(|one| {
            let addresses = one.addresses.iter().map(ToString::to_string).collect();
            (one.id.to_string(), addresses)
        })
        .collect();
    let rows = std::iter::zip(&texts, &locked).map(|((id, addresses), one)| LockedRow {
        id,
        email: &one.email,
        failures: u64::from(one.failures),
        last_at: one.last_at,
        locked_until: one.locked_until,
        addresses: addresses.iter().map(String::as_str).collect(),
    });
    Ok(visitor.show(&Locked {
        shell: &visitor.shell(),
        accounts: rows.collect(),
    }))
}

pub(in crate::http) fn unlock(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Form(form): Form<AccountForm>,
) -> Result<Response, HttpError> {
    let account = account_of(&form.account)?;
    administration(visitor, browser)?.unlock_account(&account)?;
    Ok(visitor.go_with("/admin/locked", Notice::AccountUnlocked))
}

pub(in crate::http) fn list_keys(
    visitor: &Visitor<'_>,
    _: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    let keys = visitor.call.authd.signing_keys()?;
    let rows = keys.iter().map(|key| KeyRow {
        kid: &key.kid,
        algorithm: &key.algorithm,
        state: match key.state {
            "next" => KeyState::Next,
            "signing" => KeyState::Signing,
            _ => KeyState::Retired,
        },
        signs_from: key.signs_from,
    });
    Ok(visitor.show(&Keys {
        shell: &visitor.shell(),
        keys: rows.collect(),
    }))
}

pub(in crate::http) fn ask_rotate(
    visitor: &Visitor<'_>,
    _: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    Ok(visitor.show(&RotateKey {
        shell: &visitor.shell(),
    }))
}

pub(in crate::http) fn rotate(
    visitor: &Visitor<'_>,
    browser: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    administration(visitor, browser)?.rotate_signing_key()?;
    Ok(visitor.go_with("/admin/keys", Notice::KeyRotated))
}

pub(in crate::http) fn list_settings(
    visitor: &Visitor<'_>,
    _: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    let settings = visitor.call.settings_in_force.iter();
    let rows = settings.map(|setting| SettingRow {
        name: &setting.name,
        value: &setting.value,
        source: Some(setting.source.as_str()).filter(|source| *source != "default"),
    });
    Ok(visitor.show(&Settings {
        shell: &visitor.shell(),
        settings: rows.collect(),
    }))
}
