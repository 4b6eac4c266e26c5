//! The two sorts of client.

use super::record::{Record, Trouble};
use super::sign::Signed;
use super::{Shared, Target};
use jiff::Timestamp;
use reqwest::header::{HOST, HeaderMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// Requests of the paced client that may be open at once; beyond that, the rate is not kept and that is recorded.
const OPEN_AT_MOST: usize = 256;

fn client(shared: &Shared, idle: usize) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .pool_max_idle_per_host(idle)
        .timeout(shared.load.patience)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .http1_only()
        .build()
        .expect("a client of these fixed settings can be built")
}

pub(super) async fn keep_alive(shared: Arc<Shared>, number: usize) {
    let http = client(&shared, 1);
    while shared.goes_on() {
        let record = once(&http, &shared.target, Some(number)).await;
        shared.keep(record);
        tokio::time::sleep(shared.load.think).await;
    }
}

pub(super) async fn paced(shared: Arc<Shared>) {
    let http = client(&shared, 0);
    let open = Arc::new(Semaphore::new(OPEN_AT_MOST));
    let mut ticks = tokio::time::interval(std::time::Duration::from_secs(1) / shared.load.paced);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut requests = JoinSet::new();
    while shared.goes_on() {
        ticks.tick().await;
        while requests.try_join_next().is_some() {}
        if let Ok(permit) = Arc::clone(&open).try_acquire_owned() {
            let (http, shared) = (http.clone(), Arc::clone(&shared));
            requests.spawn(async move {
                let record = once(&http, &shared.target, None).await;
                shared.keep(record);
                drop(permit);
            });
        } else {
            shared.keep(nothing(Timestamp::now(), 0.0, Trouble::Overrun, None));
        }
    }
    while requests.join_next().await.is_some() {}
}

fn nothing(sent: Timestamp, took_ms: f64, trouble: Trouble, client: Option<usize>) -> Record {
    let none: Arc<str> = Arc::from("");
    Record {
        sent,
        took_ms,
        status: 0,
        version: Arc::clone(&none),
        pod: none,
        signed: false,
        trouble: Some(trouble),
        client,
    }
}

/// One request, whatever becomes of it.
async fn once(http: &reqwest::Client, target: &Target, client: Option<usize>) -> Record {
    // Unique within the process is enough: the key is the stand's own.
    static NONCE: AtomicU64 = AtomicU64::new(1);
    let nonce = NONCE.fetch_add(1, Ordering::Relaxed).to_string();
    let (sent, begun) = (Timestamp::now(), Instant::now());
    let took = || begun.elapsed().as_secs_f64() * 1e3;
    let request = http
        .get(format!("{}{}", target.entry, target.path))
        .header(HOST, &target.host)
        .header("x-tidegate-nonce", &nonce)
        .send();
    let (status, headers) = match request.await {
        Err(e) => return nothing(sent, took(), class(&e), client),
        Ok(answer) => {
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            if let Err(e) = answer.bytes().await {
                return nothing(sent, took(), class(&e), client);
            }
            (status, headers)
        }
    };
    let (pod, version) = (text(&headers, "x-tidegate-pod"), text(&headers, "x-tidegate-version"));
    let signed =
        target.key.proves(Signed { pod, version, nonce: &nonce, status }, text(&headers, "x-tidegate-signature"));
    Record { sent, took_ms: took(), status, version: version.into(), pod: pod.into(), signed, trouble: None, client }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

fn class(error: &reqwest::Error) -> Trouble {
    if error.is_timeout() {
        Trouble::Timeout
    } else if error.is_connect() {
        Trouble::Connect
    } else {
        Trouble::Broken
    }
}
