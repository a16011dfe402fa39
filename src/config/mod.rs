//! Settings: one table, four sources, one [`Config`].
//!
//! Every setting is one entry of the `settings!` table in `table`. The fields of [`Config`], the check for unknown keys, the
//! output of `authd config` and the table in the documentation are made from it. A new key is one entry, and some lines in
//! `examples/authd.toml`; a test checks that they are there.
//!
//! A value comes from a flag, else from an `AUTHD_<KEY>` environment variable, else from one flat TOML file, else from the
//! table. The text of each source is read by the same parser, so that `30d` means the same in all of them.
//!
//! These rules always hold:
//!
//! * *A mistake in the file is an error.* If a misspelt key were ignored, the server would run with a default that the
//!   operator did not choose. So an unknown key or table is an error that names the nearest key, and a wrong value is an
//!   error that shows a right one. An unknown variable is a warning, because another program may have set it.
//! * *A file that another user may have written is used only if it is named*: see `sources`.
//! * *No other module reads the environment*, and this one does so only in [`Inputs::from_process`] and, for the variables
//!   of a service manager, in [`Supervision::from_process`]. [`load`] works on [`Inputs`] alone, so tests need no process
//!   state.
//! * *No secret is printed.* Users paste errors and the output of `authd config` into bug reports. The one setting with a
//!   secret, the URL of the mail server, is shown without its password.
//! * *Nothing is opened, bound or resolved*, except the settings file and the files of the kernel that tell how much memory
//!   there is.

mod checks;
mod defaults;
mod key;
mod origin;
mod process;
mod sources;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use checks::warnings;
use key::Sources;
pub use key::{Key, Setting, Source};
pub use origin::{Origin, PublicUrl};
pub use process::{Inputs, Supervision};
use sources::{FoundFile, find_file};
pub use table::{Config, KEYS};
pub use values::{Colour, LogFormat, LogLevel};

use crate::mail::Route;
use crate::password;
use crate::policy::Policy;
pub use crate::policy::{Registration, Verification};

/// The settings together with where each came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings in force.
    pub config: Config,
    /// The same as text, in the order of [`KEYS`].
    pub settings: Vec<Setting>,
    /// What every command tells its operator about the sources: one or two sentences each.
    pub notices: Vec<String>,
    /// The file that was read, if any. It may have set nothing.
    pub file: Option<PathBuf>,
    /// Memory that this process may use, in bytes, where the system tells.
    pub memory: Option<u64>,
}

/// Why the settings can't be used and what to do next, in one to three lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// Finds every setting in its strongest source: flag, environment, file, default.
///
/// # Errors
///
/// A named file that can't be read or is not TOML, a key that does not exist, a value outside its
/// bounds, and values that contradict each other. The first mistake found is reported.
pub fn load(mut inputs: Inputs) -> Result<Loaded, ConfigError> {
    let mut sources = Sources {
        given: BTreeMap::new(),
        memory: inputs.memory,
        unknown: Vec::new(),
    };
    // An empty variable is unset: `docker compose` passes a variable that has no value as an empty one. (fault 10)
    inputs.environment.retain(|(_, value)| !value.is_empty());
    // Weakest first: what comes later replaces what was there.
    let mut notices = Vec::new();
    let file = find_file(&inputs, &mut notices)?;
    if let Some(FoundFile { path, bytes }) = &file {
        sources.add_file(path, bytes)?;
    }
    sources.add_environment(&inputs.environment)?;
    sources.add_flags(&inputs.flags)?;

    let (mut config, settings) = sources.read_all()?;
    sources.check_together(&config)?;
    config.warnings = warnings(&config);
    notices.append(&mut sources.unknown);
    Ok(Loaded {
        config,
        settings,
        notices,
        file: file.map(|file| file.path),
        memory: inputs.memory,
    })
}

impl Config {
    /// The policy of the service with these settings.
    ///
    /// # Errors
    ///
    /// The password rules refuse `password_min_length`.
    pub fn policy(&self) -> Result<Policy, ConfigError> {
        let issuer = self.public_url.as_str().to_owned();
        let password = password::Policy::new(self.password_min_length, &[&issuer])
            .map_err(|error| ConfigError(error.to_string()))?;
        Ok(Policy {
            issuer,
            registration: self.registration,
            verification: self.verification,
            password,
            access_token_lifetime: self.access_token_lifetime,
            session_idle_lifetime: self.session_idle_lifetime,
            session_lifetime: self.session_lifetime,
            replay_window: self.replay_window,
            signing_key_lifetime: self.signing_key_lifetime,
            event_retention: self.event_retention,
            sends_mail: self.mail != Route::Off,
        })
    }
}
