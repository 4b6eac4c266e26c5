//! Reading what Traefik serves, from every Ready instance.
//!
//! The problem: a weight that was written is not a weight that is served. Each instance of Traefik loads its configuration
//! by itself, up to two seconds later, and drops what it cannot build. The rule kept here: only an instance's own API says
//! what it serves; an instance that does not answer is named, never assumed. One reading per instance serves everybody who
//! asks, and is repeated only while somebody does. What a reading means is decided in `core/traffic`.

mod api;
mod instances;

pub use instances::Settings;

use crate::core::question::{InstanceReading, RoutesSeen, Told};
use crate::http::{self, Destinations, HttpError};
use instances::{Instance, Instances};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Between two readings of an instance while somebody waits: a change is live after 150 ms at the median.
const EVERY: Duration = Duration::from_millis(250);
/// The same when somebody new asks: a write was just made, and Traefik may be quick.
const SOON: Duration = Duration::from_millis(50);
/// Rest after a reading, in times that it took: with thousands of routes a reading is work, for both sides.
const REST: u32 = 4;
/// Longest that one instance may take for a reading; it is then silent.
const ANSWER: Duration = Duration::from_secs(2);
/// An unchanged answer is repeated after this, so that it is known to be true still.
const REPEAT: Duration = Duration::from_secs(1);

/// What one instance had loaded, all of it.
#[derive(Debug, Clone, PartialEq)]
struct Snapshot {
    instance: String,
    at: Timestamp,
    rung: &'static str,
    seen: Result<Arc<RoutesSeen>, String>,
}

/// All instances, as of one round.
#[derive(Debug, Clone, Default, PartialEq)]
struct Round {
    /// When its reading began; `None` before the first one.
    began: Option<Timestamp>,
    snapshots: Vec<Snapshot>,
}

/// The shared readings. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Traefik {
    rounds: Arc<watch::Sender<Arc<Round>>>,
    asked: Arc<tokio::sync::Notify>,
}

impl Traefik {
    /// Starts the reader; it rests while nobody asks, and ends with `stop`.
    ///
    /// # Errors
    /// When no HTTP client can be built.
    pub fn start(
        settings: Settings,
        cluster: Option<kube::Client>,
        stop: CancellationToken,
    ) -> Result<Self, HttpError> {
        let client = http::client(Destinations::Trusted)?;
        let traefik = Self { rounds: Arc::new(watch::Sender::new(Arc::default())), asked: Arc::default() };
        let reader = traefik.clone();
        let mut instances = Instances::new(settings, cluster);
        tokio::spawn(async move {
            let reading = async {
                loop {
                    if reader.rounds.receiver_count() == 0 {
                        reader.asked.notified().await;
                    }
                    let began = crate::clock::now();
                    let snapshots = read_all(&client, &mut instances).await;
                    let took = Duration::try_from(crate::clock::now().duration_since(began)).unwrap_or_default();
                    reader.rounds.send_replace(Arc::new(Round { began: Some(began), snapshots }));
                    let rest = took.saturating_mul(REST);
                    tokio::select! {
                        () = tokio::time::sleep(rest.max(EVERY)) => {}
                        () = async {
                            reader.asked.notified().await;
                            tokio::time::sleep(rest.max(SOON)).await;
                        } => {}
                    }
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = reading => {}
            }
        });
        Ok(traefik)
    }

    /// Answers [`Ask::Routes`](crate::core::question::Ask::Routes): at once, at each change, and each second without one,
    /// until it is dropped. The children of the asked services are told too.
    pub async fn answer(&self, services: &[String], routers: &[String], mut tell: impl FnMut(Told)) {
        let mut rounds = self.rounds.subscribe();
        let since = crate::clock::now();
        self.asked.notify_one();
        let mut told: Option<(Timestamp, Vec<InstanceReading>)> = None;
        while rounds.changed().await.is_ok() {
            let round = rounds.borrow_and_update().clone();
            // A round that began before the question may show what was true before the asker's last write.
            let Some(began) = round.began.filter(|began| *began >= since) else { continue };
            let readings: Vec<_> = round.snapshots.iter().map(|s| s.about(services, routers)).collect();
            let known = told.as_ref().is_some_and(|(at, before)| {
                let age = Duration::try_from(began.duration_since(*at)).unwrap_or_default();
                age < REPEAT && same(before, &readings)
            });
            if !known {
                tell(Told::Routes(readings.clone()));
                told = Some((began, readings));
            }
        }
    }
}

/// Equal but for the time of reading.
fn same(a: &[InstanceReading], b: &[InstanceReading]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (&a.instance, a.rung, &a.seen) == (&b.instance, b.rung, &b.seen))
}

async fn read_all(client: &reqwest::Client, instances: &mut Instances) -> Vec<Snapshot> {
    match instances.current().await {
        Ok(found) => futures::future::join_all(found.iter().map(|instance| read(client, instance))).await,
        Err(problem) => {
            vec![Snapshot { instance: "Traefik".to_owned(), at: crate::clock::now(), rung: "none", seen: Err(problem) }]
        }
    }
}

async fn read(client: &reqwest::Client, instance: &Instance) -> Snapshot {
    let at = crate::clock::now();
    let seen = match tokio::time::timeout(ANSWER, api::read(client, &instance.api)).await {
        Ok(Ok(seen)) => Ok(Arc::new(seen)),
        Ok(Err(error)) => Err(format!("{}: {error}", instance.api)),
        Err(_) => Err(format!("{}: no answer within {} s", instance.api, ANSWER.as_secs())),
    };
    Snapshot { instance: instance.name.clone(), at, rung: instance.rung, seen }
}

