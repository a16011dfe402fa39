//! What the settings need from the process and its machine: environment, places of the file, memory, service manager.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ConfigError;
use super::key::VARIABLE_PREFIX;
use super::table::is_read;
use super::text::digits;

/// The inputs of [`load`](super::load). [`Inputs::from_process`] takes it from this process.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The file that `--config` names. It must exist.
    pub file: Option<PathBuf>,
    /// Flags, each as a key of the table and a text. The last flag for a key counts.
    pub flags: Vec<(&'static str, String)>,
    /// Environment variables. Only names that begin with `AUTHD_` matter.
    pub environment: Vec<(String, String)>,
    /// The file of the working directory, for when neither `--config` nor `AUTHD_CONFIG` names one. It is used only if
    /// no other user could have written it.
    pub local_file: Option<PathBuf>,
    /// The file of the system, for when there is none in the working directory.
    pub system_file: Option<PathBuf>,
    /// Effective user of this process; 0 is root.
    pub user: u32,
    /// Memory that this process may use, in bytes, where the system tells.
    pub memory: Option<u64>,
}

impl Inputs {
    /// Takes the environment, user and memory of this process, and the usual places of the file: `./authd.toml`, then
    /// `/etc/authd/authd.toml`.
    ///
    /// # Errors
    ///
    /// An `AUTHD_…` variable that is not UTF-8.
    pub fn from_process(
        file: Option<PathBuf>,
        flags: Vec<(&'static str, String)>,
    ) -> Result<Inputs, ConfigError> {
        let mut environment = Vec::new();
        for (name, value) in std::env::vars_os() {
            // Variables of other programs need not be UTF-8.
            let Some(name) = name
                .to_str()
                .filter(|name| name.starts_with(VARIABLE_PREFIX))
            else {
                continue;
            };
            let value = match value.into_string() {
                Ok(value) => value,
                // Only the name of a variable that is not a setting is used.
                Err(value) if !is_read(name) => value.to_string_lossy().into_owned(),
                Err(_) => {
                    return Err(ConfigError(format!(
                        "{name} in the environment is not valid UTF-8.\nSet it again, or unset it."
                    )));
                }
            };
            environment.push((name.to_owned(), value));
        }
        Ok(Inputs {
            file,
            flags,
            environment,
            local_file: Some("authd.toml".into()),
            system_file: Some("/etc/authd/authd.toml".into()),
            user: rustix::process::geteuid().as_raw(),
            memory: memory_available(Path::new("/")),
        })
    }
}

/// The variables that systemd sets for a process that it starts (sd_notify(3), sd_watchdog_enabled(3)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supervision {
    /// The datagram socket for notifications: a path, or an abstract name after `@`.
    pub socket: OsString,
    /// After this long without a notification the service manager restarts the process.
    pub watchdog: Option<Duration>,
}

impl Supervision {
    /// The variables of this process; `None` if no service manager started it.
    pub fn from_process() -> Option<Supervision> {
        Supervision::read(|name| std::env::var_os(name), std::process::id())
    }

    fn read(variable: impl Fn(&str) -> Option<OsString>, process: u32) -> Option<Supervision> {
        let socket = variable("NOTIFY_SOCKET").filter(|socket| !socket.is_empty())?;
        let number = |name| digits::<u64>(variable(name)?.to_str()?);
        // The process that the watchdog is for. A wrapper may have passed on variables that are meant for itself.
        let is_ours = variable("WATCHDOG_PID").is_none()
            || number("WATCHDOG_PID") == Some(u64::from(process));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| is_ours && *micros > 0);
        Some(Supervision {
            socket,
            watchdog: watchdog.map(Duration::from_micros),
        })
    }
}

/// Memory that this process may use, in bytes: the least of the machine's and of the limits of its
/// control group and of all groups above it, under `root`. `None` where none of them is known.
pub(super) fn memory_available(root: &Path) -> Option<u64> {
    let machine = fs::read_to_string(root.join("proc/meminfo"))
        .ok()
        .and_then(|text| {
            let kibibytes = text
                .lines()
                .find_map(|line| line.strip_prefix("MemTotal:"))?;
            digits::<u64>(kibibytes.trim().strip_suffix(" kB")?)?.checked_mul(1024)
        });
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().filter_map(|line| group_limit(root, line));
    machine.into_iter().chain(limits).min()
}

