//! The UDP socket as quinn has it: with nodes behind it that are reached through others.

use super::Tunnel;
use quinn::{AsyncUdpSocket, UdpPoller, udp};
use std::{
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// A socket, and a tunnel beside it.
#[derive(Debug)]
pub(crate) struct TunnelSocket {
    pub(crate) socket: Arc<dyn AsyncUdpSocket>,
    pub(crate) tunnel: Arc<Tunnel>,
}

impl AsyncUdpSocket for TunnelSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        // The tunnel never has anybody wait: what it can't take is lost.
        self.socket.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &udp::Transmit<'_>) -> io::Result<()> {
        if !Tunnel::has(transmit.destination) {
            return self.socket.try_send(transmit);
        }
        self.tunnel.send(transmit.destination, transmit.contents, transmit.segment_size);
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [udp::RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let arrived = self.tunnel.arrived(buffers.len().min(meta.len()), cx.waker());
        if arrived.is_empty() {
            return self.socket.poll_recv(cx, buffers, meta);
        }
        let mut count = 0;
        for (address, payload) in arrived {
            let Some(buffer) = buffers[count].get_mut(..payload.len()) else { continue };
            buffer.copy_from_slice(&payload);
            meta[count] = udp::RecvMeta::default();
            (meta[count].addr, meta[count].len, meta[count].stride) = (address, payload.len(), payload.len());
            count += 1;
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}
