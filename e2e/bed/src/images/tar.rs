//! Writes tar files (POSIX ustar) whose bytes depend on their entries only.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

const BLOCK: usize = 512;

/// A tar file being written to `W`.
#[derive(Debug)]
pub struct Tar<W: Write> {
    out: W,
}

/// What an entry is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    File,
    Symlink,
    Folder,
}

impl<W: Write> Tar<W> {
    /// Starts a tar file.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    /// A folder with its permission bits, owned by `owner` (user and group).
    pub fn folder(&mut self, path: &str, mode: u32, owner: u32) -> io::Result<()> {
        self.header(&format!("{}/", path.trim_end_matches('/')), Kind::Folder, mode, owner, 0, "")
    }

    /// A file with these bytes.
    pub fn bytes(&mut self, path: &str, mode: u32, owner: u32, content: &[u8]) -> io::Result<()> {
        self.header(path, Kind::File, mode, owner, content.len() as u64, "")?;
        self.out.write_all(content)?;
        self.pad(content.len() as u64)
    }

    /// A file with the content of `source`.
    pub fn file(&mut self, path: &str, mode: u32, owner: u32, source: &Path) -> io::Result<()> {
        let mut file = File::open(source)?;
        let size = file.metadata()?.len();
        self.header(path, Kind::File, mode, owner, size, "")?;
        let copied = io::copy(&mut Read::take(&mut file, size), &mut self.out)?;
        if copied != size {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{} became shorter while it was read", source.display()),
            ));
        }
        self.pad(size)
    }

    /// A symbolic link.
    pub fn symlink(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.header(path, Kind::Symlink, 0o777, 0, 0, target)
    }

    /// All files below `source`, in order of their names, so that the bytes do not depend on the file system.
    pub fn tree(&mut self, path: &str, source: &Path) -> io::Result<()> {
        self.folder(path, 0o755, 0)?;
        let mut entries: Vec<_> = fs::read_dir(source)?.collect::<io::Result<_>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let inside = format!("{path}/{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.tree(&inside, &entry.path())?;
            } else if kind.is_file() {
                self.file(&inside, 0o644, 0, &entry.path())?;
            }
        }
        Ok(())
    }

    /// Ends the tar file.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let over = usize::try_from(size % BLOCK as u64).expect("below 512");
        if over == 0 { Ok(()) } else { self.out.write_all(&vec![0; BLOCK - over]) }
    }

    fn header(&mut self, path: &str, kind: Kind, mode: u32, owner: u32, size: u64, target: &str) -> io::Result<()> {
        let (prefix, name) = split(path.trim_start_matches('/'))?;
        let mut block = [0u8; BLOCK];
        put(&mut block, 0, name.as_bytes());
        put(&mut block, 100, format!("{mode:07o}\0").as_bytes());
        put(&mut block, 108, format!("{owner:07o}\0").as_bytes());
        put(&mut block, 116, format!("{owner:07o}\0").as_bytes());
        put(&mut block, 124, format!("{size:011o}\0").as_bytes());
        put(&mut block, 136, b"00000000000\0"); // the epoch
        put(&mut block, 148, b"        "); // the checksum counts itself as blanks
        block[156] = match kind {
            Kind::File => b'0',
            Kind::Symlink => b'2',
            Kind::Folder => b'5',
        };
        if target.len() > 100 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("link target of {path} is longer than 100 bytes: {target}"),
            ));
        }
        put(&mut block, 157, target.as_bytes());
        put(&mut block, 257, b"ustar\x0000");
        put(&mut block, 345, prefix.as_bytes());
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
        self.out.write_all(&block)
    }
}

fn put(block: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    block[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A path of up to 100 bytes is a name; a longer one is cut at a slash into at most 155 and 100.
fn split(path: &str) -> io::Result<(&str, &str)> {
    if path.len() <= 100 {
        return Ok(("", path));
    }
    path.match_indices('/')
        .map(|(at, _)| (&path[..at], &path[at + 1..]))
        .find(|(prefix, name)| prefix.len() <= 155 && name.len() <= 100 && !name.is_empty())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("{path} is too long for a tar file")))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_system_tar_reads_what_was_written() {
        // Given entries of every kind, one with a path beyond 100 bytes
        let long = format!("{}/{}", "d".repeat(90), "f".repeat(90));
        let mut tar = Tar::new(Vec::new());
        tar.folder("tmp", 0o1777, 0).expect("written");
        tar.bytes("/tmp/a", 0o644, 65532, b"hello").expect("written");
        tar.symlink("lib64", "usr/lib64").expect("written");
        tar.bytes(&long, 0o755, 0, &[7; 513]).expect("written");
        let bytes = tar.finish().expect("written");
        // When the system's tar lists it
        let mut child =
            Command::new("tar").args(["-tvf", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("tar");
        child.stdin.take().expect("piped").write_all(&bytes).expect("read");
        let listing = String::from_utf8(child.wait_with_output().expect("ended").stdout).expect("text");
        // Then every entry is there
        let lines: Vec<&str> = listing.lines().collect();
        assert_eq!(lines.len(), 4, "{listing}");
        assert!(lines[0].starts_with("drwxrwxrwt") && lines[0].ends_with("tmp/"), "{listing}");
        assert!(
            lines[1].contains("65532/65532") && lines[1].contains(" 5 ") && lines[1].ends_with(" tmp/a"),
            "{listing}"
        );
        assert!(lines[2].ends_with("lib64 -> usr/lib64"), "{listing}");
        assert!(lines[3].ends_with(&long), "{listing}");
    }

    #[test]
    fn a_path_that_no_slash_cuts_is_refused() {
        assert!(split(&"x".repeat(101)).is_err());
    }
}
