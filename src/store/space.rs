//! How much room is left for the database, and from when on nothing is stored on behalf of strangers.
//!
//! A client without an account can make the server store rows: it registers, requests links, or tries passwords. If such
//! rows could use up the disk or the bound of the file, no account owner could sign in any more. So the last part of the
//! room is a reserve. While less than that is left, the service stores nothing for strangers, and goes on with everything
//! else. What limits strangers is still stored, until half of the reserve is used as well.
//!
//! The free space of the disk is read once a second, by the maintenance of the writer, because that is a system call. The
//! reserve of the disk is much more than strangers can fill in a second. What the file uses is asked in each transaction
//! that depends on it: it costs two lookups in memory, and a bound can be as small as 1 MiB.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use rustix::fs::statvfs;

/// The part of `max_size`, in percent, that strangers may fill.
const FILE_PERCENT: u64 = 80;

/// The reserve of the disk in bytes: the WAL at its usual length, and as much again for what is stored. On a small file
/// system it is a tenth.
const DISK_RESERVE: u64 = 32 << 20;

/// That less than the reserve is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shortage {
    /// What there is too little of.
    pub scarce: Scarce,
    /// Whether half of the reserve is used up as well.
    pub is_severe: bool,
}

/// What there can be too little of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scarce {
    /// The file comes close to its maximum size.
    File,
    /// The file system of the database is almost full.
    Disk,
}

/// The room of a database, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// What the file uses, without pages that are free inside it.
    pub used: u64,
    /// Its maximum size, if it has one.
    pub bound: Option<u64>,
    /// Free space of its file system.
    pub available: u64,
    /// Size of its file system.
    pub capacity: u64,
}

impl Space {
    /// The free space below which the disk is short.
    pub fn disk_reserve(&self) -> u64 {
        DISK_RESERVE.min(self.capacity / 10)
    }

    /// Whether less than the reserve is left. A shortage that was there before ends a little above, so that it does not
    /// begin and end with each row.
    pub fn shortage(&self, before: Option<Scarce>) -> Option<Shortage> {
        let reserve = self.disk_reserve();
        let (of_file, of_disk) = match before {
            None => (FILE_PERCENT, reserve),
            Some(Scarce::File) => (FILE_PERCENT - 5, reserve),
            Some(Scarce::Disk) => (FILE_PERCENT, reserve + reserve / 4),
        };
        let short = |scarce, is_severe| Some(Shortage { scarce, is_severe });
        if self.uses_percent(of_file) {
            short(Scarce::File, self.uses_percent(FILE_PERCENT.midpoint(100)))
        } else if self.available < of_disk {
            short(Scarce::Disk, self.available < reserve / 2)
        } else {
            None
        }
    }

    /// Whether the file uses this part of its maximum size, in percent.
    pub fn uses_percent(&self, percent: u64) -> bool {
        self.bound
            .is_some_and(|bound| self.used.saturating_mul(100) >= bound.saturating_mul(percent))
    }
}

/// What an open database knows of its room. The writer keeps it up to date; any thread can read it.
pub(super) struct Gauge {
    directory: PathBuf,
    bound: Option<u64>,
    used: AtomicU64,
    available: AtomicU64,
    capacity: AtomicU64,
    shortage: AtomicU8,
}

impl Gauge {
    /// For a database in `directory` whose maximum size is `bound`.
    pub fn new(directory: &Path, bound: Option<u64>) -> Gauge {
        let gauge = Gauge {
            directory: directory.to_owned(),
            bound,
            used: AtomicU64::new(0),
            available: AtomicU64::new(u64::MAX),
            capacity: AtomicU64::new(u64::MAX),
            shortage: AtomicU8::new(NO_SHORTAGE),
        };
        gauge.read_disk();
        gauge
    }

    /// Whether the file has a maximum size, so that [`Gauge::set_used`] makes a difference.
    pub fn has_bound(&self) -> bool {
        self.bound.is_some()
    }

    /// Asks for the free space of the disk. If that fails, the last answer stays.
    pub fn read_disk(&self) {
        if let Ok(found) = statvfs(&self.directory) {
            let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
            self.available
                .store(bytes(found.f_bavail), Ordering::Relaxed);
            self.capacity
                .store(bytes(found.f_blocks), Ordering::Relaxed);
        }
        self.judge();
    }

