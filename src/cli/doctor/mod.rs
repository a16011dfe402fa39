//! `authd doctor`: checks what an installation depends on, and says what to do about each problem.
//!
//! It works next to a running server, on a file that no server uses, and before there is a file. It opens the database
//! read-only and changes nothing. It sends a message or requests only if an option asks for that.
//!
//! `store`, `service` and `http` gather facts. Pure functions in this folder judge them; each result is a [`Finding`]. A
//! check that makes no sense after another has failed, such as without a readable file, is left out.

pub(super) mod client;
mod file;
pub(super) mod finding;
mod mail;
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
        let findings = self.examine(common);
        out.findings(&findings)?;
        let problems = count(&findings, State::Problem);
        match problems {
            0 => Ok(()),
            1 => Err(Failure::Refused(
                "1 problem was found. Solve it, then run `authd doctor` again.".into(),
            )),
            _ => Err(Failure::Refused(format!(
                "{problems} problems were found. Solve them, then run `authd doctor` again."
            ))),
        }
    }

    fn examine(&self, common: &Common) -> Vec<Finding> {
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
        let through_proxy = self.url.as_ref().map(|url| match &inside {
            Some(inside) => proxy::examine(&loaded.config, url, &inside.database, &clock),
            None => proxy::Examined::without_a_database(),
        });
        let server = through_proxy
            .as_ref()
            .and_then(|examined| examined.server.as_ref());
        findings.extend(match server {
            Some(server) => settings::public_url_of_server(server, &loaded.config),
            None => settings::public_url(&loaded.config),
        });
        let examination = inside.as_ref().map(|inside| &inside.examination);
        findings.extend(mail::route(&loaded.config, examination, clock.now()));
        if let Some(to) = &self.mail_to {
            findings.push(mail::send_test_message(&loaded.config, to, &clock));
        }
        findings.extend(
            through_proxy
                .into_iter()
                .flat_map(|examined| examined.findings),
        );
        findings
    }
}
