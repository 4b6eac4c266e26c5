//! Reads the files of a tree from the object database.
//!
//! There is no work tree, so no path and no link can lead out of it. What is not a plain file is not followed: a link or a
//! submodule in the place of a manifest is an error that names it, since a manifest that is silently missing is a deletion.

use crate::core::question::RenderError;
use crate::render::File;
use crate::render::directory::{Selection, Wanted};
use gix::objs::tree::EntryKind;
use gix::{ObjectId, Repository};

/// How much is read of one tree.
#[derive(Debug, Clone)]
pub(super) struct TreeLimits {
    /// Directories inside one another.
    pub(super) depth: usize,
    /// Entries looked at, of all directories together.
    pub(super) entries: usize,
    /// Bytes of one file.
    pub(super) file_bytes: u64,
    /// Bytes of all files together.
    pub(super) bytes: u64,
}

impl Default for TreeLimits {
    fn default() -> Self {
        // Argo CD's limit is 10 MB for all manifests of a directory; generated bundles of definitions go beyond.
        Self { depth: 32, entries: 50_000, file_bytes: 8 << 20, bytes: 32 << 20 }
    }
}

/// Why a tree could not be read at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum TreeError {
    /// Nothing is wrong with the files: the mirror does not have it (yet).
    #[error("object {0} is not in the mirror")]
    Absent(ObjectId),
    #[error("the mirror cannot be read: {0}")]
    Database(String),
    /// All that is wrong with the files.
    #[error("{} files cannot be used", .0.len())]
    Files(Vec<RenderError>),
}

/// Reads the wanted files below `tree`, sorted by path.
///
/// # Errors
/// When objects are missing, when a wanted entry is no plain file, or when a limit is passed.
pub(super) fn read(
    repository: &Repository,
    tree: ObjectId,
    selection: &Selection,
    limits: &TreeLimits,
) -> Result<Vec<File>, TreeError> {
    let mut reader = Reader {
        repository,
        selection,
        limits,
        files: Vec::new(),
        errors: Vec::new(),
        entries_left: limits.entries,
        bytes_left: limits.bytes,
    };
    reader.directory(tree, "", 0)?;
    if !reader.errors.is_empty() {
        return Err(TreeError::Files(reader.errors));
    }
    reader.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(reader.files)
}

struct Reader<'a> {
    repository: &'a Repository,
    selection: &'a Selection,
    limits: &'a TreeLimits,
    files: Vec<File>,
    errors: Vec<RenderError>,
    entries_left: usize,
    bytes_left: u64,
}

