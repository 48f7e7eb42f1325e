//! The UDP socket under a mesh: the operating system's, or a simulated one.

use quinn::{AsyncUdpSocket, UdpPoller, udp};
use std::{
    fmt::Debug,
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// The size asked for both of the socket's buffers. The system's default of about 200 KiB loses packets at
/// the first burst of a snapshot. What the system grants may be less, and is taken.
const BUFFER_BYTES: usize = 2 << 20;

/// A UDP socket that is already bound.
#[derive(Debug)]
pub enum Socket {
    /// The operating system's.
    Os(std::net::UdpSocket),
    /// A simulated one.
    Simulated(Arc<dyn DatagramSocket>),
}

/// What a simulation provides in place of a UDP socket.
pub trait DatagramSocket: Send + Sync + Debug + 'static {
    /// Sends one datagram, or loses it.
    ///
    /// # Errors
    /// None that matter: the datagram then counts as lost.
    fn try_send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()>;

    /// Receives one datagram into `buffer`: its length and who sent it.
    ///
    /// # Errors
    /// When the socket is gone for good.
    fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>>;

    /// The address that it is bound to.
    ///
    /// # Errors
    /// When the socket is gone.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

impl Socket {
    /// Binds a socket of the operating system to `address`, with large buffers.
    ///
    /// # Errors
    /// If the address can't be had; the message names it.
    pub fn bind(address: SocketAddr) -> io::Result<Socket> {
        let bind = || {
            let domain = socket2::Domain::for_address(address);
            let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
            // A refusal of large buffers costs speed, not truth.
            let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
            let _ = socket.set_send_buffer_size(BUFFER_BYTES);
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            io::Result::Ok(socket.into())
        };
        bind()
            .map(Socket::Os)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on UDP {address}: {error}")))
    }

    /// The address that it is bound to.
    ///
    /// # Errors
    /// If the socket is gone.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Socket::Os(socket) => socket.local_addr(),
            Socket::Simulated(socket) => socket.local_addr(),
        }
    }

    /// Another handle of the same socket.
    ///
    /// # Errors
    /// If the process is out of file descriptors.
    pub fn try_clone(&self) -> io::Result<Socket> {
        Ok(match self {
            Socket::Os(socket) => Socket::Os(socket.try_clone()?),
            Socket::Simulated(socket) => Socket::Simulated(socket.clone()),
        })
    }

    /// Whether the system may cut one large buffer into many packets. A simulated socket sends what it is
    /// given.
    pub(crate) fn segments(&self) -> bool {
        matches!(self, Socket::Os(_))
    }

    /// The socket as quinn takes it.
    pub(crate) fn into_quinn(self, runtime: &dyn quinn::Runtime) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        match self {
            Socket::Os(socket) => runtime.wrap_udp_socket(socket),
            Socket::Simulated(socket) => Ok(Arc::new(Simulated(socket))),
        }
    }
}

/// A simulated socket as quinn takes it.
#[derive(Debug)]
struct Simulated(Arc<dyn DatagramSocket>);

/// A simulated socket never waits to send: what it can't take is lost, as on any network.
#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncUdpSocket for Simulated {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &udp::Transmit<'_>) -> io::Result<()> {
        if let Err(error) = self.0.try_send(transmit.destination, transmit.contents) {
            tracing::trace!(%error, to = %transmit.destination, "datagram lost");
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [udp::RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let (Some(buffer), Some(meta)) = (buffers.first_mut(), meta.first_mut()) else {
            return Poll::Ready(Ok(0));
        };
        let (len, addr) = ready!(self.0.poll_recv(cx, buffer))?;
        *meta = udp::RecvMeta::default();
        (meta.addr, meta.len, meta.stride) = (addr, len, len);
        Poll::Ready(Ok(1))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_address_is_named() {
        let first = Socket::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let address = first.local_addr().expect("bound");
        let error = Socket::bind(address).expect_err("taken");
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
