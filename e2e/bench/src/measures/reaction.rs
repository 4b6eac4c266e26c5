//! How soon a metric that turns bad costs the canary its share.

use super::{Measures, held};
use crate::world::NAMESPACE;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::time::Duration;

const TURNS: usize = 10;
const NAME: &str = "judged";

impl Measures {
    /// A metric is asked each second; it turns bad at another moment of that second each time.
    pub(super) async fn reactions(&mut self) -> anyhow::Result<()> {
        self.world.apply_all(vec![self.template()]).await?;
        let (mut from_answer, mut from_turn) = (Vec::new(), Vec::new());
        for turn in (0..TURNS).map(|n| u64::try_from(n).unwrap_or_default()) {
            self.metric.turn(false);
            self.paused(NAME, self.judged()).await?;
            tokio::time::sleep(Duration::from_millis(2_000 + 97 * turn)).await;
            let turned = Timestamp::now();
            self.metric.turn(true);
            let written = self.weight_written(NAME, turned).await?;
            let told = self.metric.told().ok_or_else(|| anyhow::anyhow!("lowered before the metric was asked"))?;
            let ms = |time: SignedDuration| time.as_secs_f64() * 1000.0;
            from_answer.push(ms(written.duration_since(told)));
            from_turn.push(ms(written.duration_since(turned)));
        }
        self.report_times("first failing answer of a metric at 1 s -> weight 0 written", from_answer, None, 190.0);
        self.report_times("metric turned bad -> weight 0 written", from_turn, None, 850.0);
        Ok(())
    }

    fn template(&self) -> serde_json::Value {
        json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisTemplate",
            "metadata": {"namespace": NAMESPACE, "name": NAME},
            "spec": {"metrics": [{
                "name": "good", "interval": "1s", "failureLimit": 0, "successCondition": "result[0] == 1",
                "provider": {"prometheus": {"address": self.metric.address, "query": "good"}}
            }]}
        })
    }

    /// Its canary of four pods stays at 20 %, watched by the metric.
    fn judged(&self) -> Vec<serde_json::Value> {
        let mut objects = held(NAME);
        for object in objects.iter_mut().filter(|o| o["kind"] == "Rollout") {
            object["spec"]["strategy"]["canary"]["analysis"] = json!({"templates": [{"templateName": NAME}]});
        }
        objects
    }
}
