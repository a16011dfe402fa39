//! What concerns the server as a whole: its signing keys, and the settings that it runs with.

use crate::http::SettingInForce;
use crate::http::error::HttpError;
use crate::http::pages::view::Notice;
use crate::http::pages::view::admin::operations::{
    KeyRow, KeyState, Keys, RotateKey, SettingRow, Settings,
};
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::service::{Administration, SigningKeyInfo};

const KEYS: &str = "/admin/keys";

pub(in crate::http) fn list_keys(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    (): (),
) -> Result<Response, HttpError> {
    let keys = administration.authd().signing_keys()?;
    Ok(visitor.show(&Keys {
        shell: &visitor.shell(),
        keys: keys.iter().rev().map(key_row).collect(),
    }))
}

fn key_row(key: &SigningKeyInfo) -> KeyRow<'_> {
    KeyRow {
        kid: &key.kid,
        algorithm: &key.algorithm,
        state: match key.state {
            "next" => KeyState::Next,
            "signing" => KeyState::Signing,
            _ => KeyState::Retired,
        },
        signs_from: key.signs_from,
    }
}

pub(in crate::http) fn show_rotate(
    visitor: &Visitor<'_>,
    _: &Administration<'_>,
    (): (),
) -> Result<Response, HttpError> {
    let shell = visitor.shell();
    Ok(visitor.show(&RotateKey { shell: &shell }))
}

pub(in crate::http) fn rotate(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    (): (),
) -> Result<Response, HttpError> {
    administration.rotate_signing_key()?;
    Ok(visitor.go_with(KEYS, Notice::KeyRotated))
}

pub(in crate::http) fn list_settings(
    visitor: &Visitor<'_>,
    _: &Administration<'_>,
    (): (),
) -> Result<Response, HttpError> {
    let settings = visitor.call.settings_in_force;
    Ok(visitor.show(&Settings {
        shell: &visitor.shell(),
        settings: settings.iter().map(setting_row).collect(),
    }))
}

fn setting_row(setting: &SettingInForce) -> SettingRow<'_> {
    SettingRow {
        name: &setting.name,
        value: &setting.value,
        source: Some(setting.source.as_str()).filter(|source| *source != "default"),
    }
}
