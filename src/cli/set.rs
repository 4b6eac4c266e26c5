//! `set image` and `undo`: changes of the pod template by hand, for Rollouts that no repository owns.

use super::access::{Guarded, Target};
use super::arguments::{Named, name};
use super::command::goal;
use super::failure::Failure;
use super::output::print;
use super::owner::{git_owner, place};
use super::show::Observed;
use super::show::hash_of;
use super::show::history::revisions;
use super::show::text::Line;
use crate::api::Rollout;
use crate::core::rollout::ANNOTATION_ROLE;
use crate::core::rollout::revisions::known_hashes;
use crate::core::rollout::template::as_written;
use clap::{Args, Subcommand};
use json_patch::{AddOperation, Patch, PatchOperation, ReplaceOperation, TestOperation};
use jsonptr::PointerBuf;
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::ResourceExt;
use serde_json::{Value, json};

/// `tidegate set`
#[derive(Debug, Args)]
pub struct Set {
    #[command(subcommand)]
    what: SetWhat,
}

#[derive(Debug, Subcommand)]
enum SetWhat {
    /// Images of containers: a new revision. Refused where a repository owns the template.
    Image(SetImage),
}

#[derive(Debug, Args)]
struct SetImage {
    /// Name of the Rollout; rollout/NAME too
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// The container and its new image; * is every container
    #[arg(required = true, value_name = "CONTAINER=IMAGE", value_parser = pair)]
    images: Vec<(String, String)>,
    #[command(flatten)]
    target: Target,
}

/// `tidegate undo`
#[derive(Debug, Args)]
pub struct Undo {
    #[command(flatten)]
    named: Named,
    /// Number of the revision; the stable one, or the last good one, when not given
    #[arg(long, value_name = "REVISION")]
    to_revision: Option<i64>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((container, image)) if !container.is_empty() && !image.is_empty() => {
            Ok((container.to_owned(), image.to_owned()))
        }
        _ => Err(format!("{text:?} is not CONTAINER=IMAGE")),
    }
}

impl Set {
    pub(super) async fn run(self, before: Target) -> Result<(), Failure> {
        let SetWhat::Image(args) = self.what;
        let cluster = args.target.or(before).open().await?;
        let rollout = cluster.rollout(&args.name).await?;
        let what = format!("set image {}/{}", cluster.namespace, args.name);
        free(&rollout, &what, "image")?;
        let (operations, lines) =
            images(&rollout, &args.images).map_err(|why| Failure::Usage(format!("{what}: {why}")))?;
        match cluster.edit(&rollout, operations).await? {
            Guarded::Written => print(None, &lines, &()),
            Guarded::Changed => Err(changed(&what)),
        }
    }
}

impl Undo {
    pub(super) async fn run(self, before: Target) -> Result<(), Failure> {
        let (cluster, name) = self.named.open(before).await?;
        let observed = cluster.observe(&name).await?;
        let what = format!("undo {}/{name}", cluster.namespace);
        free(&observed.rollout, &what, "template")?;
        let set = former(&observed, self.to_revision).map_err(|why| Failure::Refused(format!("{what}: {why}")))?;
        let operations = vec![
            test(&["metadata", "uid"], json!(observed.rollout.uid())),
            test(&["spec", "template"], json!(observed.rollout.spec.template)),
            replace(&["spec", "template"], template(set)),
        ];
        match cluster.edit(&observed.rollout, Patch(operations)).await? {
            Guarded::Written => print(None, &put_back(set), &()),
            Guarded::Changed => Err(changed(&what)),
        }
    }
}

fn changed(what: &str) -> Failure {
    Failure::Refused(format!("{what}: the template changed in the same moment; look at it and ask again"))
}

/// A template that a repository owns is put back within moments, and one of another object is not here.
fn free(rollout: &Rollout, what: &str, field: &str) -> Result<(), Failure> {
    if let Some(workload) = &rollout.spec.workload_ref {
        let (kind, name) = (&workload.kind, &workload.name);
        return Err(Failure::Refused(format!(
            "{what}: the template is that of {kind} {name}; change the {field} there, and the Rollout follows"
        )));
    }
    match git_owner(rollout, &["spec", "template"]) {
        None => Ok(()),
        Some(owner) => Err(Failure::Refused(format!(
            "{what}: {owner} owns spec.template and would put it back; change the {field} {}",
            place(rollout)
        ))),
    }
}

fn path(tokens: &[&str]) -> PointerBuf {
    PointerBuf::from_tokens(tokens.iter().copied())
}

fn test(at: &[&str], value: Value) -> PatchOperation {
    PatchOperation::Test(TestOperation { path: path(at), value })
}

fn replace(at: &[&str], value: Value) -> PatchOperation {
    PatchOperation::Replace(ReplaceOperation { path: path(at), value })
}

