//! Values that contradict each other, and values that are allowed but dangerous.

use super::ConfigError;
use super::key::{Key, Source, Sources};
use super::table::Config;
use crate::mail::Route;
use crate::policy::{Registration, Verification};

impl Sources {
    /// Refuses values that contradict each other.
    pub(super) fn check_together(&self, config: &Config) -> Result<(), ConfigError> {
        if config.session_lifetime < config.session_idle_lifetime {
            return Err(ConfigError(format!(
                "{} is shorter than {}.\nA session can't be idle for longer than it lives: raise \
                 {} or lower {}.",
                self.find(&Key::session_lifetime)?.spelled,
                self.find(&Key::session_idle_lifetime)?.spelled,
                Key::session_lifetime.name,
                Key::session_idle_lifetime.name,
            )));
        }
        let url = &config.public_url;
        if !url.is_https() && !url.is_loopback() && !config.allow_http {
            return Err(ConfigError(format!(
                "{} is refused: without TLS, passwords and tokens can be read on the way.\n\
                 Use https://, or on a network that you trust set {}.",
                self.find(&Key::public_url)?.spelled,
                Key::allow_http.spell(&Source::Default, "true"),
            )));
        }
        if config.mail == Route::Log && !url.is_loopback() {
            return Err(ConfigError(format!(
                "{} is refused: a user who reads the log could take over accounts.\n\
                 It is for trying authd on one machine. Set {}, or the URL of a mail server.",
                self.find(&Key::mail)?.spelled,
                Key::mail.spell(&Source::Default, "off"),
            )));
        }
        Ok(())
    }
}

/// A warning for each value that is allowed but dangerous.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let url = &config.public_url;
    if !url.is_https() && !url.is_loopback() {
        warnings.push(format!(
            "public_url is {url}: without TLS, passwords and tokens can be read on the way."
        ));
    }
    if config.mail.is_exposed() {
        warnings.push(format!(
            "mail is {}: without TLS, links that set a password can be read on the way.",
            config.mail
        ));
    }
    let waits = config.verification == Verification::Required;
    if waits && config.mail == Route::Off && config.registration != Registration::Closed {
        warnings.push(
            "verification is required and mail is off: a registration waits until an operator prints its link with \
             `authd user verify-link`. `authd user list --waiting` lists them."
                .to_owned(),
        );
    }
    for network in config
        .trusted_proxies
        .iter()
        .filter(|network| network.prefix_len() == 0)
    {
        warnings.push(format!(
            "trusted_proxies has {network}: every client can claim to come from any address."
        ));
    }
    warnings
}
