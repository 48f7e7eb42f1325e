//! The node itself: calls by name, status, membership.

use super::{
    Door, context, idempotency_key, namespace,
    streams::{Answers, backing_up},
    usage,
};
use jiff::Timestamp;
use micro_actors::{auth, network};
use micro_sdk::{
    proto::{
        Authority, BackupRequest, BackupResponse, CallRequest, CallResponse, ConnectRequest, ConnectResponse,
        CreateTokenRequest, CreateTokenResponse, DrainRequest, DrainResponse, ExplainRequest,
        ExplainResponse, FinishAuthorityRequest, FinishAuthorityResponse, FormerAuthority, LeaveRequest,
        LeaveResponse, Link, LinksRequest, LinksResponse, Member, PingRequest, PingResponse, RemoveRequest,
        RemoveResponse, RotateAuthorityRequest, RotateAuthorityResponse, Setting, SettingsRequest,
        SettingsResponse, ShowAuthorityRequest, ShowAuthorityResponse, StatusRequest, StatusResponse,
        TransferRequest, TransferResponse, Way, node_server,
    },
    wire::{InstanceId, ServiceName, TraceId},
};
use std::time::Duration;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl node_server::Node for Door {
    type BackupStream = Answers<BackupResponse>;

    async fn call(&self, request: Request<CallRequest>) -> Result<Response<CallResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let mut context =
            context(&metadata, &extensions)?.with_key(idempotency_key(&request.idempotency_key)?);
        if request.timeout_ms > 0 {
            let asked = Duration::from_millis(request.timeout_ms.into());
            context.deadline = Some(context.deadline.map_or(asked, |deadline| deadline.min(asked)));
        }
        let attempts = u8::try_from(request.attempts).unwrap_or(u8::MAX);
        context.attempts = Some(attempts).filter(|attempts| *attempts > 0).or(context.attempts);
        let service: ServiceName = request.service.parse().map_err(usage)?;
        let mut head = self.local.head(&context, service, &request.endpoint);
        head.namespace = namespace(&request.namespace)?;
        if !request.instance.is_empty() {
            let id = InstanceId::from_str_radix(&request.instance, 16);
            head.instance = Some(id.map_err(|_| {
                usage(format!("{:?} is no instance's id: hexadecimal digits", request.instance))
            })?);
        }
        head.metadata = crate::doors::http::metadata(request.metadata)?;
        let trace: TraceId = head.trace;
        let body = crate::doors::http::json_text(request.body)?;
        let begun = Instant::now();
        let answer = self.local.call(context.origin, head, body).await?;
        Ok(Response::new(CallResponse {
            body: answer.body,
            trace_id: trace.to_string(),
            node: answer.node.to_string(),
            passed: self.local.passed(answer.node),
            took_us: micros(begun.elapsed()),
        }))
    }

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let (metadata, extensions, _) = request.into_parts();
        let document = self.local.status_document(&context(&metadata, &extensions)?).await?;
        Ok(Response::new(StatusResponse { document }))
    }

    async fn links(&self, request: Request<LinksRequest>) -> Result<Response<LinksResponse>, Status> {
        let (metadata, extensions, _) = request.into_parts();
        let network::LinksReply { nodes, links } =
            self.local.links(&context(&metadata, &extensions)?).await?;
        let link = |network::LinkReply { from, to, rtt, jitter, loss }| Link {
            from: from.to_string(),
            to: to.to_string(),
            rtt_us: micros(rtt),
            jitter_us: micros(jitter),
            loss,
        };
        Ok(Response::new(LinksResponse {
            nodes: members(nodes),
            links: links.into_iter().map(link).collect(),
        }))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        let (metadata, extensions, ExplainRequest { from, to }) = request.into_parts();
        let request = network::ExplainRequest { from: Some(from).filter(|from| !from.is_empty()), to };
        let explained = self.local.explain(&context(&metadata, &extensions)?, request).await?;
        let network::ExplainReply { from, to, ways } = explained;
        let way = |way: network::WayReply| Way {
            relays: members(way.relays),
            cost_us: micros(way.cost),
            rtt_us: micros(way.rtt),
            loss_cost_us: micros(way.of_loss),
            jitter_cost_us: micros(way.of_jitter),
            price_cost_us: micros(way.of_price),
            relay_cost_us: micros(way.of_relays),
            chosen: way.chosen,
        };
        Ok(Response::new(ExplainResponse {
            from: Some(member(from)),
            to: Some(member(to)),
            ways: ways.into_iter().map(way).collect(),
        }))
    }

    async fn ping(&self, request: Request<PingRequest>) -> Result<Response<PingResponse>, Status> {
        let (metadata, extensions, PingRequest { node }) = request.into_parts();
        let pinged =
            self.local.ping(&context(&metadata, &extensions)?, network::PingRequest { node }).await?;
        let network::PingReply { node, relays, address, took } = pinged;
        Ok(Response::new(PingResponse {
            node: Some(member(node)),
            relays: members(relays),
            address,
            took_us: micros(took),
        }))
    }

    async fn connect(&self, request: Request<ConnectRequest>) -> Result<Response<ConnectResponse>, Status> {
        let (metadata, extensions, ConnectRequest { address }) = request.into_parts();
        let request = network::ConnectRequest { address };
        let network::ConnectReply { node, address } =
            self.local.connect(&context(&metadata, &extensions)?, request).await?;
        Ok(Response::new(ConnectResponse { node: Some(member(node)), address }))
    }

    async fn create_token(
        &self,
        request: Request<CreateTokenRequest>,
    ) -> Result<Response<CreateTokenResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let ttl = Duration::from_secs(request.ttl_s.into());
        let reply = self.local.create_token(&context(&metadata, &extensions)?, ttl).await?;
        let expires = i64::try_from(reply.expires).ok().and_then(|s| Timestamp::from_second(s).ok());
        Ok(Response::new(CreateTokenResponse {
            token: reply.token,
            addresses: reply.addresses.iter().map(ToString::to_string).collect(),
            expires: expires.map(|at| at.to_string()).unwrap_or_default(),
        }))
    }

    async fn drain(&self, request: Request<DrainRequest>) -> Result<Response<DrainResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let node = Some(request.node).filter(|node| !node.is_empty());
        let drain = network::DrainRequest { node, undo: request.undo };
        let drained = self.local.drain(&context(&metadata, &extensions)?, drain).await?;
        Ok(Response::new(DrainResponse { drained: Some(member(drained)) }))
    }

    async fn backup(&self, request: Request<BackupRequest>) -> Result<Response<Self::BackupStream>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let seat = self.seats.take()?;
        let backup = self.local.backup(&context(&metadata, &extensions)?, !request.without_blobs).await?;
        Ok(Response::new(backing_up(backup, seat)))
    }

    async fn leave(&self, request: Request<LeaveRequest>) -> Result<Response<LeaveResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?.within(Duration::from_secs(30));
        let LeaveRequest { even_if_blobs_are_lost } = request;
        self.local.leave(&context, network::LeaveRequest { even_if_blobs_are_lost }).await?;
        Ok(Response::new(LeaveResponse {}))
    }

    async fn transfer(
        &self,
        request: Request<TransferRequest>,
    ) -> Result<Response<TransferResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let to = Some(request.to).filter(|to| !to.is_empty());
        let leader = self.local.transfer(&context(&metadata, &extensions)?, to).await?;
        Ok(Response::new(TransferResponse { leader: Some(member(leader)) }))
    }

    async fn remove(&self, request: Request<RemoveRequest>) -> Result<Response<RemoveResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let RemoveRequest { node, even_if_up, even_if_blobs_are_lost } = request;
        let request = network::RemoveRequest { node, even_if_up, even_if_blobs_are_lost };
        let removed = self.local.remove(&context(&metadata, &extensions)?, request).await?;
        Ok(Response::new(RemoveResponse { removed: Some(member(removed)) }))
    }

    async fn show_authority(
        &self,
        request: Request<ShowAuthorityRequest>,
    ) -> Result<Response<ShowAuthorityResponse>, Status> {
        let (metadata, extensions, _) = request.into_parts();
        let view = self.local.authority(&context(&metadata, &extensions)?).await?;
        Ok(Response::new(ShowAuthorityResponse { authority: Some(authority(view)) }))
    }

    async fn rotate_authority(
        &self,
        request: Request<RotateAuthorityRequest>,
    ) -> Result<Response<RotateAuthorityResponse>, Status> {
        let (metadata, extensions, _) = request.into_parts();
        let view = self.local.rotate_authority(&context(&metadata, &extensions)?).await?;
        Ok(Response::new(RotateAuthorityResponse { authority: Some(authority(view)) }))
    }

    async fn finish_authority(
        &self,
        request: Request<FinishAuthorityRequest>,
    ) -> Result<Response<FinishAuthorityResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let request = auth::FinishAuthorityRequest { leave_behind: request.even_if_nodes_are_left_behind };
        let view = self.local.finish_authority(&context(&metadata, &extensions)?, request).await?;
        Ok(Response::new(FinishAuthorityResponse { authority: Some(authority(view)) }))
    }

    async fn settings(
        &self,
        request: Request<SettingsRequest>,
    ) -> Result<Response<SettingsResponse>, Status> {
        let (metadata, extensions, _) = request.into_parts();
        let settings = self.local.settings(&context(&metadata, &extensions)?)?;
        let setting = |setting: &crate::config::Setting| Setting {
            name: setting.name.clone(),
            value: setting.value.clone(),
            source: setting.source.name().to_owned(),
            place: setting.place.clone(),
        };
        Ok(Response::new(SettingsResponse { settings: settings.iter().map(setting).collect() }))
    }
}

fn authority(view: auth::AuthorityView) -> Authority {
    let date = |seconds: u64| {
        let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
        time.map(|time| time.to_string()).unwrap_or_default()
    };
    let hex = |pin: [u8; 32]| pin.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let former =
        view.former.map(|former| FormerAuthority { pin: hex(former.pin), waiting_for: former.waiting_for });
    Authority { pin: hex(view.pin), made: date(view.made), ends: date(view.ends), former }
}

fn members(members: Vec<network::MemberReply>) -> Vec<Member> {
    members.into_iter().map(member).collect()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn member(member: network::MemberReply) -> Member {
    Member { id: member.node.to_string(), name: member.name }
}
