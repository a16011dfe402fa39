//! SQLite behind the seam. No other module names `rusqlite`, `r2d2` or `r2d2_sqlite`.
//!
//! | file | what it does |
//! |---|---|
//! | `open` | checks a database and opens it, or creates it |
//! | `file` | paths, file systems, the header, and the files beside a database |
//! | `lock` | one server for a database |
//! | `connection` | one connection: its settings, its statements, its first error |
//! | `writer`, `queue`, `checkpoint` | the thread that writes, the closures that wait for it, the WAL |
//! | `readers` | the pool of connections that read |
//! | `migrations`, `migrations/schema` | today's schema, the way from older ones, and whether a file has the one that it should |
//! | `backup`, `restore` | copies of the database |
//! | `read_only` | a look at a database that changes nothing |
//! | `error` | what SQLite's errors mean |

mod backup;
mod checkpoint;
mod connection;
mod error;
mod file;
mod lock;
mod migrations;
mod open;
mod queue;
mod read_only;
mod readers;
mod restore;
mod writer;

pub use backup::Progress;
pub(super) use connection::{Connection, RawRow};
pub(super) use error::{SqliteError, sqlite_error, system_error};
pub use file::Filesystem;
pub(super) use file::{Held, beside, directory_of, resolve};
pub use lock::Lock;
pub(super) use migrations::VERSION;
pub(super) use open::{Opened, open};
pub use read_only::{FileInfo, Inspection, ReadOnlyDatabase, RunningServer};
pub(super) use readers::Readers;
pub use restore::{Restoration, RestoreSource};
pub(super) use writer::{PATIENCE, Prepared, Writer};
