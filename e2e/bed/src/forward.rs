//! Ports of the host's loopback that lead into a cluster's network namespace.
//!
//! Nothing outside can reach into the namespace by itself. A socket belongs to the namespace in which it was made, a thread can
//! change its namespace: so the listener is made outside, and the thread that accepts from it goes inside before it connects.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::fd::AsFd;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::failure::{Doing, Failure, Result};

/// A pod that is being replaced answers within this or not at all.
const CONNECT: Duration = Duration::from_secs(5);

/// A forward that lasts until it is dropped.
#[derive(Debug)]
pub struct Forward {
    local: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Forward {
    /// Listens on a free port of the host's loopback and leads each connection to `target` inside the namespace `netns`
    /// (`/proc/PID/ns/net`).
    pub fn open(netns: &Path, target: SocketAddr) -> Result<Self> {
        Self::open_at(netns, target, 0)
    }

    /// As [`Forward::open`], on a port of one's choice; 0 is a free one.
    pub fn open_at(netns: &Path, target: SocketAddr, port: u16) -> Result<Self> {
        let what = || format!("forwarding to {target} in {}", netns.display());
        let namespace = File::open(netns).map_err(|e| {
            Failure::new(what(), e).remedy("is the cluster still running? cargo bed list shows; forwarding needs root")
        })?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).doing(what)?;
        let local = listener.local_addr().doing(what)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (entered, inside) = std::sync::mpsc::sync_channel(1);
        let ends = Arc::clone(&stop);
        thread::Builder::new()
            .name(format!("forward {target}"))
            .spawn(move || {
                let moved = move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network));
                let failed = moved.is_err();
                if entered.send(moved).is_err() || failed {
                    return;
                }
                serve(&listener, target, &ends);
            })
            .doing(what)?;
        match inside.recv() {
            Ok(Ok(())) => Ok(Self { local, stop }),
            Ok(Err(e)) => {
                Err(Failure::new(what(), io::Error::from(e)).remedy("entering a network namespace needs root"))
            }
            Err(e) => Err(e).doing(what),
        }
    }

    /// Where to connect to.
    pub fn local(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the thread out of its accept; if that fails, there is nobody to wake.
        drop(TcpStream::connect(self.local));
    }
}

fn serve(listener: &TcpListener, target: SocketAddr, stop: &AtomicBool) {
    loop {
        let accepted = listener.accept();
        if stop.load(Ordering::Acquire) {
            return;
        }
        match accepted {
            // Threads are born in their parent's namespace, so the connection is made inside.
            Ok((outside, _)) => {
                drop(thread::Builder::new().name("forward".to_owned()).spawn(move || join(&outside, target)));
            }
            // Out of file descriptors or the like: it passes.
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Carries bytes both ways until both sides have closed.
fn join(outside: &TcpStream, target: SocketAddr) {
    let Ok(inside) = TcpStream::connect_timeout(&target, CONNECT) else { return };
    // Small requests and answers: waiting to fill a segment would show in every latency.
    let _ = (outside.set_nodelay(true), inside.set_nodelay(true));
    thread::scope(|scope| {
        scope.spawn(|| carry(outside, &inside));
        carry(&inside, outside);
    });
}

fn carry(mut from: &TcpStream, mut to: &TcpStream) {
    // An error on either side ends this direction exactly as an end of file does.
    let _ = io::copy(&mut from, &mut to);
    let _ = (to.shutdown(Shutdown::Write), from.shutdown(Shutdown::Read));
}

/// The namespace of the process `pid`.
pub fn netns_of(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/ns/net"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn carry_passes_the_end_of_one_side_on_to_the_other() {
        // Given a server that answers when its client has finished sending
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let target = server.local_addr().expect("bound");
        let answering = thread::spawn(move || {
            let (mut peer, _) = server.accept().expect("one client");
            let mut got = String::new();
            peer.read_to_string(&mut got).expect("text");
            write!(peer, "got {got}").expect("the client waits");
        });
        // When a client talks to it through the joint
        let gate = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let mut client = TcpStream::connect(gate.local_addr().expect("bound")).expect("it listens");
        let (outside, _) = gate.accept().expect("the client");
        let joint = thread::spawn(move || join(&outside, target));
        client.write_all(b"hello").expect("sent");
        client.shutdown(Shutdown::Write).expect("half closed");
        // Then it gets its answer, and everything ends
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("text");
        assert_eq!(answer, "got hello");
        joint.join().expect("no panic");
        answering.join().expect("no panic");
    }
}
