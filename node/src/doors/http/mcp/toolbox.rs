//! What one caller may use, as the server of the protocol that one request meets.

use super::{
    super::{
        Door, Entry,
        offer::{Described, Shared as SharedOffer},
        platform,
    },
    dialogue::Dialogue,
    schema, tool,
};
use crate::{doors::credentials::is_nobody, node::Context};
use bytes::Bytes;
use futures::future::join_all;
use micro_actors::is_opaque;
use micro_sdk::wire::{Code, Fault, Namespace, ServiceName};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CustomRequest, CustomResult,
        ErrorCode, Implementation, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig,
        Tool,
    },
    service::RequestContext,
};
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
    sync::{Arc, OnceLock},
};

/// The tools of one page: their schemas have a few kilobytes each, and programs keep all in memory.
const PAGE: usize = 200;
/// What a program is told of all of it.
const INSTRUCTIONS: &str = "Tools are the endpoints of services, as SERVICE.HANDLER.METHOD, and the platform's own, \
                            as store.write. A stream takes or gives a list of messages. What fails says what to do next.";

/// The tools of one caller, and who that is.
#[derive(Clone)]
pub(super) struct Toolbox {
    door: Door,
    context: Context,
    namespace: Namespace,
    /// Why a tool was not for a caller that showed nothing.
    unproven: Arc<OnceLock<Fault>>,
}

impl Toolbox {
    /// For who sends a request.
    pub fn of(door: &Door, entry: &Entry<'_>) -> Self {
        Toolbox {
            door: door.clone(),
            context: entry.context.clone(),
            namespace: entry.namespace.clone(),
            unproven: Arc::default(),
        }
    }

    /// Why a tool was not for a caller that showed nothing, once it was called.
    pub fn unproven(&self) -> Arc<OnceLock<Fault>> {
        self.unproven.clone()
    }

    /// All tools, by name.
    async fn tools(&self) -> BTreeMap<String, Tool> {
        let offers = self.door.routes().offers(&self.namespace);
        // Each is asked for at most once, and those that are known answer at once.
        join_all(offers.iter().map(|offer| offer.described(&self.door.local))).await;
        let mut tools = Vec::new();
        for offer in &offers {
            let described = offer.described(&self.door.local).await;
            let service = offer.service.as_str();
            let open = |one: &&Described| {
                !is_opaque(&one.endpoint.name)
                    && self.door.local.would_call(&self.context, &self.namespace, service, &one.endpoint.name)
            };
            tools.extend(described.iter().filter(open).map(|described| tool::of_service(offer, described)));
        }
        let entry = self.entry();
        let open = tool::platform().filter(|method| method.would_serve(&self.door.local, &entry));
        tools.extend(open.map(tool::of_platform));
        tools.into_iter().map(|tool| (tool.name.to_string(), tool)).collect()
    }

