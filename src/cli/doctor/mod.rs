//! `authd doctor`: looks at what an installation depends on, and says what to do about what it finds.
//!
//! It works beside a running server, on a file at rest, and where there is no file yet, and changes nothing: neither the
//! database, which is opened for looking only, nor a setting. What it does is what it is asked for: to send a letter, and
//! to send requests through the proxy.
//!
//! Facts are gathered by the floors below; here they are judged, by pure functions of what was found, each a [`Finding`].
//! Where one look shows that another makes no sense (no file, none that can be read), the other is left out.

pub(super) mod client;
mod file;
pub(super) mod finding;
mod proxy;
mod settings;

use clap::Args;

use super::output::Output;
use super::{Common, Failure, log_to_stderr};
use crate::clock::Clock;
use crate::config::{LogFormat, LogLevel, PublicUrl};
use finding::{Finding, State, count};

#[derive(Args)]
pub(super) struct Doctor {
    /// Send a test message to this address, and print the mail server's answer
    #[arg(long, value_name = "ADDRESS")]
    mail_to: Option<String>,
    /// Send requests to the running server through this URL, and print what to change in the proxy
    #[arg(long, value_name = "URL", value_parser = PublicUrl::parse)]
    url: Option<PublicUrl>,
}

impl Doctor {
    pub fn run(self, common: &Common, out: &Output) -> Result<(), Failure> {
        log_to_stderr(LogFormat::Text, LogLevel::Error);
        let findings = self.look(common);
        out.findings(&findings)?;
        let problems = count(&findings, State::Problem);
        match problems {
            0 => Ok(()),
            1 => Err(Failure::Refused("1 problem was found.".into())),
            _ => Err(Failure::Refused(format!("{problems} problems were found."))),
        }
    }

    fn look(&self, common: &Common) -> Vec<Finding> {
        let loaded = match common.load(Vec::new()) {
            Ok(loaded) => loaded,
            Err(Failure::Configuration(why) | Failure::Refused(why) | Failure::Internal(why)) => {
                return vec![Finding::refusal("settings", why)];
            }
        };
        let clock = Clock::system();
        let mut findings = settings::sources(&loaded);
        let inside = file::look(&loaded.config, &clock, &mut findings);
        findings.push(settings::memory(&loaded.config, loaded.memory));
        let asked = self.url.as_ref().map(|url| match &inside {
            Some(inside) => proxy::look(&loaded.config, url, &inside.database, &clock),
            None => proxy::Asked::without_a_database(),
        });
        let served = asked.as_ref().and_then(|asked| asked.served.as_ref());
        findings.extend(match served {
            Some(served) => settings::served_url(served, &loaded.config),
            None => settings::public_url(&loaded.config),
        });
        let examination = inside.as_ref().map(|inside| &inside.examination);
        findings.extend(settings::mail(&loaded.config, examination, clock.now()));
        if let Some(to) = &self.mail_to {
            findings.push(settings::trial(&loaded.config, to, &clock));
        }
        findings.extend(asked.into_iter().flat_map(|asked| asked.findings));
        findings
    }
}
