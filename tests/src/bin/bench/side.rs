//! A store under load: which dialect it speaks, and the two doors to knock at.

use crate::{
    frame::{Dialect, Kind, VALUE},
    load::{Load, Request},
};
use anyhow::ensure;
use std::fmt;

/// Whom a request is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The node that leads.
    Leader,
    /// A node that passes on what it cannot answer alone.
    Follower,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Leader => "leader",
            Role::Follower => "follower",
        })
    }
}

/// One node's gRPC address.
#[derive(Clone, Debug)]
pub struct Door {
    /// `http://IP:PORT`.
    pub base: String,
    /// A header line that lets requests in.
    pub pass: Option<String>,
}

/// A store of three nodes.
pub struct Side {
    /// What people call it.
    pub name: &'static str,
    /// What it speaks.
    pub dialect: Dialect,
    /// The leader's door.
    pub leader: Door,
    /// A follower's door.
    pub follower: Door,
}

impl Side {
    /// A request as h2load wants it.
    pub fn request(&self, role: Role, kind: Kind, value: &[u8]) -> Request {
        let door = match role {
            Role::Leader => &self.leader,
            Role::Follower => &self.follower,
        };
        let mut headers = vec!["content-type: application/grpc".to_owned(), "te: trailers".to_owned()];
        headers.extend(door.pass.clone());
        Request {
            url: format!("{}{}", door.base, self.dialect.path(kind)),
            headers,
            body: self.dialect.frame(kind, value),
            answer_bytes_min: kind.answer_bytes_min(),
        }
    }

    /// Writes a value other than that of the load, and reads it back from the other node: the load tool sees
    /// neither trailers nor values.
    ///
    /// # Errors
    /// If the status of an answer is not 0, or the value is another one.
    pub async fn check_before(&self, load: &Load) -> anyhow::Result<()> {
        let probe = [b'p'; VALUE.len()];
        for (writer, reader) in [(Role::Leader, Role::Follower), (Role::Follower, Role::Leader)] {
            self.ask(load, writer, Kind::Put, &probe).await?;
            self.expect(load, reader, &probe).await?;
        }
        Ok(())
    }

    /// Reads what the load has written.
    ///
    /// # Errors
    /// If the status of an answer is not 0, or the value is another one.
    pub async fn check_after(&self, load: &Load) -> anyhow::Result<()> {
        self.expect(load, Role::Leader, &VALUE).await?;
        self.expect(load, Role::Follower, &VALUE).await
    }

    async fn expect(&self, load: &Load, role: Role, value: &[u8]) -> anyhow::Result<()> {
        let said = self.ask(load, role, Kind::Linearizable, &[]).await?;
        let wanted = String::from_utf8_lossy(value);
        ensure!(said.contains(&*wanted), "{}: the {role} reads another value: {said}", self.name);
        Ok(())
    }

    async fn ask(&self, load: &Load, role: Role, kind: Kind, value: &[u8]) -> anyhow::Result<String> {
        let said = load.once(&self.request(role, kind, value)).await?;
        ensure!(said.contains("grpc-status: 0"), "{}: {} at the {role}: {said}", self.name, kind.name());
        Ok(said)
    }
}
