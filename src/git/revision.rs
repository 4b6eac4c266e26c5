//! What `targetRevision` means: `HEAD`, a branch, a tag, or a commit.

use gix::ObjectId;
use gix::bstr::{BStr, ByteSlice as _};

/// A revision as asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Revision {
    /// The branch that the server calls its default.
    Head,
    /// A branch, or a tag where no branch has that name.
    Name(String),
    /// `refs/heads/…` or `refs/tags/…`
    Reference(String),
    Commit(ObjectId),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "spec.source.targetRevision: {0:?}: is no name of a branch or tag; write HEAD, a branch, a tag, or all 40 digits of a commit"
)]
pub(super) struct RevisionError(String);

impl Revision {
    /// # Errors
    /// When git would not take it as a name.
    pub(super) fn parse(text: &str) -> Result<Self, RevisionError> {
        if text.is_empty() || text == "HEAD" {
            return Ok(Self::Head);
        }
        if text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            let id = ObjectId::from_hex(text.to_ascii_lowercase().as_bytes());
            return id.map(Self::Commit).map_err(|_| RevisionError(text.to_owned()));
        }
        let wrong = || RevisionError(text.chars().take(200).collect());
        let full = text.starts_with("refs/");
        let checked = if full { text.to_owned() } else { format!("refs/heads/{text}") };
        if text.len() > 500 || text.starts_with('-') || gix::validate::reference::name(BStr::new(&checked)).is_err() {
            return Err(wrong());
        }
        match full {
            true if text.starts_with("refs/heads/") || text.starts_with("refs/tags/") => Ok(Self::Reference(checked)),
            true => Err(wrong()),
            false => Ok(Self::Name(text.to_owned())),
        }
    }

    /// The names on the server that it may be, in the order in which they count.
    pub(super) fn candidates(&self) -> Vec<String> {
        match self {
            Self::Head => vec!["HEAD".to_owned()],
            Self::Name(name) => vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")],
            Self::Reference(name) => vec![name.clone()],
            Self::Commit(_) => Vec::new(),
        }
    }

    /// Finds it among what the server lists: the reference's full name and its commit.
    pub(super) fn find(&self, listed: &[Listed]) -> Option<Resolved> {
        if let Self::Commit(id) = self {
            return Some(Resolved { reference: None, commit: *id });
        }
        let named = |name: &str| listed.iter().find(|l| l.name == name);
        let found = self.candidates().iter().find_map(|name| named(name))?;
        Some(Resolved {
            reference: Some(found.points_to.clone().unwrap_or_else(|| found.name.clone())),
            commit: found.commit,
        })
    }
}

/// A reference as the server lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: String,
    /// Of a symbolic reference, the name of its target.
    pub(super) points_to: Option<String>,
    /// Peeled: what an annotated tag stands for.
    pub(super) commit: ObjectId,
}

impl Listed {
    pub(super) fn read(reference: &gix::protocol::handshake::Ref) -> Option<Self> {
        use gix::protocol::handshake::Ref;
        let text = |name: &gix::bstr::BString| name.to_str().ok().map(str::to_owned);
        Some(match reference {
            Ref::Peeled { full_ref_name, object, .. } | Ref::Direct { full_ref_name, object } => {
                Self { name: text(full_ref_name)?, points_to: None, commit: *object }
            }
            Ref::Symbolic { full_ref_name, target, object, .. } => {
                Self { name: text(full_ref_name)?, points_to: Some(text(target)?), commit: *object }
            }
            Ref::Unborn { .. } => return None,
        })
    }
}

/// Where a revision is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) reference: Option<String>,
    pub(super) commit: ObjectId,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: u8) -> ObjectId {
        ObjectId::from_hex(&[digit; 40]).expect("an id")
    }

    fn listed(name: &str, digit: u8) -> Listed {
        Listed { name: name.to_owned(), points_to: None, commit: id(digit) }
    }

    #[test]
    fn a_branch_comes_before_a_tag_of_the_same_name() {
        let listed = [listed("refs/tags/v1", b'1'), listed("refs/heads/v1", b'2'), listed("refs/heads/x/v1", b'3')];
        let found = Revision::parse("v1").expect("a name").find(&listed).expect("there");
        assert_eq!((found.reference.as_deref(), found.commit), (Some("refs/heads/v1"), id(b'2')));
        let tag = Revision::parse("refs/tags/v1").expect("a reference").find(&listed).expect("there");
        assert_eq!(tag.commit, id(b'1'));
        assert_eq!(Revision::parse("v2").expect("a name").find(&listed), None);
    }

    #[test]
    fn head_is_the_branch_that_it_points_to() {
        let head = Listed { points_to: Some("refs/heads/main".to_owned()), ..listed("HEAD", b'1') };
        let found = Revision::parse("HEAD").expect("head").find(&[head]).expect("there");
        assert_eq!(found.reference.as_deref(), Some("refs/heads/main"));
    }

    #[test]
    fn only_names_that_git_takes_are_asked_for() {
        for text in ["a..b", "a b", "-x", "a^{tree}", "a:b", "refs/pull/1/head", "a.lock", "x~1", "a\nb", "/a"] {
            assert!(Revision::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(Revision::parse(&"A".repeat(40)), Ok(Revision::Commit(id(b'a'))));
        assert_eq!(Revision::parse("abc1234"), Ok(Revision::Name("abc1234".to_owned())));
    }
}
