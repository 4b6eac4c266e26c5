//! A pack of a handful of whole objects.

use flate2::Compression;
use flate2::write::ZlibEncoder;
use gix::ObjectId;
use gix::objs::Kind;
use std::io::Write as _;

/// An object that the server does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewObject {
    pub(super) id: ObjectId,
    pub(super) kind: Kind,
    pub(super) data: Vec<u8>,
}

impl NewObject {
    /// # Errors
    /// Only when the hash finds an attempt at a collision in the data.
    pub(super) fn new(kind: Kind, data: Vec<u8>) -> Result<Self, String> {
        let id = gix::objs::compute_hash(gix::hash::Kind::Sha1, kind, &data).map_err(|e| e.to_string())?;
        Ok(Self { id, kind, data })
    }
}

/// The pack of exactly these objects, each whole and compressed by itself.
pub(super) fn pack(objects: &[NewObject]) -> Result<Vec<u8>, String> {
    let count = u32::try_from(objects.len()).map_err(|e| e.to_string())?;
    let mut bytes = b"PACK".to_vec();
    bytes.extend_from_slice(&2u32.to_be_bytes());
    bytes.extend_from_slice(&count.to_be_bytes());
    for object in objects {
        header(object.kind, object.data.len(), &mut bytes);
        let mut encoder = ZlibEncoder::new(bytes, Compression::default());
        encoder.write_all(&object.data).map_err(|e| e.to_string())?;
        bytes = encoder.finish().map_err(|e| e.to_string())?;
    }
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(&bytes);
    let checksum = hasher.try_finalize().map_err(|e| e.to_string())?;
    bytes.extend_from_slice(checksum.as_slice());
    Ok(bytes)
}

/// Type and size: four bits of the size with the type, then seven in each byte, lowest first.
fn header(kind: Kind, size: usize, into: &mut Vec<u8>) {
    let kind = match kind {
        Kind::Commit => 1u8,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    };
    let low = |size: usize, mask: usize| u8::try_from(size & mask).expect("masked to less than a byte");
    let mut byte = (kind << 4) | low(size, 0x0f);
    let mut rest = size >> 4;
    while rest > 0 {
        into.push(byte | 0x80);
        byte = low(rest, 0x7f);
        rest >>= 7;
    }
    into.push(byte);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_git_reads_them() {
        let written = |size| {
            let mut bytes = Vec::new();
            header(Kind::Tree, size, &mut bytes);
            bytes
        };
        assert_eq!(written(5), [0x25]);
        assert_eq!(written(16), [0xa0, 0x01]);
        assert_eq!(written(300), [0xac, 0x12]);
    }
}
