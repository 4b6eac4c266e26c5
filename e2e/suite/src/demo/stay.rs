//! What is left for people to play with, until Ctrl-C.

use super::acts::Stage;
use crate::clone::WorkingCopy;
use crate::cluster::Cluster;
use crate::generator::{Generator, Load};
use crate::origin::{DANA, PATH};
use crate::stand::Stand;
use anyhow::Context;
use std::time::Duration;

/// Requests go on, as a version is judged by its answers: about thirty a second, of which the first share gets six.
const VISITORS: Load =
    Load { keep_alive: 2, think: Duration::from_millis(180), paced: 20, patience: Duration::from_secs(10) };
/// What was recorded is forgotten after so long: nobody reads it.
const SHIFT: Duration = Duration::from_secs(600);

/// Leaves a clone with credentials, the kubeconfig and the tools in one folder, prints what to try, and stays.
///
/// # Errors
/// When the folder cannot be made.
pub(super) async fn stay(cluster: &Cluster, stand: &Stand, stage: &Stage) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("tidegate-demo-").tempdir()?;
    let at = folder.path();
    let origin = &stage.origin;
    WorkingCopy::clone_to(&origin.repository.url_for(&origin.developer), DANA, &at.join("deploy")).await?;
    std::fs::copy(&cluster.access.kubeconfig, at.join("kubeconfig"))?;
    std::os::unix::fs::symlink(std::path::absolute(&cluster.access.tools)?, at.join("bin"))?;
    let port = cluster.access.entry.rsplit_once(':').context("the router's address has a port")?.1;
    let (space, app, host) = (stand.namespace(), &stand.app.name, &stand.app.host);
    let prometheus = cluster.access.prometheus.as_ref().map_or("-", |p| p.url.as_str());
    println!(
        "\n\
         The app:     http://{host}:{port}/\n\
         The forge:   {forge}  (user {user}, password {password})\n\
         Prometheus:  {prometheus}\n\
         Visitors:    about 30 requests a second, until the end\n\
         A folder with a clone, the kubeconfig and the tools: {at}\n\
         \n\
         To begin:\n\
         \x20   cd {at}; export KUBECONFIG=$PWD/kubeconfig PATH=$PWD/bin:$PATH; kubectl config set-context --current --namespace={space}\n\
         \n\
         1. Roll a good version out, and end its pause when you like what you see:\n\
         \x20   sed -i '/name: VERSION/{{n;s/.*/          value: \"4\"/}}' deploy/{PATH}/web.yaml; git -C deploy commit -qam 'Web: version 4'; git -C deploy push -q\n\
         \x20   kubectl annotate application {app} tidegate.dev/refresh=true; kubectl get rollout {app} --watch\n\
         \x20   kubectl annotate rollout {app} tidegate.dev/promote=step\n\
         2. Roll it out, and change your mind while it has its first share:\n\
         \x20   kubectl annotate rollout {app} tidegate.dev/abort='I do not like it'\n\
         \x20   kubectl get rollout {app} -o jsonpath='{{.status.commands}}'\n\
         3. Push a bad one and watch git take it back (ERROR_RATE of 0.3 in the same file):\n\
         \x20   sed -i '/name: ERROR_RATE/{{n;s/.*/          value: \"0.3\"/}}' deploy/{PATH}/web.yaml; git -C deploy commit -qam 'Web: bad'; git -C deploy push -q\n\
         \x20   kubectl get application {app} --watch -o wide; git -C deploy pull -q; git -C deploy log -3\n\
         \n\
         Ctrl-C ends it.",
        at = at.display(),
        forge = origin.repository.url(),
        user = origin.developer.user,
        password = origin.developer.password,
    );
    let mut end = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let _visitors = Generator::start(stand.target(), VISITORS);
        if let Ok(ended) = tokio::time::timeout(SHIFT, &mut end).await {
            return Ok(ended?);
        }
    }
}
