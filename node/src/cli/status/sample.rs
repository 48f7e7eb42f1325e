//! A status for tests.

use micro_sdk::wire::{
    ClusterId, NodeId,
    status::{
        ActorStatus, BlobsStatus, ConsensusStatus, NodeState, NodeStatus, Problem, ReplicaStatus, Role,
        STATUS_SCHEMA, ServiceStatus, Severity, Status, TimingStatus,
    },
};

/// A status with something of everything, for tests.
pub(in crate::cli) fn sample() -> Status {
    let text = str::to_owned;
    let actors = |restarts| vec![ActorStatus { name: text("store"), restarts }];
    let alpha = NodeStatus {
        id: NodeId(0xa),
        name: text("alpha"),
        state: NodeState::Ready,
        role: Role::Leader,
        role_reason: None,
        cloud: text("aws"),
        region: text("eu-west-1"),
        zone: text("a"),
        address: text("10.0.0.1:8443"),
        path: Some(text("self")),
        relays: Vec::new(),
        rtt_ms: None,
        version: text("0.1.0"),
        uptime_s: Some(273_600),
        actors: Some(actors(0)),
        certificate: None,
        gateway: true,
    };
    let bravo = NodeStatus {
        id: NodeId(0xb),
        name: text("bravo"),
        role: Role::Learner,
        role_reason: Some(text("120 entries behind")),
        zone: text("b"),
        address: text("10.0.0.2:8443"),
        path: Some(text("direct 10.0.0.2:8443")),
        relays: Vec::new(),
        rtt_ms: Some(0.42),
        uptime_s: Some(725),
        actors: Some(actors(2)),
        gateway: false,
        ..alpha.clone()
    };
    let charlie = NodeStatus {
        id: NodeId(0xc),
        name: text("charlie"),
        state: NodeState::Down,
        role: Role::Voter,
        cloud: String::new(),
        region: String::new(),
        zone: String::new(),
        address: text("10.0.0.3:8443"),
        path: None,
        relays: Vec::new(),
        version: String::new(),
        uptime_s: None,
        actors: None,
        gateway: false,
        ..alpha.clone()
    };
    Status {
        schema: text(STATUS_SCHEMA),
        cluster: ClusterId(1),
        seen_by: NodeId(0xa),
        nodes: vec![alpha, bravo, charlie],
        consensus: ConsensusStatus {
            quorum: true,
            leader: Some(NodeId(0xa)),
            term: 9,
            commit: Some(1204),
            applied: Some(1204),
            voters: vec![NodeId(0xa), NodeId(0xc)],
            learners: vec![NodeId(0xb), NodeId(0xd)],
            replicas: vec![ReplicaStatus { node: NodeId(0xb), matched: Some(1084), lag: 120 }],
            timing: TimingStatus::default(),
        },
        services: vec![ServiceStatus {
            name: text("helloworld"),
            versions: vec![text("0.1.0")],
            instances: 2,
            nodes: vec![text("alpha"), text("bravo")],
            endpoints: vec![text("Greeter.call")],
        }],
        blobs: BlobsStatus { short: 2, ..BlobsStatus::default() },
        problems: vec![Problem {
            severity: Severity::Critical,
            message: text("node charlie is down"),
            help: text("look at its log"),
        }],
    }
}
