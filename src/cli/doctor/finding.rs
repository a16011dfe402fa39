//! What `authd doctor` finds.

use serde::Serialize;

/// The result of one check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// What was checked: `database`, `clock`.
    pub check: &'static str,
    pub state: State,
    /// What was found, in a sentence.
    pub found: String,
    /// What to do; `None` if nothing needs to be done. Commands and settings to copy are on lines of their own, which begin
    /// with four spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// How serious it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// It works, but may stop working, or does not work for every client.
    Warning,
    /// It does not work, or is not safe.
    Problem,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Problem => "problem",
        }
    }
}

impl Finding {
    pub fn ok(check: &'static str, found: impl Into<String>) -> Finding {
        Finding {
            check,
            state: State::Ok,
            found: found.into(),
            next: None,
        }
    }

    pub fn warning(
        check: &'static str,
        found: impl Into<String>,
        next: impl Into<String>,
    ) -> Finding {
        Finding {
            state: State::Warning,
            next: Some(next.into()),
            ..Finding::ok(check, found)
        }
    }

    pub fn problem(
        check: &'static str,
        found: impl Into<String>,
        next: impl Into<String>,
    ) -> Finding {
        Finding {
            state: State::Problem,
            ..Finding::warning(check, found, next)
        }
    }

    /// A problem whose text already says what to do.
    pub fn refusal(check: &'static str, found: impl Into<String>) -> Finding {
        Finding {
            state: State::Problem,
            ..Finding::ok(check, found)
        }
    }
}

/// How many findings are in this state.
pub fn count(findings: &[Finding], state: State) -> usize {
    findings.iter().filter(|found| found.state == state).count()
}
