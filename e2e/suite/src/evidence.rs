//! All that is needed to understand a failure, in one folder.
//!
//! Taken while the stand is still there. Whatever cannot be had is named in the folder; gathering never fails a scenario a
//! second time.

use crate::cluster::{Cluster, Kind};
use crate::generator::{Record, failures, tally};
use crate::traefik;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Lines of each log that are kept.
const LINES: u32 = 2_000;

/// Where one failure's evidence goes.
#[derive(Debug)]
pub struct Evidence {
    folder: PathBuf,
    missing: String,
}

impl Evidence {
    /// # Errors
    /// When the folder cannot be made.
    pub fn in_folder(folder: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), missing: String::new() })
    }

    fn keep(&mut self, name: &str, text: Result<impl AsRef<[u8]>, impl std::fmt::Display>) {
        let outcome = text
            .map_err(|e| e.to_string())
            .and_then(|text| std::fs::write(self.folder.join(name), text).map_err(|e| e.to_string()));
        if let Err(e) = outcome {
            let _ = writeln!(self.missing, "{name}: {e}");
        }
    }

    /// The objects and events of a namespace, the product's logs, the router's state.
    pub async fn gather(&mut self, cluster: &Cluster, namespace: &str, product: &str, error: &str) {
        self.keep("failure.txt", Ok::<_, String>(error.to_owned()));
        for kind in Kind::ALL.iter().filter(|k| k.namespaced && **k != Kind::SECRET && **k != Kind::LEASE) {
            let list = cluster.list(*kind, namespace, "").await;
            if !list.as_ref().is_ok_and(Vec::is_empty) {
                self.keep(
                    &format!("{}.yaml", kind.plural),
                    list.map(|mut items| {
                        items.iter_mut().for_each(tidy);
                        crate::objects::yaml(&items).unwrap_or_else(|e| e.to_string())
                    }),
                );
            }
        }
        for (space, labels) in [(product, "app.kubernetes.io/name=tidegate"), (namespace, "")] {
            match cluster.list(Kind::POD, space, labels).await {
                Err(e) => self.keep("pods", Err::<String, _>(e)),
                Ok(pods) => {
                    for pod in &pods {
                        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
                        self.keep(&format!("{name}.log"), cluster.logs(space, name, LINES, false).await);
                        if pod["status"]["containerStatuses"][0]["restartCount"].as_u64().is_some_and(|n| n > 0) {
                            self.keep(
                                &format!("{name}.before-restart.log"),
                                cluster.logs(space, name, LINES, true).await,
                            );
                        }
                    }
                }
            }
        }
        for pod in traefik::instances(cluster).await.unwrap_or_default() {
            let state = traefik::loaded(cluster, &pod).await;
            self.keep(&format!("{pod}.json"), state.map(|s| format!("{:#}", only(namespace, s))));
            let space = &cluster.access.traefik_namespace;
            self.keep(&format!("{pod}.log"), cluster.logs(space, &pod, LINES, false).await);
        }
        if !self.missing.is_empty() {
            let _ = std::fs::write(self.folder.join("missing.txt"), &self.missing);
        }
    }

    /// Something that only the scenario knew how to get.
    pub fn more(&mut self, name: &str, text: &str) {
        self.keep(name, Ok::<_, String>(text));
    }

    /// Each request that was not a good answer, and the totals.
    pub fn requests(&mut self, records: &[Record]) {
        let lines: Vec<String> = failures(records, |_| false).iter().map(|f| json!(f).to_string()).collect();
        self.keep("failed-requests.jsonl", Ok::<_, String>(lines.join("\n")));
        self.keep("requests.json", Ok::<_, String>(format!("{:#}", json!(tally(records)))));
    }
}

/// Takes out what nobody reads.
fn tidy(object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
}

/// The part of Traefik's state whose names belong to the namespace.
fn only(namespace: &str, state: Value) -> Value {
    let Value::Object(state) = state else { return state };
    let part = |part: Value| match part {
        Value::Object(entries) => {
            Value::Object(entries.into_iter().filter(|(name, _)| name.starts_with(namespace)).collect())
        }
        other => other,
    };
    Value::Object(state.into_iter().map(|(name, value)| (name, part(value))).collect())
}
