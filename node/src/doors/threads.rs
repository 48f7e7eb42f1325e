//! The threads that connections are served on.
//!
//! The node's own thread runs the mesh and consensus, and serves connections too, beginning with the first: a lone
//! caller's request then never changes threads, which would cost it two wake-ups. Each next connection goes to the
//! thread that has the fewest, since the work of HTTP/2 for many callers is more than that of Raft for what they ask.

use crate::{
    busy_poll,
    config::ThreadsConfig,
    doors::{
        dns::Dns,
        grpc::Services,
        http::{Api, Shared},
    },
    node::Local,
};
use std::{
    future::Future,
    io,
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};
use tokio::{
    net::UdpSocket,
    runtime::{Builder, Handle, Runtime},
    sync::{oneshot, watch},
};

/// The most threads beside the node's own, unless more are asked for: with these, the one that runs Raft is the limit.
const OTHERS_DEFAULT_MAX: usize = 3;
/// Blocking work of one thread's callers: scans of the store. See the node's own thread.
const BLOCKING_THREADS_MAX: usize = 2;

/// All threads that serve connections, the node's own first.
pub(super) struct Threads(Vec<Thread>);

/// One thread, and the node's services as its connections call them.
pub(super) struct Thread {
    pub services: Services,
    pub api: Api,
    runtime: Handle,
    connections: Arc<AtomicUsize>,
    /// Ends the thread; none for the node's own.
    end: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Threads {
    /// Starts the threads that are `wanted` beside the one it is called on.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        wanted: ThreadsConfig,
        local: &Local,
        shared: &Arc<Shared>,
        draining: &watch::Receiver<bool>,
    ) -> io::Result<Arc<Self>> {
        let own = Thread::new(Handle::current(), local.clone(), shared, draining);
        let mut threads = Threads(vec![own]);
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        for number in 1..=wanted.others.unwrap_or((cores - 1).min(OTHERS_DEFAULT_MAX)) {
            let mut builder = Builder::new_current_thread();
            builder.enable_all().max_blocking_threads(BLOCKING_THREADS_MAX);
            let runtime = busy_poll::build(&mut builder, wanted.busy_poll)?;
            let handle = runtime.handle().clone();
            let fork = {
                let _entered = handle.enter();
                local.fork()
            };
            let mut thread = Thread::new(handle, fork, shared, draining);
            thread.end = Some(run(runtime, format!("door-{number}"))?);
            threads.0.push(thread);
        }
        Ok(Arc::new(threads))
    }

    /// Has datagrams of DNS answered until the node drains: on the last thread, since whoever floods a port with them
    /// is not to keep Raft waiting.
    ///
    /// # Errors
    /// If the system does not give the socket to that thread.
    pub fn serve_datagrams(
        &self,
        dns: Dns,
        socket: UdpSocket,
        draining: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let thread = self.0.last().expect("there is the node's own at least");
        let socket = socket.into_std()?;
        let socket = thread.enter(|| UdpSocket::from_std(socket))?;
        thread.spawn(dns.serve_udp(socket, draining));
        Ok(())
    }

    /// The node's own thread.
    pub fn own(&self) -> &Thread {
        &self.0[0]
    }

    /// The thread with the fewest connections; of equals, the first.
    pub fn idlest(&self) -> &Thread {
        let idlest = self.0.iter().min_by_key(|thread| thread.connections.load(Ordering::Relaxed));
        idlest.unwrap_or(self.own())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "doors are not part of a simulation, which calls the node directly"
)]
fn run(runtime: Runtime, name: String) -> io::Result<(oneshot::Sender<()>, JoinHandle<()>)> {
    let (end, ended) = oneshot::channel::<()>();
    let thread = thread::Builder::new().name(name).spawn(move || {
        // It is never sent: the other side is dropped.
        let _ = runtime.block_on(ended);
    })?;
    Ok((end, thread))
}

impl Thread {
    fn new(runtime: Handle, local: Local, shared: &Arc<Shared>, draining: &watch::Receiver<bool>) -> Self {
        let services = Services::new(&local, shared.limits(), draining.clone());
        Thread {
            api: Api::new(local, services.clone(), shared.clone(), draining.clone()),
            services,
            runtime,
            connections: Arc::default(),
            end: None,
        }
    }

    /// Does `work` as this thread would, with sockets and timers of its runtime.
    pub fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        let _entered = self.runtime.enter();
        work()
    }

    /// Serves a connection here until it ends.
    pub fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let seat = Seat::take(&self.connections);
        self.runtime.spawn(async move {
            let _seat = seat;
            connection.await;
        });
    }
}

/// Counts a connection for as long as it is open.
struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Seat(connections.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for thread in &mut self.0 {
            let Some((end, thread)) = thread.end.take() else { continue };
            drop(end);
            if thread.join().is_err() {
                tracing::error!("a thread that serves connections panicked");
            }
        }
    }
}