impl Reader<'_> {
    fn refuse(&mut self, file: &str, message: impl Into<String>) {
        self.errors.push(RenderError { file: file.to_owned(), line: 0, message: message.into() });
    }

    /// The whole tree is refused: going on would only repeat it.
    fn stop(&mut self, file: &str, message: String) -> TreeError {
        self.refuse(file, message);
        TreeError::Files(std::mem::take(&mut self.errors))
    }

    fn directory(&mut self, id: ObjectId, prefix: &str, depth: usize) -> Result<(), TreeError> {
        if depth > self.limits.depth {
            let message = format!("directories are nested deeper than {}; flatten them", self.limits.depth);
            return Err(self.stop(prefix, message));
        }
        let object = find(self.repository, id)?;
        if object.kind != gix::objs::Kind::Tree {
            return Err(TreeError::Database(format!("{id} is not a tree")));
        }
        let tree = gix::objs::TreeRef::from_bytes(&object.data, id.kind())
            .map_err(|e| TreeError::Database(format!("tree {id}: {e}")))?;
        for entry in &tree.entries {
            let Some(left) = self.entries_left.checked_sub(1) else {
                let message = format!(
                    "the directory holds more than {} entries; point the Application at a smaller one",
                    self.limits.entries
                );
                return Err(self.stop(prefix, message));
            };
            self.entries_left = left;
            let shown = entry.filename.to_string();
            let path = if prefix.is_empty() { shown } else { format!("{prefix}/{shown}") };
            let Some(name) = plain_name(entry.filename) else {
                self.refuse(&printable(&path), "has a name that cannot be used on every system; rename it");
                continue;
            };
            let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            match entry.mode.kind() {
                EntryKind::Tree if self.selection.recurse() => {
                    self.directory(entry.oid.to_owned(), &path, depth + 1)?;
                }
                EntryKind::Commit if self.selection.recurse() => {
                    // Asked as if it had a manifest in it, so that an exclusion of the directory works.
                    if self.selection.wants(&format!("{path}/any.yaml")) != Wanted::No {
                        self.refuse(&path, "is a submodule, which is not supported; commit its files, or exclude it");
                    }
                }
                EntryKind::Tree | EntryKind::Commit => {}
                kind => match self.selection.wants(&path) {
                    Wanted::No => {}
                    Wanted::Refused(why) => self.refuse(&path, why),
                    Wanted::Manifest if kind == EntryKind::Link => {
                        self.refuse(
                            &path,
                            "is a symbolic link, which is not followed; commit the file itself, or exclude it",
                        );
                    }
                    Wanted::Manifest => self.file(entry.oid.to_owned(), path)?,
                },
            }
        }
        Ok(())
    }

    fn file(&mut self, id: ObjectId, path: String) -> Result<(), TreeError> {
        let header = self
            .repository
            .try_find_header(id)
            .map_err(|e| TreeError::Database(e.to_string()))?
            .ok_or(TreeError::Absent(id))?;
        // Looked at before the bytes are unpacked.
        if header.size() > self.limits.file_bytes {
            let message = format!("has {} bytes, at most {} are read; split it", header.size(), self.limits.file_bytes);
            self.refuse(&path, message);
            return Ok(());
        }
        let Some(left) = self.bytes_left.checked_sub(header.size()) else {
            let message = format!(
                "with this file the manifests are larger than {} bytes together; split the Application",
                self.limits.bytes
            );
            return Err(self.stop(&path, message));
        };
        self.bytes_left = left;
        let bytes = find(self.repository, id)?.data.clone();
        if bytes.starts_with(b"version https://git-lfs.github.com/spec/") {
            self.refuse(&path, "is kept in Git LFS, which is not supported; commit the file itself");
            return Ok(());
        }
        self.files.push(File { path, bytes });
        Ok(())
    }
}

pub(super) fn find(repository: &Repository, id: ObjectId) -> Result<gix::Object<'_>, TreeError> {
    repository.try_find_object(id).map_err(|e| TreeError::Database(e.to_string()))?.ok_or(TreeError::Absent(id))
}

