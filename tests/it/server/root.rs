//! Commands that root runs in the directory of the service's user. They run as root only, as a build server does.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::json;
use tempfile::TempDir;

use super::doctor::look;
use crate::wire::{AUTHD, PASSWORD, Ran, Server};

/// The user and group `nobody`, in the place of the service's.
const SERVICE: u32 = 65534;

#[test] // finding 25: a core dump would have keys and passwords in it
fn the_memory_of_the_server_is_closed_to_other_programs_of_its_user() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let server = machine.serve(true);
    // proc(5): the files of a process that cannot be dumped belong to root.
    let process = format!("/proc/{}/mem", server.pid().as_raw_nonzero());
    assert_eq!(fs::metadata(process).expect("a process").uid(), 0);
    server.stop();
}

/// A directory `data` of the service's user, and a directory `root` that only root can enter.
struct Machine {
    dir: TempDir,
}

impl Machine {
    /// `None` for tests that do not run as root.
    fn new() -> Option<Machine> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let machine = Machine {
            dir: tempfile::tempdir().expect("a directory"),
        };
        let open = |path: PathBuf, mode| fs::set_permissions(path, Permissions::from_mode(mode));
        open(machine.path(""), 0o755).expect("a mode");
        for name in ["data", "root"] {
            fs::create_dir(machine.path(name)).expect("a directory");
            open(machine.path(name), 0o700).expect("a mode");
        }
        chown(machine.path("data"), Some(SERVICE), Some(SERVICE)).expect("an owner");
        Some(machine)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A command of root's on the database of the service.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments);
        if !arguments.contains(&"--db") {
            command.args(["--db", "data/authd.db"]);
        }
        command
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        command
    }

    fn authd(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(AUTHD, arguments), "")
    }

    /// The server, started by root or, with `as_service`, by the service's user.
    fn serve(&self, as_service: bool) -> Server {
        let serve = ["serve", "--listen", "127.0.0.1:0"];
        if !as_service {
            return Server::start(self.command(AUTHD, &serve));
        }
        // The build's directory may be closed to other users.
        let program = self.path("authd");
        if !program.exists() {
            fs::copy(AUTHD, &program).expect("a copy");
        }
        let program = program.to_str().expect("UTF-8");
        let become_service = ["--reuid=65534", "--regid=65534", "--clear-groups", program];
        let line = [&become_service[..], &serve].concat();
        Server::start(self.command("setpriv", &line))
    }

    /// `script` for a shell that has mounts of its own, with the binary as `$0`.
    fn in_own_mounts(&self, script: &str) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-e", "-c", script, AUTHD])
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        command
    }

    /// Asserts that every file in the service's directory belongs to the service.
    fn assert_owned_by_the_service(&self) {
        for entry in fs::read_dir(self.path("data")).expect("a directory") {
            let entry = entry.expect("an entry");
            let found = entry.metadata().expect("a file");
            assert_eq!((found.uid(), found.gid()), (SERVICE, SERVICE), "{entry:?}");
        }
    }
}

#[test] // finding 23, fault 4
fn a_restore_by_root_leaves_files_that_the_service_can_open() {
    let Some(machine) = Machine::new() else {
        return;
    };
    machine.serve(true).stop();
    let add = ["user", "add", "ann@example.org", "--password-stdin"];
    Ran::of(machine.command(AUTHD, &add), PASSWORD).done();
    machine.authd(&["backup", "data/backup.db"]).done();
    // Only root can read the backup, and the machine is a new one.
    fs::rename(
        machine.path("data/backup.db"),
        machine.path("root/backup.db"),
    )
    .expect("a backup");
    chown(machine.path("root/backup.db"), Some(0), Some(0)).expect("an owner");
    fs::remove_dir_all(machine.path("data")).expect("a directory");
    fs::create_dir(machine.path("data")).expect("a directory");
    chown(machine.path("data"), Some(SERVICE), Some(SERVICE)).expect("an owner");

    machine
        .authd(&["restore", "root/backup.db", "--yes"])
        .done();
    machine.assert_owned_by_the_service();
    let (state, words) = look(machine.authd(&["doctor", "--json"]), "database");
    assert!(state == "ok" && words.contains("1 account"), "{words}");
    let server = machine.serve(true);
    server.sign_in("ann@example.org", "laptop");
    server.stop();
    // And over a file that is there.
    machine
        .authd(&["restore", "root/backup.db", "--yes"])
        .done();
    machine.assert_owned_by_the_service();
    machine.serve(true).stop();
}

