use super::*;
use hickory_proto::rr::{Name, RData, Record, RecordType, rdata::TXT};

/// A query as clients make it.
fn query(name: &str, edns: Option<u16>) -> Message {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), RecordType::TXT));
    message.edns = edns.map(|room| {
        let mut edns = Edns::new();
        edns.set_max_payload(room);
        edns
    });
    message
}

/// An answer of some bytes.
fn texts(query: &Query, count: usize) -> Answer {
    let data = RData::TXT(TXT::new(vec!["x".repeat(90)]));
    let record = Record::from_rdata(query.name.clone(), 2, data);
    let (answers, additionals) = (vec![record.clone(); count], vec![record]);
    let code = ResponseCode::NoError;
    Answer { code, authoritative: true, answers, authorities: Vec::new(), additionals }
}

fn answered(packet: &[u8], transport: Transport, count: usize) -> Option<(Message, usize)> {
    let answered = reply(packet, transport, |query| texts(query, count))?;
    let length = answered.bytes.len();
    Some((Message::from_vec(&answered.bytes).expect("what is answered is a message"), length))
}

fn ask(name: &str, edns: Option<u16>, transport: Transport, count: usize) -> (Message, usize) {
    let packet = query(name, edns).to_vec().expect("it can be written");
    answered(&packet, transport, count).expect("it is answered")
}

#[test]
fn an_answer_has_the_number_the_question_and_the_flags_of_its_query() {
    let (answer, _) = ask("sHoP.micro.", None, Transport::Udp, 1);
    assert_eq!((answer.metadata.id, answer.queries[0].name.to_ascii().as_str()), (0x1234, "sHoP.micro."));
    let flags = &answer.metadata;
    assert!(
        flags.authoritative && flags.recursion_desired && !flags.recursion_available && !flags.truncation
    );
    assert!(answer.edns.is_none(), "who does not say it knows EDNS(0) is not answered with it");
}

#[test]
fn what_has_no_room_is_cut_and_whole_over_tcp() {
    for (edns, count, whole) in [
        (None, 3, true),
        (None, 20, false),
        (Some(100), 3, true),
        (Some(100), 20, false),
        (Some(900), 6, true),
        (Some(900), 9, false),
        (Some(4096), 9, true),
        (Some(4096), 20, false),
    ] {
        let (answer, length) = ask("shop.micro.", edns, Transport::Udp, count);
        let room = edns.unwrap_or(512).clamp(512, 1232);
        assert!(length <= usize::from(room), "{length} of {room}");
        assert_eq!(answer.metadata.truncation, !whole, "{edns:?} {count}");
        assert_eq!(answer.answers.len(), if whole { count } else { 0 });
        assert_eq!(answer.edns.is_some(), edns.is_some());
        let (answer, _) = ask("shop.micro.", edns, Transport::Tcp, count);
        assert!(
            !answer.metadata.truncation && answer.answers.len() == count && answer.additionals.len() == 1
        );
    }
    // What is said besides is left out first, and nobody has to ask again for it.
    let (answer, _) = ask("shop.micro.", None, Transport::Udp, 4);
    assert_eq!((answer.answers.len(), answer.additionals.len(), answer.metadata.truncation), (4, 0, false));
}

#[test]
fn what_is_no_query_is_not_answered() {
    let good = query("shop.micro.", None).to_vec().expect("it can be written");
    let mut response = good.clone();
    response[2] |= 0x80;
    assert!(answered(&response, Transport::Udp, 1).is_none(), "two servers would answer each other for ever");
    for length in 0..HEAD_BYTES {
        assert!(answered(&good[..length], Transport::Udp, 1).is_none(), "{length} bytes");
    }
}

#[test]
fn what_is_no_good_query_is_told_so() {
    let good = query("shop.micro.", Some(1232)).to_vec().expect("it can be written");
    let code = |packet: &[u8]| {
        let (answer, length) = answered(packet, Transport::Udp, 1).expect("it is answered");
        assert!(length <= 512 && answer.metadata.id == 0x1234);
        answer.metadata.response_code
    };
    for length in HEAD_BYTES..good.len() {
        assert_eq!(code(&good[..length]), ResponseCode::FormErr, "{length} bytes");
    }
    // Counts of what is not there.
    for at in [4, 6, 8, 10] {
        for count in [0_u16, 2, 3, 255, 65_535] {
            let mut packet = good.clone();
            packet[at..at + 2].copy_from_slice(&count.to_be_bytes());
            let meant = (at == 6 || at == 8) && count == 0;
            // That of the record of EDNS(0): none of it is read then.
            let unread = at == 10 && count == 0;
            if !meant && !unread {
                assert_eq!(code(&packet), ResponseCode::FormErr, "{count} at {at}");
            }
        }
    }
    for opcode in 1..16_u8 {
        let mut packet = good.clone();
        packet[2] = opcode << 3;
        assert_eq!(code(&packet), ResponseCode::NotImp, "{opcode}");
    }
}

#[test]
fn a_later_edns_is_told_which_one_is_known() {
    let mut asked = query("shop.micro.", Some(1232));
    asked.edns.as_mut().expect("it has it").set_version(1);
    let (answer, _) =
        answered(&asked.to_vec().expect("it can be written"), Transport::Udp, 1).expect("it is answered");
    // As a number: 16 has two names, and a reader can't tell which was meant.
    assert_eq!(u16::from(answer.metadata.response_code), u16::from(ResponseCode::BADVERS));
    assert_eq!(answer.edns.map(|edns| edns.version()), Some(0));
    assert!(answer.answers.is_empty());
}
