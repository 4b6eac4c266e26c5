//! The line format of git's protocol: four hex digits of length, then the bytes; `0000` ends a section.

/// A line, or the end of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    Flush,
    Data(&'a [u8]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer breaks off or is not in git's format")]
pub(super) struct Malformed;

/// Appends one line.
pub(super) fn write(line: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(format!("{:04x}", line.len() + 4).as_bytes());
    into.extend_from_slice(line);
}

pub(super) const FLUSH: &[u8] = b"0000";

/// Takes the next line off `bytes`; `None` at their end.
pub(super) fn next<'a>(bytes: &mut &'a [u8]) -> Result<Option<Packet<'a>>, Malformed> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let digits = bytes.get(..4).and_then(|d| std::str::from_utf8(d).ok()).ok_or(Malformed)?;
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Malformed);
    }
    let length = usize::from_str_radix(digits, 16).map_err(|_| Malformed)?;
    let (packet, taken) = match length {
        0..=2 => (Packet::Flush, 4),
        3 => return Err(Malformed),
        _ => (Packet::Data(bytes.get(4..length).ok_or(Malformed)?), length),
    };
    *bytes = &bytes[taken..];
    Ok(Some(packet))
}

/// The text of a line without its line end.
pub(super) fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut bytes = Vec::new();
        write(b"hello\n", &mut bytes);
        bytes.extend_from_slice(FLUSH);
        assert_eq!(bytes, b"000ahello\n0000");
        let mut rest = bytes.as_slice();
        assert_eq!(next(&mut rest), Ok(Some(Packet::Data(b"hello\n"))));
        assert_eq!(next(&mut rest), Ok(Some(Packet::Flush)));
        assert_eq!(next(&mut rest), Ok(None));
    }

    proptest! {
        #[test]
        fn foreign_bytes_are_malformed_and_no_more(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut rest = bytes.as_slice();
            while let Ok(Some(_)) = next(&mut rest) {}
        }
    }
}
