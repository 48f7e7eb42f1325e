//! What a watch says of the node that it is told by, so that silence is not taken for "nothing happens".

use super::output::Output;
use micro_sdk::client::Contact;

/// Remarks when the node is lost and when it is there again.
pub(super) fn remarks(output: &Output) -> impl Fn(Contact) + Send + Sync + use<> {
    let output = output.clone();
    move |contact| match contact {
        Contact::Lost(fault) => {
            output.remark(&format!(
                "the node does not answer: {fault}\nit is asked again; nothing is missed by that"
            ));
        }
        Contact::Regained => output.remark("the node answers again"),
    }
}
