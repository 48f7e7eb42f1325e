//! Certificates of the HTTP api, ordered of an authority by the mesh itself (ACME, RFC 8555).
//!
//! ```text
//!   clerk: something is due? ──► its turn? ──► order ──► challenge ──► record ─┐
//!                                  │                                           ├─► answers, on any node
//!                                  └─► certificate, its key sealed ──► record ─┴─► follower, on each node ──► door
//! ```
//!
//! The mesh is one to the authority: the account, the certificates and what is asked of them are records (`book`), and
//! one node at a time orders. Each node that was told of a domain shows the same certificate, whichever node ordered
//! it. What is due is a function of records and time (`plan`). Private keys are sealed where they are kept, and open
//! in the memory of nodes that show them.

mod answers;
mod book;
mod clerk;
mod directory;
mod domain;
mod follower;
mod order;
mod plan;
mod settings;
mod showcase;
mod trouble;

pub use domain::{Domain, DomainError};
pub use settings::AcmeSettings;
pub use showcase::Showcase;
pub(crate) use trouble::problems;

use crate::{auth::AuthService, store::StoreService};
use answers::Answers;
use book::Book;
use clerk::Clerk;
use follower::Follower;
use micro_mesh::Mesh;
use micro_sdk::wire::Seams;
use order::Office;
use std::sync::Arc;

/// What a node with such certificates does, each beside the others.
pub(crate) struct Acme {
    pub showcase: Arc<Showcase>,
    pub follower: Follower,
    pub answers: Answers,
    pub clerk: Clerk,
}

impl Acme {
    /// All of it for one node.
    pub fn new(
        settings: AcmeSettings,
        mesh: &Mesh,
        store: &Arc<StoreService>,
        auth: &AuthService,
        seams: &Seams,
    ) -> Self {
        let book = Book {
            store: store.clone(),
            seams: seams.clone(),
            directory: settings.directory.as_str().into(),
        };
        let locker = auth.locker().clone();
        let office = Office { book: book.clone(), locker: locker.clone(), settings: settings.clone() };
        let (showcase, questions) = Showcase::new(settings);
        Acme {
            follower: Follower { book: book.clone(), locker, showcase: showcase.clone() },
            answers: Answers { book: book.clone(), questions },
            clerk: Clerk { mesh: mesh.clone(), book, office, showcase: showcase.clone() },
            showcase,
        }
    }
}
