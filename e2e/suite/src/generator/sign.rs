//! The app's signature: HMAC-SHA256 over pod, version, the request's nonce and the status, parted by newlines.

use ring::hmac;
use std::fmt::Write;

/// The key that a stand gives to its pods and to its generator.
#[derive(Debug, Clone)]
pub struct Key(hmac::Key);

/// What an answer says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    pub pod: &'a str,
    pub version: &'a str,
    pub nonce: &'a str,
    pub status: u16,
}

impl Signed<'_> {
    fn text(&self) -> String {
        format!("{}\n{}\n{}\n{}", self.pod, self.version, self.nonce, self.status)
    }
}

impl Key {
    pub fn new(secret: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
    }

    /// 64 hex digits.
    pub fn sign(&self, what: Signed<'_>) -> String {
        hmac::sign(&self.0, what.text().as_bytes()).as_ref().iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a String takes all that is written to it");
            text
        })
    }

    pub fn proves(&self, what: Signed<'_>, signature: &str) -> bool {
        // No secret of worth: an early end of the comparison tells nobody anything.
        self.sign(what) == signature
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_that_the_app_makes() {
        // Given by the app's own binary, with SIGNING_KEY=k and VERSION=v1 on a machine named vm, for the nonce 7.
        let signature = "46ccc41c19a3120d57e1a97ae23d3b86945fae19caa1e3cad6f259ae9fb0dbe1";
        let what = Signed { pod: "vm", version: "v1", nonce: "7", status: 200 };
        assert!(Key::new("k").proves(what, signature));
        assert!(!Key::new("k").proves(Signed { nonce: "8", ..what }, signature));
        assert!(!Key::new("k").proves(Signed { status: 500, ..what }, signature));
        assert!(!Key::new("other").proves(what, signature));
    }
}
