//! A server on loopback that answers as the app does, or wrongly when it is told to: proof that the generator sees it.

use super::sign::{Key, Signed};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::RwLock;
use tokio::task::JoinHandle;

/// What one request is answered.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    version: String,
    signature: Signature,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signature {
    Right,
    OfAnotherRequest,
    None,
}

impl Reply {
    /// A good answer.
    pub(crate) fn signed(version: &str) -> Self {
        Self { status: 200, version: version.to_owned(), signature: Signature::Right }
    }

    /// The app's own failure.
    pub(crate) fn failing(version: &str) -> Self {
        Self { status: 500, ..Self::signed(version) }
    }

    /// As if a cache had kept an earlier answer.
    pub(crate) fn replayed(version: &str) -> Self {
        Self { signature: Signature::OfAnotherRequest, ..Self::signed(version) }
    }

    /// As a router answers.
    pub(crate) fn unsigned(status: u16) -> Self {
        Self { status, version: String::new(), signature: Signature::None }
    }
}

/// A running server. Dropping it closes its port.
#[derive(Debug)]
pub(crate) struct TestServer {
    url: String,
    key: Key,
    gate: Arc<RwLock<()>>,
    task: JoinHandle<()>,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TestServer {
    /// `reply` is given the number of the request, from 0.
    pub(crate) async fn start(reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let key = Key::new("of the test server");
        let gate = Arc::new(RwLock::new(()));
        let (reply, count) = (Arc::new(reply), Arc::new(AtomicUsize::new(0)));
        let (key_of_task, gate_of_task) = (key.clone(), Arc::clone(&gate));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (reply, count) = (Arc::clone(&reply), Arc::clone(&count));
                let (key, gate) = (key_of_task.clone(), Arc::clone(&gate_of_task));
                tokio::spawn(async move {
                    let next = || reply(count.fetch_add(1, Ordering::SeqCst));
                    // A client that goes away in the middle is no matter here.
                    let _ = serve(stream, &key, &gate, next).await;
                });
            }
        });
        Self { url: format!("http://127.0.0.1:{port}"), key, gate, task }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    pub(crate) fn key(&self) -> Key {
        self.key.clone()
    }

    /// Answers nothing for so long.
    pub(crate) async fn stall(&self, time: Duration) {
        let closed = self.gate.write().await;
        tokio::time::sleep(time).await;
        drop(closed);
    }
}

async fn serve(stream: TcpStream, key: &Key, gate: &RwLock<()>, next: impl Fn() -> Reply) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut nonce, mut lines) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("x-tidegate-nonce:") {
                value.trim().clone_into(&mut nonce);
            }
            lines += 1;
        }
        if lines == 0 {
            return Ok(());
        }
        let open = gate.read().await;
        let Reply { status, version, signature } = next();
        let pod = "pod-of-test";
        let mut head = format!("HTTP/1.1 {status} Planted\r\ncontent-length: 3\r\n");
        if signature != Signature::None {
            let nonce = if signature == Signature::Right { nonce.as_str() } else { "0" };
            let signature = key.sign(Signed { pod, version: &version, nonce, status });
            for (name, value) in [("pod", pod), ("version", &version), ("signature", &signature)] {
                head = head + "x-tidegate-" + name + ": " + value + "\r\n";
            }
        }
        stream.write_all(format!("{head}\r\nok\n").as_bytes()).await?;
        drop(open);
    }
}
