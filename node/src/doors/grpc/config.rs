//! The configuration: one tree of values for each namespace.

use super::{
    Door, context, idempotency_key,
    leash::{Leash, held},
    namespace, settings,
    streams::{Answers, watching_config},
    usage,
};
use crate::node::ConfigChange;
use micro_actors::config::{
    ConfigPath, DiffRequest, GetRequest, HistoryRequest, OriginsRequest, Plaintext, SetSchemaRequest, What,
};
use micro_sdk::{
    proto::{
        ChangeConfigResponse, ConfigHistoryRequest, ConfigHistoryResponse, ConfigOriginsRequest,
        ConfigOriginsResponse, DeleteConfigRequest, DiffConfigRequest, DiffConfigResponse, EndCanaryRequest,
        GetConfigRequest, GetConfigResponse, GetConfigSchemaRequest, GetConfigSchemaResponse,
        ListCanariesRequest, ListCanariesResponse, RollBackConfigRequest, RotateConfigKeyRequest,
        RotateConfigKeyResponse, SetConfigRequest, SetConfigSchemaRequest, SetConfigSchemaResponse,
        WatchConfigRequest, WatchConfigResponse, config_server,
    },
    wire::ServiceName,
};
use tonic::{Extensions, Request, Response, Status, metadata::MetadataMap};

impl Door {
    async fn change_config(
        &self,
        (metadata, extensions): (MetadataMap, Extensions),
        key: &[u8],
        change: ConfigChange,
    ) -> Result<Response<ChangeConfigResponse>, Status> {
        let context = context(&metadata, &extensions)?.with_key(idempotency_key(key)?);
        Ok(Response::new(settings::changed(self.local.change_config(&context, change).await?)))
    }
}

#[tonic::async_trait]
impl config_server::Config for Door {
    type WatchConfigStream = Answers<WatchConfigResponse>;