#[test] // finding 2
fn a_server_that_root_starts_has_the_rights_of_the_directorys_owner_in_every_thread() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let server = machine.serve(false);
    server.set_up("ann@example.org");
    let tasks = format!("/proc/{}/task", server.pid().as_raw_pid());
    let mut threads = 0;
    for task in fs::read_dir(tasks).expect("threads") {
        let status = task.expect("a thread").path().join("status");
        let status = fs::read_to_string(status).expect("its status");
        for line in status.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("Uid:" | "Gid:") => assert!(words.all(|id| id == "65534"), "{line}"),
                Some("Groups:") => assert_eq!(words.collect::<Vec<_>>(), ["65534"]),
                Some("CapEff:" | "CapPrm:") => {
                    assert_eq!(words.next().map(|bits| bits.trim_matches('0')), Some(""));
                }
                _ => {}
            }
        }
        threads += 1;
    }
    assert!(threads > 5, "{threads} threads");
    server.stop();
    machine.assert_owned_by_the_service();
}

#[test] // finding 2: while root reads the question, the service's user replaces the copy
fn a_copy_that_is_replaced_at_the_prompt_is_not_put_in_place() {
    let Some(machine) = Machine::new() else {
        return;
    };
    machine.serve(true).stop();
    machine.authd(&["backup", "data/backup.db"]).done();
    let victim = machine.path("root/precious");
    fs::write(&victim, "precious").expect("a file");
    let before = fs::metadata(&victim).expect("it is there");

    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&terminal).expect("a terminal");
    unlockpt(&terminal).expect("a terminal");
    let name = ptsname(&terminal, Vec::new()).expect("its name");
    let input = File::open(name.to_str().expect("UTF-8")).expect("a terminal");
    let mut command = machine.command(AUTHD, &["restore", "data/backup.db"]);
    let mut child = command
        .stdin(input)
        .stderr(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut stderr = child.stderr.take().expect("a pipe");
    let mut said = Vec::new();
    while !said.ends_with(b"Type yes: ") {
        let mut byte = [0];
        stderr.read_exact(&mut byte).expect("the question");
        said.extend(byte);
    }
    let scratch = machine.path("data/authd.db.restoring");
    fs::rename(&scratch, machine.path("data/mine")).expect("the copy");
    fs::create_dir(&scratch).expect("a directory");
    symlink(&victim, scratch.join("authd.db")).expect("a link");
    File::from(terminal).write_all(b"yes\n").expect("an answer");

    let mut rest = String::new();
    stderr.read_to_string(&mut rest).expect("what it says");
    let status = child.wait().expect("its end");
    assert_eq!(status.code(), Some(78), "{rest}");
    assert!(rest.contains("symbolic link"), "{rest}");
    let after = fs::metadata(&victim).expect("it is there");
    assert_eq!((after.uid(), after.mode()), (before.uid(), before.mode()));
    assert_eq!(fs::read(&victim).expect("it is there"), b"precious");
    // The database is the one that was there, and it can be served.
    machine.serve(true).stop();
}

#[test] // finding 2
fn root_restores_no_file_that_another_user_only_made_a_link_to() {
    let Some(machine) = Machine::new() else {
        return;
    };
    machine.serve(true).stop();
    machine.authd(&["backup", "data/backup.db"]).done();
    // Another database, which only root can read.
    fs::copy(
        machine.path("data/backup.db"),
        machine.path("root/other.db"),
    )
    .expect("a copy");
    let restore =
        |source: &str| machine.authd(&["restore", source, "--yes", "--db", "data/new.db"]);
    let link = |target: &str, name: &str, owner| {
        symlink(machine.path(target), machine.path(name)).expect("a link");
        lchown(machine.path(name), Some(owner), Some(owner)).expect("an owner");
    };
    link("root/other.db", "data/file", SERVICE);
    link("root", "data/directory", SERVICE);
    link("data/file", "to_link", 0);
    for source in ["data/file", "data/directory/other.db", "to_link"] {
        let said = restore(source).refused(78);
        assert!(said.contains("another user's file"), "{source}: {said}");
    }
    fs::hard_link(machine.path("root/other.db"), machine.path("data/hard")).expect("a link");
    let said = restore("data/hard").refused(78);
    assert!(said.contains("second name"), "{said}");
    assert!(!machine.path("data/new.db").exists());
    fs::remove_file(machine.path("data/hard")).expect("the link");

    // Links of root's are followed, and links of a user to a file of that user.
    link("root/other.db", "of_root", 0);
    link("data/backup.db", "data/latest", SERVICE);
    restore("of_root").done();
    restore("data/latest").done();
    // Nor does a link lead a command to a database of root's.
    fs::create_dir(machine.path("root/db")).expect("a directory");
    fs::copy(
        machine.path("root/other.db"),
        machine.path("root/db/authd.db"),
    )
    .expect("a copy");
    link("root/db", "data/sub", SERVICE);
    let here = ["restore", "--here", "--yes", "--db", "data/sub/authd.db"];
    machine.authd(&here).refused(78);
}

