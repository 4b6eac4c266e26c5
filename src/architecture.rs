//! Tests of the shape of the code: which room may know which, and that `core/` is pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Which rooms each room may name. A new line here is a decision about the design, not a way to make the test pass: data flows
/// from the rim through `core/` and out by the executor, and rooms of the rim meet in `controllers/` and `supervise` only.
const EDGES: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("clock", &[]),
    ("http", &[]),
    ("manifest", &["core"]),
    ("telemetry", &[]),
    ("core", &["api"]),
    ("render", &["core", "manifest"]),
    ("cluster", &["clock", "core", "http", "telemetry"]),
    ("traefik", &["clock", "core", "http"]),
    ("measure", &["clock", "core", "http"]),
    ("git", &["clock", "core", "http", "manifest", "render"]),
    ("execute", &["cluster", "core", "telemetry"]),
    ("controllers", &["clock", "cluster", "core", "execute", "git", "measure", "render", "telemetry", "traefik"]),
    ("sim", &["clock", "cluster", "controllers", "core", "execute", "telemetry"]),
    (
        "supervise",
        &[
            "clock",
            "cluster",
            "controllers",
            "core",
            "execute",
            "git",
            "http",
            "measure",
            "render",
            "telemetry",
            "traefik",
        ],
    ),
    (
        "cli",
        &[
            "api",
            "clock",
            "cluster",
            "core",
            "git",
            "http",
            "manifest",
            "measure",
            "render",
            "supervise",
            "telemetry",
            "traefik",
        ],
    ),
    ("lib", &[]),
    ("main", &[]),
];

/// What has no place in `core/`: waiting, asking, clocks, chance, files, threads.
const IMPURE: &[&str] = &[
    "tokio",
    "kube::",
    "reqwest",
    "gix::",
    "hyper",
    "axum",
    "async fn",
    "async move",
    ".await",
    "Timestamp::now",
    "SystemTime",
    "Instant::",
    "rand::",
    "getrandom",
    "std::env",
    "std::fs",
    "std::net",
    "std::thread",
    "std::process",
    "Zoned::now",
    "println!",
    "tracing::",
];

fn sources(below: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(below).expect("the sources are there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

/// Lines that are code, with their numbers; comments may name what they like.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = std::fs::read_to_string(path).expect("a source is text");
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines.map(|(at, line)| (at + 1, line.to_owned())).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn room_of(path: &Path) -> String {
    let inside = path.strip_prefix(root()).expect("below the root");
    let first = inside.components().next().expect("it has a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The rooms that a line names as `crate::room` or `crate::{room, other::…}`.
fn named(line: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let list = rest.strip_prefix('{').and_then(|inner| inner.split('}').next());
        for item in list.map_or_else(|| vec![rest], |list| list.split(',').collect()) {
            let name: String = item.trim().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            names.push(name);
        }
    }
    names.retain(|n| !n.is_empty());
    names
}

#[test]
fn rooms_know_only_whom_the_table_allows() {
    let table: BTreeMap<&str, BTreeSet<&str>> = EDGES.iter().map(|(k, v)| (*k, v.iter().copied().collect())).collect();
    let mut wrong = Vec::new();
    // This file names rooms in its own test; tests of a room may drive it through the simulation.
    let shipped =
        |path: &PathBuf| room_of(path) != "architecture" && !path.iter().any(|p| p == "tests.rs" || p == "tests");
    for path in sources(&root()).into_iter().filter(shipped) {
        let room = room_of(&path);
        let Some(allowed) = table.get(room.as_str()) else {
            wrong.push(format!("src/{room} is not in the table of src/architecture.rs"));
            continue;
        };
        for (line, text) in code(&path) {
            for other in named(&text) {
                let known = table.contains_key(other.as_str());
                if known && other != room && !allowed.contains(other.as_str()) {
                    wrong.push(format!("{}:{line}: {room} must not know {other}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn core_is_pure() {
    let mut wrong = Vec::new();
    for path in sources(&root().join("core")) {
        for (line, text) in code(&path) {
            for word in IMPURE.iter().filter(|word| text.contains(**word)) {
                wrong.push(format!("{}:{line}: {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "not pure:\n{}", wrong.join("\n"));
}

#[test]
fn names_in_a_group_are_found() {
    assert_eq!(named("use crate::{measure, traefik::Traefik};"), ["measure", "traefik"]);
    assert_eq!(named("    crate::core::plan::Plan::default(); crate::clock::now()"), ["core", "clock"]);
}
