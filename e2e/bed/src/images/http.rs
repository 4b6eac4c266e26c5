//! The little HTTP/1.1 that a registry on the loopback needs: one request per connection, no TLS, bodies of known length.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

/// A registry that hashes a layer of 200 MB on a busy machine answers within this.
const ANSWER: Duration = Duration::from_secs(120);
/// A registry's answers are small; more is an error of whoever answered.
const LARGEST_BODY: u64 = 1 << 20;

/// Body of a request.
#[derive(Debug)]
pub enum Body<'a> {
    /// None.
    Empty,
    /// Bytes in memory.
    Bytes(&'a [u8]),
    /// The content of a file.
    File(&'a Path),
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The body, empty for HEAD.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

/// Sends a request to `host` (`HOST:PORT`) and reads the answer.
pub fn request(host: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &Body<'_>) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    let length = match body {
        Body::Empty => 0,
        Body::Bytes(bytes) => bytes.len() as u64,
        Body::File(file) => file.metadata()?.len(),
    };
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n");
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    match body {
        Body::Empty => {}
        Body::Bytes(bytes) => stream.write_all(bytes)?,
        Body::File(path) => drop(io::copy(&mut File::open(path)?, &mut stream)?),
    }
    read(BufReader::new(stream), method == "HEAD")
}

fn read(mut from: impl BufRead, head_only: bool) -> io::Result<Answer> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("not an HTTP answer: {what}"));
    let mut line = String::new();
    from.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(|| bad(line.trim()))?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        if from.read_line(&mut line)? == 0 {
            return Err(bad("it ended within its headers"));
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    if head_only {
        return Ok(answer);
    }
    // With "Connection: close" the body ends where the connection does, unless a length says so before.
    let length = answer.header("content-length").and_then(|l| l.parse().ok()).unwrap_or(LARGEST_BODY);
    from.take(length.min(LARGEST_BODY)).read_to_end(&mut answer.body)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_headers_and_body_are_read() {
        let got =
            read(&b"HTTP/1.1 202 Accepted\r\nLocation: /v2/x?y=z:1\r\ncontent-length: 2\r\n\r\nokmore"[..], false)
                .expect("an answer");
        assert_eq!((got.status, got.header("location"), got.body.as_slice()), (202, Some("/v2/x?y=z:1"), &b"ok"[..]));
    }

    #[test]
    fn something_else_than_http_is_an_error() {
        assert!(read(&b"SSH-2.0-x\r\n"[..], false).is_err());
        assert!(read(&b"HTTP/1.1 200 OK\r\nA: b"[..], false).is_err());
    }
}