impl Snapshot {
    /// The part that one question is about.
    fn about(&self, services: &[String], routers: &[String]) -> InstanceReading {
        let seen = self.seen.clone().map(|all| {
            let mut part = RoutesSeen::default();
            let mut open: Vec<String> = services.to_vec();
            while let Some(name) = open.pop() {
                let Some(service) = all.services.get(&name).filter(|_| !part.services.contains_key(&name)) else {
                    continue;
                };
                open.extend(service.children.iter().map(|(child, _)| api::qualified(child, &name)));
                part.services.insert(name, service.clone());
            }
            let wanted = routers.iter().filter_map(|name| Some((name.clone(), all.routers.get(name)?.clone())));
            part.routers = wanted.collect::<BTreeMap<_, _>>();
            part
        });
        InstanceReading { instance: self.instance.clone(), at: self.at, rung: self.rung, seen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::{answer, server};
    use serde_json::json;

    fn loaded(canary: i64) -> String {
        let services = json!([
            {"name": "shop-web@kubernetescrd", "status": "enabled", "weighted": {"services": [
                {"name": "shop-web-stable-80", "weight": 100 - canary}, {"name": "shop-web-canary-80", "weight": canary}]}},
            {"name": "shop-web-canary-80@kubernetescrd", "status": "enabled",
             "loadBalancer": {"servers": [{"url": "http://10.0.0.7:8080"}]}},
            {"name": "other@internal", "status": "enabled"},
        ]);
        answer("200 OK", &services.to_string())
    }

    fn routers() -> String {
        answer(
            "200 OK",
            &json!([{"name": "r@kubernetescrd", "status": "enabled", "rule": "Host(`a`)", "priority": 9,
                                  "service": "shop-web"}])
            .to_string(),
        )
    }

    fn start(addresses: Vec<String>, stop: &CancellationToken) -> Traefik {
        let settings = Settings { addresses, ..Settings::default() };
        Traefik::start(settings, None, stop.clone()).expect("a client")
    }

    /// The first answers to a question, at most `count`, within two seconds.
    async fn answers(traefik: &Traefik, count: usize) -> Vec<Vec<InstanceReading>> {
        let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel();
        let asker = traefik.clone();
        let asking = tokio::spawn(async move {
            let names = ["shop-web@kubernetescrd".to_owned()];
            asker.answer(&names, &["r@kubernetescrd".to_owned()], |told| _ = tx.send(told)).await;
        });
        let mut got = Vec::new();
        while got.len() < count {
            match tokio::time::timeout(Duration::from_secs(2), rx.recv()).await {
                Ok(Some(Told::Routes(readings))) => got.push(readings),
                _ => break,
            }
        }
        asking.abort();
        got
    }

    #[tokio::test]
    async fn a_question_is_answered_with_its_services_their_children_and_its_routers() {
        let stop = CancellationToken::new();
        let (address, _) = server(vec![loaded(20), routers()]).await;
        let traefik = start(vec![address], &stop);
        let got = answers(&traefik, 1).await;
        let seen = got[0][0].seen.as_ref().expect("it answered");
        assert_eq!(
            seen.services.keys().collect::<Vec<_>>(),
            ["shop-web-canary-80@kubernetescrd", "shop-web@kubernetescrd"]
        );
        assert_eq!(seen.services["shop-web@kubernetescrd"].children[1], ("shop-web-canary-80".to_owned(), 20));
        assert_eq!(seen.services["shop-web-canary-80@kubernetescrd"].servers, ["http://10.0.0.7:8080"]);
        assert!(seen.routers["r@kubernetescrd"].enabled);
        stop.cancel();
    }

    #[tokio::test]
    async fn a_change_is_told_at_once_and_the_same_again_after_a_second() {
        let stop = CancellationToken::new();
        let weights = [0, 0, 50, 50, 50, 50, 50, 50];
        let (address, _) = server(weights.into_iter().flat_map(|canary| [loaded(canary), routers()]).collect()).await;
        let traefik = start(vec![address], &stop);
        let got = answers(&traefik, 3).await;
        let canary =
            |i: usize| got[i][0].seen.as_ref().expect("it answered").services["shop-web@kubernetescrd"].children[1].1;
        assert_eq!([canary(0), canary(1), canary(2)], [0, 50, 50]);
        let between = got[2][0].at.duration_since(got[1][0].at);
        assert!(between.as_millis() >= 900, "the same was told again after {between:?}");
        stop.cancel();
    }

    #[tokio::test]
    async fn an_instance_that_does_not_answer_is_named_with_the_reason() {
        let stop = CancellationToken::new();
        let (good, _) = server(vec![loaded(20), routers()]).await;
        let (closed, _) = server(vec![answer("404 Not Found", "404 page not found")]).await;
        let traefik = start(vec![good, closed.clone()], &stop);
        let got = answers(&traefik, 1).await;
        assert!(got[0][0].seen.is_ok());
        let reason = got[0][1].seen.as_ref().expect_err("it answers 404");
        assert!(reason.contains(&closed) && reason.contains("404") && reason.contains("--api.insecure"), "{reason}");
        stop.cancel();
    }

    #[tokio::test]
    async fn nothing_is_read_while_nobody_asks() {
        let stop = CancellationToken::new();
        let (address, asked) = server(vec![loaded(20), routers(), loaded(20), routers()]).await;
        let traefik = start(vec![address], &stop);
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(asked.lock().expect("no panic under it").len(), 0);
        answers(&traefik, 1).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        let after = asked.lock().expect("no panic under it").len();
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(asked.lock().expect("no panic under it").len(), after);
        stop.cancel();
    }
}