    fn entry(&self) -> Entry<'static> {
        Entry { context: self.context.clone(), namespace: self.namespace.clone(), host: "" }
    }

    fn may_call(&self, service: &str, endpoint: &str) -> Result<(), Fault> {
        let may = self.door.local.may_call(&self.context, &self.namespace, service, endpoint);
        may.map_err(|fault| self.refused(fault))
    }

    /// Notes what the node refuses to one who showed nothing.
    fn refused(&self, fault: Fault) -> Fault {
        if fault.code == Code::Denied && is_nobody(&self.context.caller) {
            self.unproven.get_or_init(|| fault.clone());
        }
        fault
    }

    /// What the tool of this name answers.
    async fn use_tool(&self, name: &str, given: Map<String, Value>) -> Result<Value, Fault> {
        if let Some(method) = tool::platform_by(name) {
            let answer = platform::unary(&self.door, &self.entry(), method, Value::Object(given)).await;
            return answer.map_err(|refusal| self.refused(refusal.into_fault()));
        }
        let unknown =
            || Fault::new(Code::NotFound, format!("there is no tool {name:?}")).help("tools/list lists them");
        let (service, endpoint) = name.split_once('.').ok_or_else(unknown)?;
        let service: ServiceName = service.parse().map_err(|_| unknown())?;
        // Of what is not there, those who may not call it do not learn that it is not.
        self.may_call(service.as_str(), endpoint)?;
        self.door.local.started().await;
        self.door.local.knows(&self.namespace, &service)?;
        let input = match self.offer(&service) {
            Some(offer) => {
                let described = offer.described(&self.door.local).await;
                match described.iter().find(|described| described.endpoint.name == endpoint) {
                    Some(described) if described.endpoint.streams.any() => {
                        let dialogue = Dialogue { endpoint, streams: described.endpoint.streams, service };
                        return self.hold(dialogue, &described.request, given).await;
                    }
                    Some(described) => schema::handed(&described.request, given),
                    None => Value::Object(given),
                }
            }
            None => Value::Object(given),
        };
        let mut head = self.door.local.head(&self.context, service, endpoint);
        head.namespace = self.namespace.clone();
        let answer = self.door.local.call(self.context.origin, head, Bytes::from(input.to_string())).await?;
        Ok(match answer.body.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&answer.body)
                .unwrap_or_else(|_| String::from_utf8_lossy(&answer.body).into_owned().into()),
        })
    }

    async fn hold(
        &self,
        dialogue: Dialogue<'_>,
        request: &Value,
        given: Map<String, Value>,
    ) -> Result<Value, Fault> {
        let messages = dialogue.said(request, given)?;
        let (services, namespace) = (self.door.services.clone(), self.namespace.clone());
        dialogue.hold(services, &self.context, namespace, messages).await
    }

    fn offer(&self, service: &ServiceName) -> Option<SharedOffer> {
        self.door.routes().offers(&self.namespace).into_iter().find(|offer| offer.service == *service)
    }

    /// A failure as a text that a program can act on.
    fn told(&self, fault: &Fault) -> String {
        let mut text = format!("error: {} [{}]", fault.message, fault.code.name());
        fault.help.iter().for_each(|line| text.push_str(&format!("\nhelp: {line}")));
        let trace = self.context.trace.map(|trace| format!("\ntrace: {trace}"));
        text + &trace.unwrap_or_default()
    }
}

impl ServerHandler for Toolbox {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("micro-node", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = self.tools().await;
        // A page begins behind the name of the last tool of the one before, whatever came and went meanwhile.
        let behind = request.and_then(|request| request.cursor).map_or(Unbounded, Excluded);
        let mut rest = tools.range((behind, Unbounded)).map(|(_, tool)| tool);
        let page: Vec<Tool> = rest.by_ref().take(PAGE).cloned().collect();
        let last = page.last().map(|tool| tool.name.to_string());
        let mut listed = ListToolsResult::with_all_items(page);
        listed.next_cursor = last.filter(|_| rest.next().is_some());
        Ok(listed)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let answer = self.use_tool(&request.name, request.arguments.unwrap_or_default()).await;
        Ok(match answer {
            Ok(answer) => {
                let mut result = CallToolResult::success(vec![ContentBlock::text(answer.to_string())]);
                result.structured_content = Some(answer).filter(Value::is_object);
                result
            }
            Err(fault) => CallToolResult::error(vec![ContentBlock::text(self.told(&fault))]),
        }
        .into())
    }

    /// What is of the protocol and is not read is wrong in what it carries; the rest nobody knows.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let told = match request.method.as_str() {
            "tools/call" => "params are {\"name\": TOOL, \"arguments\": {…}}: arguments must be an object",
            "tools/list" => "params are {\"cursor\": TEXT}, or left out",
            "initialize" => "params are {\"protocolVersion\", \"capabilities\", \"clientInfo\"}",
            other => {
                let message = format!("there is no method {other:?}: there are tools/list and tools/call");
                return Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, message, None));
            }
        };
        Err(ErrorData::invalid_params(told, None))
    }
}
