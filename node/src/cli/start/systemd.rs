//! Tells systemd, or whoever else set `NOTIFY_SOCKET`, how far the node is: sd_notify(3).
//!
//! These few lines are not the crate `sd-notify`, because that reaches no socket in the abstract namespace (`@name`),
//! which is what some supervisors listen at.

use std::{
    env,
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// The variable that names the socket.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// What there is to tell.
#[derive(Clone, Copy, Debug)]
pub(super) enum Notice {
    /// The node serves.
    Ready,
    /// It is on its way out.
    Stopping,
}

/// Tells it, if there is anybody to be told.
///
/// # Errors
/// If nobody takes it.
pub(super) fn tell(notice: Notice) -> io::Result<()> {
    match env::var_os(VARIABLE).filter(|socket| !socket.is_empty()) {
        Some(socket) => send(&socket, notice),
        None => Ok(()),
    }
}

fn send(socket: &OsStr, notice: Notice) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let text: &[u8] = match notice {
        Notice::Ready => b"READY=1\n",
        Notice::Stopping => b"STOPPING=1\n",
    };
    // A datagram goes as a whole or not at all.
    UnixDatagram::unbound()?.send_to_addr(text, &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(listener: &UnixDatagram, socket: &OsStr) {
        for (notice, text) in [(Notice::Ready, "READY=1\n"), (Notice::Stopping, "STOPPING=1\n")] {
            send(socket, notice).expect("somebody listens");
            let mut heard = [0; 64];
            let bytes = listener.recv(&mut heard).expect("it was sent");
            assert_eq!(&heard[..bytes], text.as_bytes());
        }
    }

    #[test]
    fn a_socket_in_the_abstract_namespace_is_told() {
        let name = format!("micro-node-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("it is short");
        let listener = UnixDatagram::bind_addr(&address).expect("nobody else has this name");
        check(&listener, format!("@{name}").as_ref());
    }

    #[test]
    fn a_socket_in_a_folder_is_told() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("notify");
        let listener = UnixDatagram::bind(&path).expect("the folder is empty");
        check(&listener, path.as_os_str());
        assert!(send(folder.path().join("nobody").as_os_str(), Notice::Ready).is_err());
    }
}