    /// Notes how many bytes the file uses.
    pub fn set_used(&self, bytes: u64) {
        self.used.store(bytes, Ordering::Relaxed);
        self.judge();
    }

    /// What there was too little of when it was last looked at.
    pub fn shortage(&self) -> Option<Shortage> {
        let found = self.shortage.load(Ordering::Relaxed);
        let scarce = match found & !SEVERE {
            FILE => Scarce::File,
            DISK => Scarce::Disk,
            _ => return None,
        };
        let is_severe = found & SEVERE != 0;
        Some(Shortage { scarce, is_severe })
    }

    fn judge(&self) {
        let space = Space {
            used: self.used.load(Ordering::Relaxed),
            bound: self.bound,
            available: self.available.load(Ordering::Relaxed),
            capacity: self.capacity.load(Ordering::Relaxed),
        };
        let before = self.shortage().map(|shortage| shortage.scarce);
        let shortage = match space.shortage(before) {
            None => NO_SHORTAGE,
            Some(shortage) => {
                let scarce = match shortage.scarce {
                    Scarce::File => FILE,
                    Scarce::Disk => DISK,
                };
                scarce | if shortage.is_severe { SEVERE } else { 0 }
            }
        };
        self.shortage.store(shortage, Ordering::Relaxed);
    }
}

/// A shortage as a number, for the atomic.
const NO_SHORTAGE: u8 = 0;
const FILE: u8 = 1;
const DISK: u8 = 2;
const SEVERE: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    const AMPLE: Space = Space {
        used: MIB,
        bound: None,
        available: 1 << 40,
        capacity: 1 << 41,
    };

    fn short(scarce: Scarce, is_severe: bool) -> Option<Shortage> {
        Some(Shortage { scarce, is_severe })
    }

    #[test] // finding 20
    fn a_file_is_short_from_four_fifths_of_its_bound_on() {
        let space = |used| Space {
            used: used * MIB,
            bound: Some(100 * MIB),
            ..AMPLE
        };
        assert_eq!(space(79).shortage(None), None);
        assert_eq!(space(80).shortage(None), short(Scarce::File, false));
        assert_eq!(space(89).shortage(None), short(Scarce::File, false));
        assert_eq!(space(90).shortage(None), short(Scarce::File, true));
        // It ends at three quarters.
        let before = Some(Scarce::File);
        assert_eq!(space(75).shortage(before), short(Scarce::File, false));
        assert_eq!(space(74).shortage(before), None);
        assert_eq!(AMPLE.shortage(before), None);
    }

    #[test] // finding 20
    fn a_disk_is_short_when_the_reserve_is_all_that_is_left() {
        let space = |available, capacity| Space {
            available: available * MIB,
            capacity: capacity * MIB,
            ..AMPLE
        };
        assert_eq!(space(32, 1000).shortage(None), None);
        assert_eq!(space(31, 1000).shortage(None), short(Scarce::Disk, false));
        assert_eq!(space(15, 1000).shortage(None), short(Scarce::Disk, true));
        // A small file system has a smaller reserve.
        assert_eq!(space(6, 60).shortage(None), None);
        assert_eq!(space(5, 60).shortage(None), short(Scarce::Disk, false));
        let before = Some(Scarce::Disk);
        assert_eq!(space(39, 1000).shortage(before), short(Scarce::Disk, false));
        assert_eq!(space(40, 1000).shortage(before), None);
    }

    #[test]
    fn a_gauge_goes_by_the_disk_and_by_the_file() {
        let gauge = Gauge::new(Path::new("/"), Some(100));
        gauge.set_used(79);
        let ample = gauge.shortage();
        assert_ne!(ample.map(|short| short.scarce), Some(Scarce::File));
        gauge.set_used(80);
        assert_eq!(gauge.shortage(), short(Scarce::File, false));
        gauge.set_used(99);
        assert_eq!(gauge.shortage(), short(Scarce::File, true));
        gauge.set_used(10);
        assert_eq!(gauge.shortage(), ample);
    }
}
