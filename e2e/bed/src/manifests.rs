//! What runs in the cluster before Tidegate does: Traefik with its CRDs, Prometheus, Gitea.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cache::{self, Cache};
use crate::cluster::Cluster;
use crate::debian::Unpacked;
use crate::demo::Foreign;
use crate::failure::{Doing, Result};
use crate::images::push;
use crate::images::recipes::{self, Named};
use crate::{process, programs, say};

/// Pushes every image but the product's, and notes their names.
pub fn push_images(cache: &Cache, cluster: &mut Cluster) -> Result<()> {
    let step = say::Step::begin("pushing the images", "seconds; the registry's storage is kept");
    push::wait(&cluster.registry, std::time::Duration::from_secs(10))?;
    for named in recipes::all(cache)? {
        push_one(cluster, named)?;
    }
    cluster.save()?;
    step.done();
    Ok(())
}

/// Pushes an image and notes its name, which it returns; the caller saves the cluster.
fn push_one(cluster: &mut Cluster, named: Named) -> Result<String> {
    push::push(&cluster.registry, &named.reference, &named.image)?;
    cluster.images.insert(named.short, named.reference.clone());
    Ok(named.reference)
}

/// Builds and pushes the product's image, and returns its reference.
pub fn push_product(cache: &Cache, cluster: &mut Cluster) -> Result<String> {
    let reference = push_one(cluster, recipes::product(cache)?)?;
    cluster.save()?;
    say::line(&format!("pushed {reference}"));
    Ok(reference)
}

/// Pushes the images to the registry `host`, from which a foreign cluster pulls, and returns the product's reference there.
pub fn push_to(cache: &Cache, host: &str) -> Result<String> {
    let step = say::Step::begin(&format!("pushing the images to {host}"), "seconds");
    push::wait(host, std::time::Duration::from_secs(10))?;
    for named in recipes::all(cache)? {
        push::push(host, &named.reference, &named.image)?;
    }
    let named = recipes::product(cache)?;
    push::push(host, &named.reference, &named.image)?;
    step.done();
    Ok(named.reference.replacen("tidegate.test/", &format!("{host}/"), 1))
}

/// Applies the CRDs of Traefik and everything in `manifests/`, and waits until it is available.
pub fn apply(cache: &Cache, cluster: &Cluster) -> Result<()> {
    let step = say::Step::begin("starting Traefik, Prometheus and Gitea", "about 10 s");
    let crds = programs::traefik_crds(cache)?;
    kubectl(cluster, "applying Traefik's CRDs", &["apply", "--server-side", "-f"], Some(&crds))?;
    kubectl(
        cluster,
        "applying e2e/bed/manifests",
        &["apply", "--server-side", "-f"],
        Some(&cache::source().join("manifests")),
    )?;
    for (namespace, deployment) in [("traefik", "traefik"), ("monitoring", "prometheus"), ("gitea", "gitea")] {
        let what = format!("waiting for {namespace}/{deployment}");
        let name = format!("deployment/{deployment}");
        kubectl(cluster, &what, &["rollout", "status", "--timeout=300s", "-n", namespace, &name], None).map_err(
            |f| {
                f.remedy(format!(
                    "look: {} --kubeconfig {} -n {namespace} describe pods",
                    cluster.kubectl().display(),
                    cluster.kubeconfig.display()
                ))
            },
        )?;
    }
    step.done();
    Ok(())
}

/// Builds metrics-server, where it was not, and starts it: autoscalers have figures some 40 s later.
pub fn add_metrics(cache: &Cache, cluster: &mut Cluster) -> Result<()> {
    programs::build(cache, &Unpacked::open(cache)?, &[programs::METRICS_SERVER])?;
    let step = say::Step::begin("starting metrics-server", "about 10 s");
    push_one(cluster, recipes::metrics_server(cache)?)?;
    cluster.save()?;
    let file = cache::source().join("manifests/on-demand/metrics-server.yaml");
    kubectl(cluster, "applying metrics-server", &["apply", "--server-side", "-f"], Some(&file))?;
    let wait = ["wait", "--for=condition=Available", "--timeout=300s", "apiservice/v1beta1.metrics.k8s.io"];
    kubectl(cluster, "waiting for the API of metrics-server", &wait, None)?;
    step.done();
    Ok(())
}

/// Puts Prometheus and Gitea into another cluster, each unless its namespace has it. They stay there.
pub fn complete(cache: &Cache, foreign: &Foreign) -> Result<()> {
    let program = programs::folders(cache, &["kubectl"])?.remove(0).join("kubectl");
    let kubectl = |what: &str, arguments: &[&str], file: Option<&Path>| {
        let mut command = Command::new(&program);
        process::output(what, command.arg("--kubeconfig").arg(&foreign.kubeconfig).args(arguments).args(file))
    };
    for (namespace, name) in [("monitoring", "prometheus"), ("gitea", "gitea")] {
        let what = format!("looking for {namespace}/{name}");
        let found =
            kubectl(&what, &["get", "service", name, "-n", namespace, "--ignore-not-found", "-o", "name"], None)?;
        if found.trim().is_empty() {
            let step = say::Step::begin(&format!("starting {name} in the other cluster"), "about 10 s");
            let source = cache::source().join(format!("manifests/{name}.yaml"));
            let text = fs::read_to_string(&source).doing(|| format!("reading {}", source.display()))?;
            let file = cache::checkout().join(format!("target/other-cluster-{name}.yaml"));
            let text = text.replace("tidegate.test/", &format!("{}/", foreign.registry));
            fs::write(&file, text).doing(|| format!("writing {}", file.display()))?;
            kubectl(&format!("applying {}", file.display()), &["apply", "--server-side", "-f"], Some(&file))?;
            step.done();
            say::line(&format!("it stays there: kubectl delete -f {} removes it", file.display()));
        }
        let deployment = format!("deployment/{name}");
        kubectl(
            &format!("waiting for {namespace}/{name}"),
            &["rollout", "status", "--timeout=300s", "-n", namespace, &deployment],
            None,
        )?;
    }
    Ok(())
}

/// One call of the cluster's own kubectl.
pub(crate) fn kubectl(cluster: &Cluster, what: &str, arguments: &[&str], file: Option<&Path>) -> Result<String> {
    process::output(
        what,
        Command::new(cluster.kubectl()).arg("--kubeconfig").arg(&cluster.kubeconfig).args(arguments).args(file),
    )
}
