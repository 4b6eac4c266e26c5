//! Requests as users make them, each one recorded with who answered.
//!
//! An answer counts for the app only when the app signed it for this very request: whatever else answers (a router's 404, a
//! proxy's 502, a cached page) is ours to explain. Two sorts of client run together, because they see different things:
//! keep-alive clients stay with one instance of the router and show what a long-lived user gets; the paced one opens a
//! connection for each request at a fixed rate, whether the last one was answered or not, so that a stall is seen as a stall.

mod allowed;
mod record;
#[cfg(test)]
mod server;
mod sign;
mod work;

pub use allowed::{Broke, Broken, unexplained};
pub use record::{Failure, Record, Share, Tally, Trouble, failures, longest_gap, share, tally};
#[cfg(test)]
pub(crate) use server::{Reply, TestServer};
pub use sign::{Key, Signed};

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Where requests go.
#[derive(Debug, Clone)]
pub struct Target {
    /// The router's entry point as seen from here: `http://127.0.0.1:38080`.
    pub entry: String,
    /// Value of the Host header.
    pub host: String,
    /// Path with its leading slash.
    pub path: String,
    /// What the app signs with.
    pub key: Key,
}

/// How many requests.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Keep-alive clients, each of which asks again `think` after it was answered.
    pub keep_alive: usize,
    pub think: Duration,
    /// Requests per second on connections of their own.
    pub paced: u32,
    /// Longest wait for an answer.
    pub patience: Duration,
}

impl Load {
    /// Eight keep-alive clients and forty paced requests a second: about 250 a second in all, which two cores can give
    /// beside the cluster that answers them.
    pub const STANDARD: Self =
        Self { keep_alive: 8, think: Duration::from_millis(30), paced: 40, patience: Duration::from_secs(10) };
}

/// No run records more, so that a forgotten generator ends.
const MOST_RECORDS: usize = 1_000_000;
/// No run is longer.
const LONGEST_RUN: Duration = Duration::from_secs(3600);

/// What a generator has recorded; it can still be asked when the generator is gone.
#[derive(Debug, Clone)]
pub struct Recording(Arc<Shared>);

impl Recording {
    /// What was recorded so far, in the order of the answers.
    pub fn records(&self) -> Vec<Record> {
        self.0.records.lock().expect("no holder of this lock can panic").clone()
    }
}

/// A running generator. Dropping it stops it.
#[derive(Debug)]
pub struct Generator {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    target: Target,
    load: Load,
    begun: Instant,
    stop: AtomicBool,
    records: Mutex<Vec<Record>>,
}

impl Shared {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed) && self.begun.elapsed() < LONGEST_RUN
    }

    fn keep(&self, record: Record) {
        let mut records = self.records.lock().expect("no holder of this lock can panic");
        if records.len() < MOST_RECORDS {
            records.push(record);
        } else {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

impl Generator {
    pub fn start(target: Target, load: Load) -> Self {
        let shared = Arc::new(Shared {
            target,
            load,
            begun: Instant::now(),
            stop: AtomicBool::new(false),
            records: Mutex::new(Vec::new()),
        });
        let mut tasks = JoinSet::new();
        for client in 0..load.keep_alive {
            tasks.spawn(work::keep_alive(Arc::clone(&shared), client));
        }
        if load.paced > 0 {
            tasks.spawn(work::paced(Arc::clone(&shared)));
        }
        Self { shared, tasks }
    }

    pub fn recording(&self) -> Recording {
        Recording(Arc::clone(&self.shared))
    }

    /// What was recorded so far, in the order of the answers.
    pub fn records(&self) -> Vec<Record> {
        self.recording().records()
    }

    /// Waits for the requests in flight and gives all records, in the order in which they were sent.
    pub async fn stop(mut self) -> Vec<Record> {
        self.shared.stop.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
        let mut records = self.records();
        records.sort_by_key(|r| r.sent);
        records
    }

    /// Waits until so many more requests were answered.
    pub async fn more(&self, count: usize) {
        let wanted = self.records().len() + count;
        while self.shared.goes_on() && self.shared.records.lock().map_or(wanted, |r| r.len()) < wanted {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(server: &TestServer) -> Target {
        Target { entry: server.url(), host: "web.test".into(), path: "/".into(), key: server.key() }
    }

    const QUICK: Load =
        Load { keep_alive: 2, think: Duration::from_millis(2), paced: 50, patience: Duration::from_secs(2) };

    #[tokio::test]
    async fn signed_answers_are_counted_by_version() {
        let server = TestServer::start(|n| Reply::signed(if n % 5 == 0 { "2" } else { "1" })).await;
        let generator = Generator::start(target(&server), QUICK);
        generator.more(200).await;
        let records = generator.stop().await;
        let share = share(records.iter(), "2");
        assert!(share.requests >= 200);
        assert!((share.percent() - 20.0).abs() < 2.0, "{share:?}");
        assert!(failures(&records, |_| false).is_empty());
    }

    #[tokio::test]
    async fn a_planted_404_that_the_app_did_not_sign_counts_as_ours() {
        let server = TestServer::start(|n| if n == 17 { Reply::unsigned(404) } else { Reply::signed("1") }).await;
        let generator = Generator::start(target(&server), QUICK);
        generator.more(60).await;
        let records = generator.stop().await;
        let failed = failures(&records, |_| false);
        assert_eq!(failed.len(), 1);
        assert_eq!((failed[0].record.status, failed[0].why), (404, Trouble::Unsigned));
    }

    #[tokio::test]
    async fn an_answer_signed_for_another_request_is_not_taken() {
        let server = TestServer::start(|n| if n == 9 { Reply::replayed("1") } else { Reply::signed("1") }).await;
        let generator = Generator::start(target(&server), QUICK);
        generator.more(40).await;
        assert_eq!(failures(&generator.stop().await, |_| false).len(), 1);
    }

    #[tokio::test]
    async fn a_planted_gap_is_found_by_the_paced_client() {
        let server = TestServer::start(|_| Reply::signed("1")).await;
        let generator = Generator::start(target(&server), QUICK);
        generator.more(60).await;
        server.stall(Duration::from_millis(700)).await;
        generator.more(60).await;
        let records = generator.stop().await;
        let gap = longest_gap(&records).expect("there were answers");
        assert!(gap >= Duration::from_millis(600), "{gap:?}");
        assert!(gap < Duration::from_millis(1500), "{gap:?}");
    }

    #[tokio::test]
    async fn a_failure_of_a_version_that_may_fail_is_not_ours() {
        let server = TestServer::start(|n| if n % 2 == 0 { Reply::failing("2") } else { Reply::signed("1") }).await;
        let generator = Generator::start(target(&server), QUICK);
        generator.more(40).await;
        let records = generator.stop().await;
        assert!(failures(&records, |version| version == "2").is_empty());
        assert!(failures(&records, |_| false).iter().all(|f| f.why == Trouble::Status));
        assert!(!failures(&records, |_| false).is_empty());
    }

    #[tokio::test]
    async fn a_closed_port_is_a_failed_connection() {
        let server = TestServer::start(|_| Reply::signed("1")).await;
        let mut target = target(&server);
        drop(server);
        target.entry = "http://127.0.0.1:9".to_owned();
        let generator = Generator::start(target, QUICK);
        generator.more(5).await;
        let records = generator.stop().await;
        assert!(failures(&records, |_| true).iter().all(|f| f.why == Trouble::Connect));
        assert!(!records.is_empty());
    }
}
