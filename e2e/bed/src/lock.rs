//! Locks that the kernel gives back when their holder dies, however it dies.

use std::fs::{File, OpenOptions};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::failure::{Doing, Result};

/// A lock on a file, held until it is dropped or the process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .doing(|| format!("opening the lock {}", path.display()))
}

impl Lock {
    /// Waits until nobody else holds it.
    pub fn wait(path: &Path) -> Result<Self> {
        let file = open(path)?;
        flock(&file, FlockOperation::LockExclusive).doing(|| format!("locking {}", path.display()))?;
        Ok(Self { _file: file })
    }

    /// One of several holders: everything that belongs to one living cluster.
    pub fn share(path: &Path) -> Result<Self> {
        let file = open(path)?;
        flock(&file, FlockOperation::LockShared).doing(|| format!("sharing the lock {}", path.display()))?;
        Ok(Self { _file: file })
    }

    /// The lock, or nothing if anyone holds it.
    pub fn attempt(path: &Path) -> Result<Option<Self>> {
        let file = open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(e) => Err(e).doing(|| format!("trying the lock {}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lock;

    #[test]
    fn a_shared_lock_keeps_the_sweeper_out_until_its_last_holder_is_gone() {
        let path = std::env::temp_dir().join(format!("bed-lock-{}", std::process::id()));
        let (node, keeper) = (Lock::share(&path).expect("first"), Lock::share(&path).expect("second"));
        assert!(Lock::attempt(&path).expect("asked").is_none());
        drop(node);
        assert!(Lock::attempt(&path).expect("asked").is_none());
        drop(keeper);
        // A child that another test starts at this moment holds a copy until it has become its program.
        let free = (0..200).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            Lock::attempt(&path).expect("asked").is_some()
        });
        assert!(free, "nobody holds it any more");
        std::fs::remove_file(&path).expect("was there");
    }
}
