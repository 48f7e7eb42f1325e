//! What a caller is told of a call that got lost between this node and the one of its instance. The mesh knows ids of
//! nodes and what went wrong with a link; callers know names, and want to know what to do.

use micro_sdk::wire::{Code, Effect, Fault, NodeId};

/// The same fault with the name of `node`, and with what to do, if the mesh says it: the id of the node is in it then.
/// What the node itself has answered stays as it is.
pub(super) fn named(fault: Fault, node: NodeId, name: impl FnOnce() -> String) -> Fault {
    let id = node.to_string();
    match matches!(fault.code, Code::Unreachable | Code::Timeout) && fault.message.contains(&id) {
        true => advised(fault, &id, &name()),
        false => fault,
    }
}

/// The same where the stream on which a node answers has broken off, which the mesh says without its id.
pub(super) fn broken_off(fault: Fault, node: NodeId, name: impl FnOnce() -> String) -> Fault {
    let (id, name) = (node.to_string(), name());
    let message = match fault.message.contains(&id) {
        true => fault.message,
        false => format!("the answer of node {name} broke off: {}", fault.message),
    };
    advised(Fault { message, ..fault }, &id, &name)
}

fn advised(fault: Fault, id: &str, name: &str) -> Fault {
    let message = fault.message.replace(id, name);
    let what = match fault.effect {
        Effect::None => "nothing was done: call again".to_owned(),
        Effect::Unknown => {
            "it may have been done: look whether it was before you call again; what may be done twice is \
                            tried again by the node, if the service's policy names it in `idempotent`"
                .to_owned()
        }
    };
    let why = format!(
        "`micro-node network explain {name}` shows the ways to that node, and `micro-node status` how it is"
    );
    Fault { message, ..fault }.help(what).help(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(0xb);

    fn bravo() -> String {
        "bravo".to_owned()
    }

    #[test]
    fn a_lost_call_names_the_node_and_says_whether_anything_was_done() {
        let gone = Fault::new(Code::Unreachable, format!("the link to node {NODE} is gone: timed out"));
        let told = named(gone.clone(), NODE, bravo);
        assert_eq!(told.message, "the link to node bravo is gone: timed out");
        assert_eq!((told.code, told.effect), (Code::Unreachable, Effect::None));
        assert!(
            told.help[0].starts_with("nothing was done") && told.help[1].contains("explain bravo"),
            "{told:?}"
        );
        let told = named(gone.effect_unknown(), NODE, bravo);
        assert_eq!(told.effect, Effect::Unknown);
        assert!(told.help[0].starts_with("it may have been done"), "{told:?}");
        let cut = Fault::new(Code::Unreachable, "the stream broke off: reset").effect_unknown();
        let told = broken_off(cut, NODE, bravo);
        assert_eq!(told.message, "the answer of node bravo broke off: the stream broke off: reset");
        assert_eq!(told.help.len(), 2);
    }

    #[test]
    fn what_the_node_answers_stays_as_it_is() {
        for fault in [
            Fault::new(Code::Unreachable, "the bank can't be reached"),
            Fault::new(Code::NotFound, format!("no such thing on {NODE}")),
        ] {
            assert_eq!(named(fault.clone(), NODE, bravo), fault);
        }
    }
}
