//! What an apply would change: the live object beside the same object after a dry run of the apply.

use super::client::{Client, DEADLINE, Mode};
use super::write::WriteError;
use crate::core::application::diff;
use crate::core::application::wanted::LABEL_APPLICATION;
use crate::core::plan::{Actor, Manager};
use crate::core::question::WouldApply;
use serde_json::Value;

/// Asks the API server, as the account that would apply it, with strict validation of the fields. Both objects are dropped
/// at once; only what differs is kept.
///
/// # Errors
/// The refusal of the apply, or that nobody answered.
pub async fn dry_run_apply(client: &Client, object: &Value, actor: &Actor) -> Result<WouldApply, WriteError> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let resource = client.resolve(text("apiVersion"), text("kind")).await?;
    let meta = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    let manager = Manager::Sync.as_str();
    // The refusal first: who may not apply an object learns nothing about it.
    let applied = client.apply(&resource, object, manager, true, actor, Mode::DryRun, DEADLINE).await?;
    let live = client.get(&resource, meta("namespace"), meta("name"), actor).await?;
    let Some(live) = live else { return Ok(WouldApply { uid: None, owner: None, changes: Vec::new() }) };
    let of_live = |value: &Value| value.as_str().map(str::to_owned);
    Ok(WouldApply {
        uid: of_live(&live["metadata"]["uid"]),
        owner: of_live(&live["metadata"]["labels"][LABEL_APPLICATION]),
        changes: diff::changes(&live, &applied),
    })
}
