//! Blobs as this node's own process calls them: directly, without the mailbox.

use super::{Context, Local, configuration::who};
use micro_actors::{
    auth::{READ, Resource, WRITE},
    blob::{
        BLOB, BlobName, BlobView, DeleteBlobRequest, Download, GetBlobRequest, HandOver, ListBlobsReply,
        ListBlobsRequest, PutBlobRequest, Upload,
    },
};
use micro_sdk::wire::{Code, Fault, Namespace, NodeId};

fn resource<'a>(namespace: &'a Namespace, name: &'a str, endpoint: &'a str) -> Resource<'a> {
    Resource::of(namespace, BLOB, name, endpoint)
}

impl Local {
    /// Starts to put a blob. Who puts it is as the door has made sure of it, whatever the request says. The permit is
    /// for the beginning; how many uploads go on at once is bounded by the service.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn put_blob(&self, context: &Context, request: PutBlobRequest) -> Result<Upload, Fault> {
        let _permit = self.system.dispatch().admit(
            context.asker(),
            BLOB,
            &resource(&request.namespace, request.name.as_str(), WRITE),
        )?;
        let request = PutBlobRequest { who: who(context), ..request };
        self.blobs.put(request, context.until()).await
    }

    /// Starts to read a blob. A public one may be read by anybody.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn get_blob(&self, context: &Context, request: GetBlobRequest) -> Result<Download, Fault> {
        let dispatch = self.system.dispatch();
        let asked = resource(&request.namespace, request.name.as_str(), READ);
        if !dispatch.would_grant(&context.caller, &asked) {
            let _permit = dispatch.admit_public(context.asker(), BLOB, &asked)?;
            // Whoever may not look does not learn what is there and what is not.
            match self.blobs.get(request.clone(), context.until()).await {
                Ok(download) if download.view().public => return Ok(download),
                Err(fault) if !matches!(fault.code, Code::NotFound | Code::Usage) => return Err(fault),
                _ => {}
            }
        }
        let _permit = dispatch.admit(context.asker(), BLOB, &asked)?;
        self.blobs.get(request, context.until()).await
    }

    /// What a blob is. A public one may be looked at by anybody.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn head_blob(
        &self,
        context: &Context,
        namespace: &Namespace,
        name: &BlobName,
        stale: bool,
    ) -> Result<BlobView, Fault> {
        let dispatch = self.system.dispatch();
        let asked = resource(namespace, name.as_str(), READ);
        if !dispatch.would_grant(&context.caller, &asked) {
            let _permit = dispatch.admit_public(context.asker(), BLOB, &asked)?;
            let found = self.blobs.find(namespace, name, stale, context.until()).await?;
            if let Some(public) = found.filter(|view| view.public) {
                return Ok(public);
            }
        }
        let _permit = dispatch.admit(context.asker(), BLOB, &asked)?;
        self.blobs.head(namespace, name, stale, context.until()).await
    }

    /// A page of blobs.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn list_blobs(
        &self,
        context: &Context,
        request: ListBlobsRequest,
    ) -> Result<ListBlobsReply, Fault> {
        let listed = resource(&request.namespace, &request.prefix, READ).and_below("");
        let _permit = self.system.dispatch().admit(context.asker(), BLOB, &listed)?;
        self.blobs.list(request, context.until()).await
    }

    /// Removes a blob. Returns whether there was one.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn delete_blob(&self, context: &Context, request: DeleteBlobRequest) -> Result<bool, Fault> {
        let deleted = resource(&request.namespace, request.name.as_str(), WRITE);
        let _permit = self.system.dispatch().admit(context.asker(), BLOB, &deleted)?;
        self.blobs.delete(request, context.until()).await
    }

    /// Begins to hand this node's blobs over to others, before it leaves.
    ///
    /// # Errors
    /// If the caller may not.
    pub fn hand_over_blobs(&self, context: &Context) -> Result<HandOver, Fault> {
        let copies = Resource::of_mesh(BLOB, "~copies", WRITE);
        let _permit = self.system.dispatch().admit(context.asker(), BLOB, &copies)?;
        Ok(self.blobs.hand_over())
    }

    /// The name of the node that holds a copy.
    pub fn holder_name(&self, node: NodeId) -> String {
        self.blobs.node_name(node)
    }
}