/// The least limit along one line of `/proc/self/cgroup`, `hierarchy:controllers:path` (cgroups(7)).
pub(super) fn group_limit(root: &Path, line: &str) -> Option<u64> {
    let mut fields = line.splitn(3, ':');
    let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let (mount, file) = if controllers.is_empty() {
        (root.join("sys/fs/cgroup"), "memory.max")
    } else if controllers.split(',').any(|name| name == "memory") {
        (root.join("sys/fs/cgroup/memory"), "memory.limit_in_bytes")
    } else {
        return None;
    };
    // In a container the path may be the host's, of which only the mount itself exists here.
    let group = mount.join(path.trim_start_matches('/'));
    group
        .ancestors()
        .take_while(|directory| directory.starts_with(&mount))
        // Version 2 writes "max" for no limit, version 1 a number beyond any memory.
        .filter_map(|directory| digits(fs::read_to_string(directory.join(file)).ok()?.trim()))
        .min()
}

#[cfg(test)]
mod tests {
    use bytesize::{GIB, MIB};

    use super::*;

    #[test]
    fn memory_is_the_least_of_the_machine_and_every_control_group() {
        const V1_UNLIMITED: &str = "9223372036854771712\n";
        let available = |files: &[(&str, &str)]| {
            let root = tempfile::tempdir().unwrap();
            for (name, text) in files {
                let path = root.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            memory_available(root.path())
        };
        let machine = ("proc/meminfo", "MemTotal:    1048576 kB\nMemFree: 1 kB\n");
        let group = |text| ("proc/self/cgroup", text);
        assert_eq!(available(&[]), None);
        assert_eq!(available(&[machine]), Some(GIB));
        assert_eq!(available(&[("proc/meminfo", "MemTotal: lots\n")]), None);
        assert_eq!(
            available(&[machine, group("nonsense\n0::\n:::::\n\n")]),
            Some(GIB)
        );

        let limit = |text| ("sys/fs/cgroup/memory.max", text);
        assert_eq!(
            available(&[machine, group("0::/\n"), limit("max\n")]),
            Some(GIB)
        );
        assert_eq!(
            available(&[machine, group("0::/\n"), limit("50331648\n")]),
            Some(48 * MIB)
        );
        let a_slice_with_less_than_its_service = [
            machine,
            group("0::/a.slice/authd.service\n"),
            ("sys/fs/cgroup/a.slice/memory.max", "104857600\n"),
            (
                "sys/fs/cgroup/a.slice/authd.service/memory.max",
                "209715200\n",
            ),
        ];
        assert_eq!(
            available(&a_slice_with_less_than_its_service),
            Some(100 * MIB)
        );

        let version_1 = |text| ("sys/fs/cgroup/memory/memory.limit_in_bytes", text);
        let path_of_the_host = group("5:cpu,cpuacct:/x\n4:memory:/docker/0123\n0::/docker/0123\n");
        let limited = [machine, path_of_the_host, version_1("67108864\n")];
        assert_eq!(available(&limited), Some(64 * MIB));
        let unlimited = [machine, path_of_the_host, version_1(V1_UNLIMITED)];
        assert_eq!(available(&unlimited), Some(GIB));
    }

    #[test]
    fn a_service_manager_says_how_it_wants_to_be_told() {
        type Variables<'a> = &'a [(&'a str, &'a str)];
        let read = |pairs: Variables<'_>| {
            let variable = |name: &str| {
                let pair = pairs.iter().find(|(known, _)| *known == name);
                pair.map(|(_, value)| OsString::from(value))
            };
            let found = Supervision::read(variable, 42);
            found.map(|found| (found.socket, found.watchdog.map(|time| time.as_micros())))
        };
        let (socket, micros) = (("NOTIFY_SOCKET", "@sd"), ("WATCHDOG_USEC", "3000000"));
        let rows: [(Variables<'_>, _); 9] = [
            (&[], None),
            (&[("NOTIFY_SOCKET", "")], None),
            (&[("WATCHDOG_USEC", "3000000")], None),
            (&[socket], Some(None)),
            (&[socket, micros], Some(Some(3_000_000))),
            (
                &[socket, micros, ("WATCHDOG_PID", "42")],
                Some(Some(3_000_000)),
            ),
            (&[socket, micros, ("WATCHDOG_PID", "41")], Some(None)),
            (&[socket, ("WATCHDOG_USEC", "0")], Some(None)),
            (&[socket, ("WATCHDOG_USEC", "-1")], Some(None)),
        ];
        for (pairs, expected) in rows {
            let expected = expected.map(|watchdog| (OsString::from("@sd"), watchdog));
            assert_eq!(read(pairs), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_process_has_inputs() {
        let flags = vec![("log_level", "debug".to_owned())];
        let inputs = Inputs::from_process(Some("a.toml".into()), flags.clone()).unwrap();
        assert_eq!((inputs.file, inputs.flags), (Some("a.toml".into()), flags));
        assert!(
            inputs
                .environment
                .iter()
                .all(|(name, _)| name.starts_with(VARIABLE_PREFIX))
        );
        assert_eq!(inputs.local_file, Some("authd.toml".into()));
    }
}
