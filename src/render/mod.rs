//! Files of a tree to the objects that an Application shall have.
//!
//! Pure: bytes in, objects or errors out, so that a result may be kept by (tree, parameters) and a commit that does not touch
//! the path costs nothing. A renderer never sees the repository, a credential, a network or a disk, and reports all bad files
//! together. What is not supported is refused by its file name, never half done.

pub mod directory;

/// A file of the tree, by its path relative to that tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub path: String,
    pub bytes: Vec<u8>,
}
