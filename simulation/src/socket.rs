//! The UDP socket under a simulated node: turmoil's, with the trace and the weather in between.

use crate::{
    trace::Trace,
    weather::{Fate, Weather},
};
use micro_mesh::DatagramSocket;
use std::{
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};
use tokio::sync::mpsc;

/// Datagrams received and not taken yet; more are lost, as in a full socket buffer. About what 2 MiB hold.
const QUEUE_COUNT_MAX: usize = 1600;

/// The largest datagram: QUIC never comes near.
const DATAGRAM_BYTES_MAX: usize = 1 << 16;

/// A UDP socket of a simulated host.
pub struct SimulatedSocket {
    local: SocketAddr,
    socket: Arc<turmoil::net::UdpSocket>,
    received: Mutex<mpsc::Receiver<(Vec<u8>, SocketAddr)>>,
    trace: Trace,
    weather: Weather,
    power: Power,
}

/// Whether a host has power. Without it nothing leaves the host, whatever its tasks do while they are torn
/// down.
pub type Power = Arc<AtomicBool>;

impl fmt::Debug for SimulatedSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimulatedSocket({})", self.local)
    }
}

impl SimulatedSocket {
    /// Binds a socket of the host that runs just now. A task of that host takes in what arrives.
    ///
    /// # Errors
    /// If the port is taken.
    pub async fn bind(local: SocketAddr, trace: Trace, weather: Weather, power: Power) -> io::Result<Self> {
        // turmoil binds to all addresses of a host or to loopback, and a host has one address.
        let everywhere = SocketAddr::from(([0, 0, 0, 0], local.port()));
        let socket = Arc::new(turmoil::net::UdpSocket::bind(everywhere).await?);
        let (sender, received) = mpsc::channel(QUEUE_COUNT_MAX);
        tokio::spawn(pump(socket.clone(), sender));
        Ok(SimulatedSocket { local, socket, received: Mutex::new(received), trace, weather, power })
    }
}

/// Takes datagrams in until nobody wants them any more. turmoil's socket can't be polled, so a task waits
/// on it.
async fn pump(socket: Arc<turmoil::net::UdpSocket>, sender: mpsc::Sender<(Vec<u8>, SocketAddr)>) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let taken = sender.try_send((buffer[..length].to_vec(), from));
        if let Err(mpsc::error::TrySendError::Closed(_)) = taken {
            return;
        }
    }
}

impl DatagramSocket for SimulatedSocket {
    fn try_send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        if !self.power.load(Ordering::Relaxed) || turmoil::sim_elapsed().is_none() {
            return Ok(());
        }
        self.trace.datagram(self.local, to, bytes);
        let times = match self.weather.fate(self.local.ip(), to.ip()) {
            Fate::Lost => 0,
            Fate::Sent => 1,
            Fate::Doubled => 2,
        };
        for _ in 0..times {
            self.socket.try_send_to(bytes, to)?;
        }
        Ok(())
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut received = self.received.lock().expect("nothing panics while it holds the queue");
        received.poll_recv(cx).map(|datagram| {
            let (bytes, from) = datagram.ok_or(io::ErrorKind::BrokenPipe)?;
            // As with UDP, what does not fit is cut off.
            let length = bytes.len().min(buffer.len());
            buffer[..length].copy_from_slice(&bytes[..length]);
            Ok((length, from))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}
