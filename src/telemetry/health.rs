//! The HTTP port for probes and metrics.

use super::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the probes ask.
pub trait Health: Send + Sync + 'static {
    /// What can only be mended by a restart; empty while the process is alive.
    fn ailments(&self) -> Vec<String>;

    /// What is still missing before this process can do its work; empty when it is ready.
    fn missing(&self) -> Vec<String>;
}

struct Port {
    metrics: Arc<Metrics>,
    health: Arc<dyn Health>,
}

/// Serves `/metrics`, `/healthz` and `/readyz` until `shutdown`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    health: Arc<dyn Health>,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(|port: State<Arc<Port>>| async move { verdict(&port.health.ailments()) }))
        .route("/readyz", get(|port: State<Arc<Port>>| async move { verdict(&port.health.missing()) }))
        .with_state(Arc::new(Port { metrics, health }));
    axum::serve(listener, routes).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

async fn show_metrics(port: State<Arc<Port>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], port.metrics.text())
}

/// 200 `ok`, or 503 with a line for each reason.
fn verdict(reasons: &[String]) -> (StatusCode, String) {
    if reasons.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Starting;

    impl Health for Starting {
        fn ailments(&self) -> Vec<String> {
            vec![]
        }

        fn missing(&self) -> Vec<String> {
            vec!["the cache of Rollout has not listed yet".to_owned()]
        }
    }

    #[tokio::test]
    async fn readiness_names_what_is_missing_while_the_process_is_alive() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(serve(listener, Arc::default(), Arc::new(Starting), shutdown.clone()));
        let ready = ask(address, "/readyz").await;
        assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("cache of Rollout"), "{ready}");
        assert!(ask(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        shutdown.cancel();
        served.await.expect("no panic").expect("no error");
    }

    async fn ask(address: std::net::SocketAddr, path: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    }
}
