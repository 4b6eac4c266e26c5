//! Which cgroup layout the machine has, and a cluster's own groups in it.
//!
//! [`layout`] is a pure function of `/proc/self/mountinfo`, tested on recorded trees; the rest only creates and removes folders.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::failure::{Doing, Result};

/// How the machine accounts for groups of processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// One hierarchy per controller, with or without an empty unified one beside them (systemd's "hybrid").
    V1 {
        /// Mount points of the hierarchies that take groups.
        hierarchies: Vec<PathBuf>,
        /// Mount point of a unified hierarchy beside them: a runtime makes groups there too.
        unified: Option<PathBuf>,
    },
    /// One hierarchy for all controllers.
    V2 {
        /// Its mount point.
        root: PathBuf,
    },
    /// No cgroup file system is mounted.
    None,
}

/// Reads the layout from the text of `/proc/self/mountinfo`.
///
/// A kubelet looks at `/sys/fs/cgroup` only: what is mounted elsewhere does not count.
pub fn layout(mountinfo: &str) -> Layout {
    let mut hierarchies = Vec::new();
    let mut unified = None;
    for line in mountinfo.lines() {
        // "ID PARENT DEV ROOT POINT OPTIONS [FIELDS...] - TYPE SOURCE SUPER"
        let Some((mount, kind)) = line.split_once(" - ") else { continue };
        let (Some(point), Some(kind)) = (mount.split(' ').nth(4), kind.split(' ').next()) else { continue };
        let point = Path::new(point);
        if !point.starts_with("/sys/fs/cgroup") {
            continue;
        }
        match kind {
            "cgroup" if !hierarchies.contains(&point.to_owned()) => hierarchies.push(point.to_owned()),
            "cgroup2" => unified = Some(point.to_owned()),
            _ => {}
        }
    }
    match unified {
        Some(root) if hierarchies.is_empty() => Layout::V2 { root },
        unified if !hierarchies.is_empty() => Layout::V1 { hierarchies, unified },
        _ => Layout::None,
    }
}

impl Layout {
    /// The layout of this machine.
    pub fn here() -> Result<Self> {
        Ok(layout(&fs::read_to_string("/proc/self/mountinfo").doing(|| "reading /proc/self/mountinfo".to_owned())?))
    }

    /// For the table of `check`.
    pub fn describe(&self) -> String {
        match self {
            Self::V1 { hierarchies, unified: None } => format!("v1, {} hierarchies", hierarchies.len()),
            Self::V1 { hierarchies, unified: Some(_) } => {
                format!("hybrid (v1 in use), {} hierarchies", hierarchies.len())
            }
            Self::V2 { root } => format!("v2 at {}", root.display()),
            Self::None => "none mounted".to_owned(),
        }
    }

    fn roots(&self) -> Vec<PathBuf> {
        match self {
            Self::V1 { hierarchies, unified } => hierarchies.iter().chain(unified).cloned().collect(),
            Self::V2 { root } => vec![root.clone()],
            Self::None => Vec::new(),
        }
    }

    /// Creates the group `name` in every hierarchy, with all controllers in it.
    pub fn create(&self, name: &str) -> Result<()> {
        for root in self.roots() {
            if matches!(self, Self::V2 { .. }) {
                enable_all(&root)?;
            }
            let group = root.join(name);
            fs::create_dir_all(&group).doing(|| format!("creating the cgroup {}", group.display()))?;
            match self {
                Self::V2 { .. } => enable_all(&group)?,
                // A v1 cpuset is empty at birth and takes no process until it is filled.
                _ => {
                    for file in ["cpuset.cpus", "cpuset.mems"] {
                        if let Ok(value) = fs::read_to_string(root.join(file)) {
                            let own = group.join(file);
                            fs::write(&own, value.trim()).doing(|| format!("writing {}", own.display()))?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Removes the group `name` and all below it, waiting for its last processes to be reaped. True if nothing is left.
    pub fn remove(&self, name: &str) -> bool {
        // 5 s: processes of a killed namespace are gone within two, also on a busy machine.
        for _ in 0..50 {
            let left: Vec<PathBuf> = self.roots().into_iter().map(|r| r.join(name)).filter(|g| g.is_dir()).collect();
            if left.is_empty() {
                return true;
            }
            for group in &left {
                remove_tree(group);
            }
            thread::sleep(Duration::from_millis(100));
        }
        false
    }
}

/// Passes every controller of a v2 group on to its children.
fn enable_all(group: &Path) -> Result<()> {
    let controllers = fs::read_to_string(group.join("cgroup.controllers"))
        .doing(|| format!("reading the controllers of {}", group.display()))?;
    for controller in controllers.split_whitespace() {
        let file = group.join("cgroup.subtree_control");
        // Real-time cpu and the like may be refused; what a kubelet needs is checked by `check`.
        if let Err(e) = fs::write(&file, format!("+{controller}"))
            && ["cpu", "memory", "pids", "cpuset"].contains(&controller)
        {
            return Err(e).doing(|| {
                format!(
                    "enabling {controller} in {} (in a container, its processes must be in a child group)",
                    file.display()
                )
            });
        }
    }
    Ok(())
}

/// A group is a folder whose files cannot be removed and go with it.
fn remove_tree(group: &Path) {
    if let Ok(entries) = fs::read_dir(group) {
        entries.flatten().filter(|e| e.path().is_dir()).for_each(|e| remove_tree(&e.path()));
    }
    // Busy while a process is being reaped: the caller tries again.
    let _ = fs::remove_dir(group);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded on a virtual machine without systemd.
    const V1: &str = "\
25 20 0:22 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
26 25 0:23 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
27 25 0:24 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
28 25 0:25 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd";

    /// Debian 12 and Ubuntu 24.04 with systemd.
    const V2: &str = "\
24 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 23 0:27 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot";

    /// Debian 10 with systemd.
    const HYBRID: &str = "\
30 23 0:26 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime shared:10 - cgroup2 cgroup2 rw,nsdelegate
32 30 0:28 / /sys/fs/cgroup/systemd rw,nosuid,nodev,noexec,relatime shared:11 - cgroup cgroup rw,xattr,name=systemd
35 30 0:31 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid,nodev,noexec,relatime shared:15 - cgroup cgroup rw,cpu,cpuacct";

    #[test]
    fn hierarchies_alone_are_v1() {
        let Layout::V1 { hierarchies, unified } = layout(V1) else { panic!("{:?}", layout(V1)) };
        assert_eq!(
            hierarchies,
            ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/systemd"].map(PathBuf::from)
        );
        assert_eq!(unified, None);
    }

    #[test]
    fn one_unified_hierarchy_is_v2() {
        assert_eq!(layout(V2), Layout::V2 { root: "/sys/fs/cgroup".into() });
    }

    #[test]
    fn hierarchies_beside_a_unified_one_are_hybrid_and_their_joined_controllers_one_group() {
        let Layout::V1 { hierarchies, unified } = layout(HYBRID) else { panic!("{:?}", layout(HYBRID)) };
        assert_eq!(hierarchies, ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/cpu,cpuacct"].map(PathBuf::from));
        assert_eq!(unified, Some("/sys/fs/cgroup/unified".into()));
    }

    #[test]
    fn a_mount_elsewhere_or_of_another_kind_does_not_count() {
        assert_eq!(
            layout(
                "30 23 0:27 / /mnt/cg rw - cgroup2 cgroup2 rw\n31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\nnonsense"
            ),
            Layout::None
        );
    }
}
