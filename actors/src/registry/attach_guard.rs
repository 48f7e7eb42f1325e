//! What keeps an instance attached.

use super::{Attachment, Registry, WeakRegistry, health::Vigil};
use micro_sdk::wire::Instance;
use std::sync::Arc;

/// Keeps an instance attached, and looks after it; dropping it detaches the instance and tells the mesh.
pub struct AttachGuard {
    // One that is registered is held by the registry itself.
    registry: WeakRegistry,
    attachment: Arc<Attachment>,
    _vigil: Option<Vigil>,
}

impl AttachGuard {
    pub(super) fn new(registry: &Registry, attachment: &Arc<Attachment>) -> Self {
        AttachGuard {
            registry: registry.downgrade(),
            attachment: attachment.clone(),
            _vigil: Vigil::keep(registry, attachment),
        }
    }

    /// The instance, as it was attached.
    pub fn instance(&self) -> &Instance {
        &self.attachment.instance
    }

    /// Returns once the instance was given up because its owner was silent for too long. It is detached then.
    pub fn lost(&self) -> impl Future<Output = ()> + Send + 'static {
        self.attachment.vitals.lost()
    }

    pub(super) fn attachment(&self) -> &Arc<Attachment> {
        &self.attachment
    }
}

impl Drop for AttachGuard {
    fn drop(&mut self) {
        if let Some(registry) = self.registry.upgrade() {
            registry.detach(&self.attachment.instance);
        }
    }
}