#[test] // finding 2
fn a_command_of_root_can_not_be_led_to_a_file_of_root() {
    let Some(machine) = Machine::new() else {
        return;
    };
    machine.serve(true).stop();
    let victim = machine.path("root/precious");
    fs::write(&victim, "precious").expect("a file");
    fs::copy(machine.path("data/authd.db"), machine.path("root/other.db")).expect("a file");
    machine.authd(&["backup", "data/backup.db"]).done();
    symlink(&victim, machine.path("data/other.db.partial")).expect("a link");
    machine.authd(&["backup", "data/other.db"]).refused(78);
    fs::remove_file(machine.path("data/authd.db.lock")).expect("the lock");
    symlink(&victim, machine.path("data/authd.db.lock")).expect("a link");
    machine
        .authd(&["restore", "data/backup.db", "--yes"])
        .refused(78);
    // A database of root's, under the name of the service's.
    fs::remove_file(machine.path("data/authd.db")).expect("the database");
    symlink(machine.path("root/other.db"), machine.path("data/authd.db")).expect("a link");
    machine.authd(&["user", "list"]).refused(78);

    assert_eq!(fs::read(&victim).expect("it is there"), b"precious");
    let found = fs::metadata(&victim).expect("it is there");
    assert_eq!((found.uid(), found.gid()), (0, 0));
    // A place where the service may not write is said to be one.
    fs::remove_file(machine.path("data/authd.db")).expect("the link");
    fs::rename(
        machine.path("data/backup.db"),
        machine.path("data/authd.db"),
    )
    .expect("a file");
    fs::remove_file(machine.path("data/authd.db.lock")).expect("the link");
    machine.authd(&["restore", "--here", "--yes"]).done();
    let said = machine.authd(&["backup", "root/backup.db"]).refused(78);
    assert!(
        said.contains("user 65534") && said.contains("move it"),
        "{said}"
    );
}

#[test] // fault 4
fn the_doctor_advises_the_service_to_own_its_files() {
    let Some(machine) = Machine::new() else {
        return;
    };
    machine.serve(true).stop();
    for name in ["data/authd.db", "data/authd.db.lock"] {
        chown(machine.path(name), Some(0), Some(0)).expect("an owner");
    }
    let (state, words) = look(machine.authd(&["doctor", "--json"]), "permissions");
    assert_eq!(state, "problem", "{words}");
    assert!(
        words.contains("chown 65534 ") && words.contains("authd.db.lock"),
        "{words}"
    );
    assert!(!words.contains("chown 0"), "{words}");
}

