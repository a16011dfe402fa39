//! Signing in on a device that shows a code.

use askama::Template;

use super::parts::{Device, Field};
use super::{FieldError, Shell, view};

/// `GET` and `POST /device`: field `user_code`.
#[derive(Template)]
#[template(path = "pages/type_code.html")]
pub struct TypeCode<'a> {
    pub shell: &'a Shell<'a>,
    pub user_code: &'a str,
    pub errors: Vec<FieldError>,
}

view!(TypeCode, title: |it, t| t.device_title(), errors: errors);

/// `POST /device`: fields `user_code`, and `decision` (`allow`, `deny`).
#[derive(Template)]
#[template(path = "pages/allow_device.html")]
pub struct AllowDevice<'a> {
    pub shell: &'a Shell<'a>,
    pub app: &'a str,
    pub email: &'a str,
    pub scopes: Vec<&'a str>,
    pub device: Device<'a>,
    pub address: &'a str,
    pub user_code: &'a str,
}

view!(AllowDevice, title: |it, t| t.device_allow_title(it.app));

/// After it.
#[derive(Template)]
#[template(path = "pages/device_done.html")]
pub struct DeviceDone<'a> {
    pub shell: &'a Shell<'a>,
    pub app: &'a str,
    pub is_allowed: bool,
}

view!(DeviceDone, title: |it, t| match it.is_allowed {
    true => t.device_done_title(),
    false => t.device_denied_title(),
});