/// A file name that is one: the object database can hold any bytes.
fn plain_name(name: &gix::bstr::BStr) -> Option<&str> {
    let name = std::str::from_utf8(name).ok()?;
    let strange = name.is_empty()
        || name == "."
        || name == ".."
        || name.eq_ignore_ascii_case(".git")
        || name.contains(['/', '\\'])
        || name.contains(char::is_control);
    (!strange).then_some(name)
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::question::RenderQuestion;
    use crate::git::fetch::scratch_repository;
    use gix::objs::Tree;
    use gix::objs::tree::Entry;

    fn selection(recurse: bool, exclude: &str) -> Selection {
        Selection::of(&RenderQuestion {
            url: String::new(),
            secret: None,
            tree: String::new(),
            recurse,
            include: String::new(),
            exclude: exclude.to_owned(),
        })
        .expect("a selection")
    }

    struct Given {
        _folder: tempfile::TempDir,
        repository: Repository,
    }

    impl Given {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let repository = scratch_repository(folder.path());
            Self { _folder: folder, repository }
        }

        fn blob(&self, text: &str) -> ObjectId {
            self.repository.write_blob(text.as_bytes()).expect("a blob").detach()
        }

        /// A tree with the entries as given, however strange.
        fn tree(&self, entries: &[(&str, EntryKind, ObjectId)]) -> ObjectId {
            let mut entries: Vec<Entry> = entries
                .iter()
                .map(|(name, kind, oid)| Entry { mode: (*kind).into(), filename: (*name).into(), oid: *oid })
                .collect();
            entries.sort();
            self.repository.write_object(Tree { entries }).expect("a tree").detach()
        }

        fn read(&self, tree: ObjectId, selection: &Selection) -> Result<Vec<String>, Vec<String>> {
            match read(&self.repository, tree, selection, &TreeLimits::default()) {
                Ok(files) => Ok(files.into_iter().map(|f| f.path).collect()),
                Err(TreeError::Files(errors)) => {
                    Err(errors.into_iter().map(|e| format!("{}: {}", e.file, e.message)).collect())
                }
                Err(other) => Err(vec![other.to_string()]),
            }
        }
    }

    #[test]
    fn files_come_sorted_and_directories_only_when_asked() {
        let given = Given::new();
        let blob = given.blob("a: 1");
        let sub = given.tree(&[("c.yaml", EntryKind::Blob, blob), ("note.txt", EntryKind::Blob, blob)]);
        let root = given.tree(&[("b.yaml", EntryKind::BlobExecutable, blob), ("a", EntryKind::Tree, sub)]);
        assert_eq!(given.read(root, &selection(false, "")), Ok(vec!["b.yaml".to_owned()]));
        assert_eq!(given.read(root, &selection(true, "")), Ok(vec!["a/c.yaml".to_owned(), "b.yaml".to_owned()]));
    }

    #[test]
    fn links_submodules_pointers_and_strange_names_are_refused_by_path() {
        let given = Given::new();
        let blob = given.blob("/etc/passwd");
        let pointer = given.blob("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
        let root = given.tree(&[
            ("link.yaml", EntryKind::Link, blob),
            ("link.txt", EntryKind::Link, blob),
            ("module", EntryKind::Commit, blob),
            ("big.yaml", EntryKind::Blob, pointer),
            ("..", EntryKind::Blob, blob),
            (".GIT", EntryKind::Blob, blob),
            ("a\nb.yaml", EntryKind::Blob, blob),
        ]);
        let errors = given.read(root, &selection(true, "")).expect_err("six bad entries");
        assert_eq!(errors.len(), 6, "{errors:#?}");
        let excluded = given.read(root, &selection(true, "{link.yaml,module/*,big.yaml}")).expect_err("three are left");
        assert_eq!(excluded.len(), 3, "{excluded:#?}");
        assert!(excluded.iter().all(|e| !e.contains('\n')));
    }

    #[test]
    fn a_missing_object_is_absent_and_not_a_broken_file() {
        let given = Given::new();
        let nowhere = ObjectId::from_hex(&[b'1'; 40]).expect("an id");
        let root = given.tree(&[("a.yaml", EntryKind::Blob, nowhere)]);
        let read = read(&given.repository, root, &selection(false, ""), &TreeLimits::default());
        assert!(matches!(read, Err(TreeError::Absent(id)) if id == nowhere));
    }

    #[test]
    fn size_depth_and_number_have_limits() {
        let given = Given::new();
        let blob = given.blob(&"#".repeat(100));
        let flat = given.tree(&[("a.yaml", EntryKind::Blob, blob), ("b.yaml", EntryKind::Blob, blob)]);
        let deep = (0..6).fold(flat, |tree, _| given.tree(&[("d", EntryKind::Tree, tree)]));
        let refused = |tree, limits: TreeLimits| match read(&given.repository, tree, &selection(true, ""), &limits) {
            Err(TreeError::Files(errors)) => errors[0].message.clone(),
            other => panic!("{other:?}"),
        };
        let limits = TreeLimits::default();
        assert!(refused(flat, TreeLimits { file_bytes: 99, ..limits.clone() }).contains("has 100 bytes"));
        assert!(refused(flat, TreeLimits { bytes: 150, ..limits.clone() }).contains("larger than 150"));
        assert!(refused(flat, TreeLimits { entries: 1, ..limits.clone() }).contains("more than 1 entries"));
        assert!(refused(deep, TreeLimits { depth: 5, ..limits }).contains("nested deeper than 5"));
    }
}