#[test] // fault 1: docker run -v ./authd.db:/data/authd.db
fn a_database_that_is_mounted_as_a_single_file_is_not_served() {
    let Some(machine) = Machine::new() else {
        return;
    };
    machine.serve(true).stop();
    fs::create_dir(machine.path("container")).expect("a directory");
    let mount = "mount -t tmpfs none container; : >container/authd.db; \
                 mount --bind data/authd.db container/authd.db;";
    let run = |command: &str| {
        let script = format!("{mount} exec \"$0\" {command} --db container/authd.db");
        Ran::of(machine.in_own_mounts(&script), "")
    };
    let said = run("serve --listen 127.0.0.1:0").refused(78);
    assert!(said.contains("Mount the directory"), "{said}");
    run("user list").refused(78);
    let (state, words) = look(run("doctor --json"), "file system");
    assert!(
        state == "problem" && words.contains("Mount the directory"),
        "{words}"
    );
    // An empty file is what a container's manager makes of a path that is not there.
    let empty = "mount -t tmpfs none container; : >container/authd.db; : >empty; \
                 mount --bind empty container/authd.db; \
                 exec \"$0\" serve --listen 127.0.0.1:0 --db container/authd.db";
    let said = Ran::of(machine.in_own_mounts(empty), "").refused(78);
    assert!(said.contains("Mount the directory"), "{said}");
    // The directory is the right thing to mount.
    let whole = "mount --bind data container; \
                 exec \"$0\" serve --listen 127.0.0.1:0 --db container/authd.db";
    Server::start(machine.in_own_mounts(whole)).stop();
}

#[test] // finding 20, on a disk
fn a_disk_that_is_almost_full_takes_nothing_of_strangers() {
    let Some(machine) = Machine::new() else {
        return;
    };
    fs::create_dir(machine.path("place")).expect("a directory");
    let serve = "mount -t tmpfs -o size=64m none place; export AUTHD_REGISTRATION=open; \
                 exec \"$0\" serve --listen 127.0.0.1:0 --db place/authd.db";
    let server = Server::start(machine.in_own_mounts(serve));
    server.set_up("ann@example.org");
    // The disk as the server sees it.
    let inside = format!("/proc/{}/root", server.pid().as_raw_pid());
    let filler = PathBuf::from(format!(
        "{inside}{}",
        machine.path("place/filler").display()
    ));
    fs::write(&filler, vec![1; 59 << 20]).expect("a file");
    server.says("the disk of the database is almost full");
    let register = |name: &str| {
        let account = json!({ "email": format!("{name}@example.org"), "password": PASSWORD });
        server.client().post("/v1/accounts", &account)
    };
    register("bob").refused(503, "storage_low");
    let ready = server.client().get("/readyz").status(200).text();
    assert_eq!(ready, "ready\nwarning: storage_low\n");
    server.sign_in("ann@example.org", "laptop");
    let doctor = format!(
        "cd {}; exec \"$0\" doctor --json --db place/authd.db",
        machine.path("").display()
    );
    let pid = server.pid().as_raw_pid().to_string();
    let mut command = Command::new("nsenter");
    command.args([
        "--mount", "--target", &pid, "sh", "-e", "-c", &doctor, AUTHD,
    ]);
    let (state, words) = look(Ran::of(command, ""), "space");
    assert!(state == "warning" || state == "problem", "{words}");

    fs::remove_file(&filler).expect("the file");
    server.says("there is enough space again: ");
    register("bob").status(201);
    server.stop();
}

#[test] // fault 3
fn a_database_in_memory_or_in_a_containers_own_layer_is_warned_of() {
    let Some(machine) = Machine::new() else {
        return;
    };
    machine.serve(true).stop();
    machine.authd(&["backup", "data/backup.db"]).done();
    for name in ["place", "layers"] {
        fs::create_dir(machine.path(name)).expect("a directory");
    }
    let overlay = "mount -t tmpfs none layers; mkdir layers/lower layers/upper layers/work; \
                   mount -t overlay none -o lowerdir=layers/lower,upperdir=layers/upper,workdir=layers/work place";
    for (mount, kind) in [
        ("mount -t tmpfs none place", "tmpfs"),
        (overlay, "overlayfs"),
    ] {
        let serve = format!("{mount}; exec \"$0\" serve --listen 127.0.0.1:0 --db place/authd.db");
        let server = Server::start(machine.in_own_mounts(&serve));
        server.says(&format!("is on {kind}: all accounts are lost"));
        server.stop();
        let doctor = format!("{mount}; exec \"$0\" doctor --json --db place/authd.db");
        let (state, words) = look(Ran::of(machine.in_own_mounts(&doctor), ""), "file system");
        assert!(state == "warning" && words.contains("volume"), "{words}");
        let restore =
            format!("{mount}; exec \"$0\" restore data/backup.db --yes --db place/authd.db");
        let said = Ran::of(machine.in_own_mounts(&restore), "").done().stderr;
        assert!(
            said.contains(&format!("is on {kind}: all accounts")),
            "{said}"
        );
    }
}