/// Tested operations, and what they do in words.
fn images(rollout: &Rollout, wanted: &[(String, String)]) -> Result<(Patch, Vec<Line>), String> {
    let none = Value::Null;
    let pod = rollout.spec.template.as_ref().map_or(&none, |template| &template["spec"]);
    let mut operations = vec![test(&["metadata", "uid"], json!(rollout.uid()))];
    let (mut lines, mut names) = (Vec::new(), Vec::new());
    let mut met = vec![false; wanted.len()];
    for list in ["containers", "initContainers"] {
        for (at, container) in pod[list].as_array().into_iter().flatten().enumerate() {
            let name = container["name"].as_str().unwrap_or_default();
            names.push(name.to_owned());
            let hit = |(key, _): &(String, String)| key == name || (key == "*" && list == "containers");
            let Some(index) = wanted.iter().rposition(hit) else { continue };
            wanted.iter().enumerate().filter(|(_, pair)| hit(pair)).for_each(|(i, _)| met[i] = true);
            let image = &wanted[index].1;
            let at = at.to_string();
            let below = |field| ["spec", "template", "spec", list, at.as_str(), field];
            operations.push(test(&below("name"), json!(name)));
            if container["image"].is_string() {
                operations.push(test(&below("image"), container["image"].clone()));
            }
            let (path, value) = (path(&below("image")), json!(image));
            operations.push(PatchOperation::Add(AddOperation { path, value }));
            let former = container["image"].as_str().unwrap_or("none");
            lines.push(Line::text(format!("The image of {name} is {image} now (it was {former}).")));
        }
    }
    match met.iter().position(|met| !met) {
        None => Ok((Patch(operations), lines)),
        Some(at) => Err(format!("there is no container {:?}; there are: {}", wanted[at].0, names.join(", "))),
    }
}

/// The ReplicaSet whose template comes back.
fn former(observed: &Observed, number: Option<i64>) -> Result<&ReplicaSet, String> {
    let known = revisions(observed);
    let at = match number {
        Some(number) => known.iter().position(|r| r.revision == number),
        None => goal(&observed.rollout).and_then(|hash| known.iter().position(|r| r.hash == hash)),
    };
    let kept = || known.iter().map(|r| r.revision.to_string()).collect::<Vec<_>>().join(", ");
    let at = at.ok_or_else(|| match number {
        Some(number) => format!("there is no revision {number}; kept are: {}", kept()),
        None => format!("no stable or good revision is kept; name one with --to-revision: {}", kept()),
    })?;
    if known[at].roles.contains(&"current") {
        return Err(format!("revision {} is the current one", known[at].revision));
    }
    Ok(&observed.sets[at])
}

/// What became of the template, and whether it is the same revision: a ReplicaSet keeps what the API server made of a
/// template, with defaults written out, and that can be another text than the one that a person wrote.
fn put_back(set: &ReplicaSet) -> Vec<Line> {
    let mut lines = vec![Line::text(format!("The template is that of {} again.", set.name_any()))];
    if !known_hashes(&template(set)).iter().any(|hash| hash == hash_of(set)) {
        lines.push(Line::text("With its defaults written out it is a new revision, which goes through the steps."));
    }
    lines
}

/// The template as a person wrote it: without what the controller added.
fn template(set: &ReplicaSet) -> Value {
    let role = set.annotations().get(ANNOTATION_ROLE).map(String::as_str);
    as_written(serde_json::to_value(set.spec.template.as_ref()).unwrap_or_default(), role)
}

#[cfg(test)]
mod tests {
    use super::super::owner::tests::managed;
    use super::*;

    fn asked(text: &[&str]) -> Vec<(String, String)> {
        text.iter().map(|t| pair(t).expect("a pair")).collect()
    }

    #[test]
    fn only_the_named_containers_change_and_only_if_they_are_as_read() {
        let rollout = managed(&[]);
        let mut object = serde_json::to_value(&rollout).expect("JSON");
        let (patch, lines) = images(&rollout, &asked(&["log=log:2"])).expect("a known container");
        json_patch::patch(&mut object, &patch).expect("as read");
        let containers = &object["spec"]["template"]["spec"]["containers"];
        assert_eq!((&containers[0]["image"], &containers[1]["image"]), (&json!("app:1"), &json!("log:2")));
        assert_eq!(lines, [Line::text("The image of log is log:2 now (it was log:1).")]);
        json_patch::patch(&mut object, &patch).expect_err("no longer as read");
    }

    #[test]
    fn a_star_is_every_container_and_an_unknown_one_is_named_with_those_that_exist() {
        let (_, lines) = images(&managed(&[]), &asked(&["*=x:1", "log=log:2"])).expect("known");
        assert_eq!(lines[0], Line::text("The image of app is x:1 now (it was app:1)."));
        assert_eq!(lines[1], Line::text("The image of log is log:2 now (it was log:1)."));
        let error = images(&managed(&[]), &asked(&["web=x:1"])).expect_err("unknown");
        assert_eq!(error, "there is no container \"web\"; there are: app, log");
    }

    #[test]
    fn a_template_of_another_object_is_changed_there() {
        let mut rollout = managed(&[]);
        rollout.spec.workload_ref = Some(crate::api::WorkloadRef {
            api_version: "apps/v1".to_owned(),
            kind: "Deployment".to_owned(),
            name: "web".to_owned(),
            scale_down: None,
        });
        let refused = free(&rollout, "set image shop/web", "image").expect_err("it has no template");
        assert!(refused.to_string().contains("change the image there"), "{refused}");
    }

    #[test]
    fn a_template_of_git_is_refused_with_the_place_to_change_it() {
        let rollout = managed(&[("tidegate-sync", json!({"f:spec": {"f:template": {}}}))]);
        let error = free(&rollout, "set image shop/web", "image").expect_err("git's").to_string();
        assert_eq!(
            error,
            "set image shop/web: tidegate-sync owns spec.template and would put it back; \
             change the image in the repository of Application shop"
        );
    }
}