    async fn get_config(
        &self,
        request: Request<GetConfigRequest>,
    ) -> Result<Response<GetConfigResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let get = GetRequest {
            namespace: namespace(&request.namespace)?,
            path: ConfigPath::parse(&request.path)?,
            show_secrets: request.show_secrets,
            stale: request.stale,
            at: request.at,
            instance: settings::instance(&request.instance)?,
            since: None,
        };
        Ok(Response::new(settings::reading(self.local.config(&context, get).await?)))
    }

    async fn set_config(
        &self,
        request: Request<SetConfigRequest>,
    ) -> Result<Response<ChangeConfigResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        // Before anything can fail, so that it is wiped whatever comes.
        let value = Plaintext::new(request.value);
        let SetConfigRequest { secret, replace, canary_percent, if_version, reason, dry_run, .. } = request;
        let path = ConfigPath::parse(&request.path)?;
        let change = ConfigChange {
            namespace: namespace(&request.namespace)?,
            what: What::Set { path, value, secret, replace, canary_percent },
            if_version,
            reason,
            dry_run,
        };
        self.change_config((metadata, extensions), &request.idempotency_key, change).await
    }

    async fn delete_config(
        &self,
        request: Request<DeleteConfigRequest>,
    ) -> Result<Response<ChangeConfigResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let change = ConfigChange {
            namespace: namespace(&request.namespace)?,
            what: What::Delete { path: ConfigPath::parse(&request.path)? },
            if_version: request.if_version,
            reason: request.reason,
            dry_run: request.dry_run,
        };
        self.change_config((metadata, extensions), &request.idempotency_key, change).await
    }

    async fn watch_config(
        &self,
        request: Request<WatchConfigRequest>,
    ) -> Result<Response<Self::WatchConfigStream>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let watch = micro_actors::config::WatchConfigRequest {
            namespace: namespace(&request.namespace)?,
            path: ConfigPath::parse(&request.path)?,
            show_secrets: request.show_secrets,
            instance: settings::instance(&request.instance)?,
            since: request.since,
        };
        let (namespace, path, show_secrets) =
            (watch.namespace.clone(), watch.path.clone(), watch.show_secrets);
        let leash = Leash::hold(&self.local, &context, move |local, context| {
            local.may_read_config(context, &namespace, &path, show_secrets)
        });
        let watch = self.local.watch_config(&context, watch).await?;
        Ok(Response::new(held(watching_config(watch, self.seats.take()?), leash)))
    }

    async fn config_history(
        &self,
        request: Request<ConfigHistoryRequest>,
    ) -> Result<Response<ConfigHistoryResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let history = HistoryRequest {
            namespace: namespace(&request.namespace)?,
            path: ConfigPath::parse(&request.path)?,
            before: request.before,
            limit: request.limit,
        };
        let reply = self.local.config_history(&context, history).await?;
        let changes = reply.changes.into_iter().map(settings::change).collect();
        Ok(Response::new(ConfigHistoryResponse { changes, more: reply.more }))
    }

    async fn diff_config(
        &self,
        request: Request<DiffConfigRequest>,
    ) -> Result<Response<DiffConfigResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let diff = DiffRequest {
            namespace: namespace(&request.namespace)?,
            path: ConfigPath::parse(&request.path)?,
            from: request.from,
            to: (request.to != 0).then_some(request.to),
        };
        let edits = self.local.diff_config(&context, diff).await?;
        Ok(Response::new(DiffConfigResponse { edits: edits.into_iter().map(settings::edit).collect() }))
    }

    async fn roll_back_config(
        &self,
        request: Request<RollBackConfigRequest>,
    ) -> Result<Response<ChangeConfigResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let change = ConfigChange {
            namespace: namespace(&request.namespace)?,
            what: What::RollBack { path: ConfigPath::parse(&request.path)?, to: request.to },
            if_version: request.if_version,
            reason: request.reason,
            dry_run: request.dry_run,
        };
        self.change_config((metadata, extensions), &request.idempotency_key, change).await
    }

    async fn list_canaries(
        &self,
        request: Request<ListCanariesRequest>,
    ) -> Result<Response<ListCanariesResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let canaries = self.local.config_canaries(&context, namespace(&request.namespace)?).await?;
        let canaries = canaries.into_iter().map(settings::canary).collect();
        Ok(Response::new(ListCanariesResponse { canaries }))
    }

    async fn end_canary(
        &self,
        request: Request<EndCanaryRequest>,
    ) -> Result<Response<ChangeConfigResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let change = ConfigChange {
            namespace: namespace(&request.namespace)?,
            what: What::EndCanary { canary: request.canary, promote: request.promote },
            if_version: None,
            reason: request.reason,
            dry_run: false,
        };
        self.change_config((metadata, extensions), &request.idempotency_key, change).await
    }

    async fn set_config_schema(
        &self,
        request: Request<SetConfigSchemaRequest>,
    ) -> Result<Response<SetConfigSchemaResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let set = SetSchemaRequest {
            namespace: namespace(&request.namespace)?,
            service: service(request.service)?,
            schema: Some(request.schema).filter(|schema| !schema.is_empty()),
        };
        self.local.set_config_schema(&context, set).await?;
        Ok(Response::new(SetConfigSchemaResponse {}))
    }

    async fn get_config_schema(
        &self,
        request: Request<GetConfigSchemaRequest>,
    ) -> Result<Response<GetConfigSchemaResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let (namespace, service) = (namespace(&request.namespace)?, service(request.service)?);
        let schema = self.local.config_schema(&context, namespace, service).await?;
        Ok(Response::new(GetConfigSchemaResponse { schema }))
    }

    async fn config_origins(
        &self,
        request: Request<ConfigOriginsRequest>,
    ) -> Result<Response<ConfigOriginsResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let (namespace, service) = (namespace(&request.namespace)?, service(request.service)?);
        let instances = self.local.config_origins(&context, OriginsRequest { namespace, service }).await?;
        let instances = instances.into_iter().map(settings::origins).collect();
        Ok(Response::new(ConfigOriginsResponse { instances }))
    }

    async fn rotate_config_key(
        &self,
        request: Request<RotateConfigKeyRequest>,
    ) -> Result<Response<RotateConfigKeyResponse>, Status> {
        let (metadata, extensions, _) = request.into_parts();
        let reply = self.local.rotate_config_key(&context(&metadata, &extensions)?).await?;
        Ok(Response::new(settings::rotated(reply)))
    }
}

fn service(name: String) -> Result<ServiceName, Status> {
    name.try_into().map_err(|error: micro_sdk::wire::NameError| usage(error).into())
}
