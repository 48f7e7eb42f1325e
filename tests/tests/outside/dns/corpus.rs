//! Bad packets at the DNS door: `tests/corpus/dns`. The file says how they are written.

use super::{good, with_greeter};
use anyhow::{Context, ensure};
use micro_tests::resident_kib;
use std::{fs, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

const PACKETS: &str = include_str!("../../../corpus/dns/packets.txt");
/// For an answer that has to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the node may have more in memory when all is over.
const GROWTH_KIB_MAX: u64 = 32 << 10;

/// The codes that are answered with, by number.
const CODES: [(&str, u16); 6] =
    [("NOERROR", 0), ("FORMERR", 1), ("NXDOMAIN", 3), ("NOTIMP", 4), ("REFUSED", 5), ("BADVERS", 16)];

/// The bytes that a line of words is written for.
fn bytes(words: &str) -> anyhow::Result<Vec<u8>> {
    let mut made = Vec::new();
    for word in words.split_whitespace() {
        let (word, times) = match word.rsplit_once('*') {
            Some((word, times)) => (word, times.parse()?),
            None => (word, 1),
        };
        let piece = match word {
            "QUERY" => bytes("1234 0100 0001 0000 0000 0000")?,
            "SHOP" => bytes("'helloworld 'micro 00 0001 0001")?,
            "OPT" => bytes("00 0029 04d0 00000000 0000")?,
            label if label.starts_with('\'') => {
                let label = &label.as_bytes()[1..];
                [&[u8::try_from(label.len())?][..], label].concat()
            }
            digits => {
                let pairs =
                    (0..digits.len()).step_by(2).map(|at| digits.get(at..at + 2).context("odd digits"));
                pairs.map(|pair| Ok(u8::from_str_radix(pair?, 16)?)).collect::<anyhow::Result<_>>()?
            }
        };
        made.extend(piece.repeat(times));
    }
    Ok(made)
}

/// What is answered to a datagram; none if a good query that follows it is answered first.
async fn by_datagram(dns: SocketAddr, packet: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(dns).await?;
    socket.send(packet).await?;
    let follower = bytes("9999 0100 0001 0000 0000 0000 SHOP")?;
    socket.send(&follower).await?;
    let mut answer = vec![0; 65_535];
    let length =
        timeout(PATIENCE, socket.recv(&mut answer)).await.context("nothing is answered any more")??;
    answer.truncate(length);
    Ok(Some(answer).filter(|answer| answer[..2] != follower[..2]))
}

/// The same over TCP, where a connection ends on which something is not answered.
async fn by_stream(dns: SocketAddr, packet: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
    let mut stream = TcpStream::connect(dns).await?;
    let length = u16::try_from(packet.len())?;
    stream.write_all(&[&length.to_be_bytes()[..], packet].concat()).await?;
    let mut length = [0; 2];
    match timeout(PATIENCE, stream.read_exact(&mut length)).await.context("it stays open and says nothing")? {
        Err(_) => Ok(None),
        Ok(_) => {
            let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
            timeout(PATIENCE, stream.read_exact(&mut answer)).await.context("half an answer")??;
            Ok(Some(answer))
        }
    }
}

/// The code of an answer, with what EDNS(0) adds to it. The record of that is the last one, and has no options.
fn code(answer: &[u8], packet: &[u8]) -> anyhow::Result<u16> {
    ensure!(answer.len() >= 12 && answer[..2] == packet[..2], "it is not of this query");
    ensure!(answer[2] & 0x80 != 0 && answer[3] & 0x80 == 0, "it is no answer, or offers recursion");
    let additional = u16::from_be_bytes([answer[10], answer[11]]);
    let opt = (additional > 0).then(|| &answer[answer.len() - 11..]).filter(|opt| opt[..3] == [0, 0, 41]);
    Ok(u16::from(answer[3] & 0xf) | opt.map_or(0, |opt| u16::from(opt[5]) << 4))
}

#[tokio::test]
async fn bad_packets_are_answered_as_they_should_and_good_ones_go_on() -> anyhow::Result<()> {
    let (mut cluster, _greeter) = with_greeter().await?;
    let at = cluster.members[0].at().clone();
    let dns = at.dns.context("it has DNS")?;
    good(dns).await?;
    let before = resident_kib(at.pid)?;
    let (mut findings, mut count) = (Vec::new(), 0);
    for line in PACKETS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut parts = line.split('|').map(str::trim);
        let (what, expected) = parts.next().zip(parts.next()).with_context(|| line.to_owned())?;
        let packet =
            bytes(parts.next().with_context(|| line.to_owned())?).with_context(|| line.to_owned())?;
        let expected = CODES.iter().find(|(name, _)| *name == expected).map(|(_, code)| *code);
        let found = [by_datagram(dns, &packet).await, by_stream(dns, &packet).await];
        for (found, how) in found.into_iter().zip(["UDP", "TCP"]) {
            let found = found.with_context(|| format!("{what} over {how}"))?;
            let found = found.map(|answer| code(&answer, &packet)).transpose();
            if !matches!(&found, Ok(found) if *found == expected) {
                findings.push(format!("{what} over {how}: {found:?}"));
            }
        }
        count += 1;
    }
    ensure!(findings.is_empty(), "of {count}:\n{}", findings.join("\n"));
    ensure!(count >= 90, "the corpus has shrunk to {count}");
    good(dns).await?;
    let after = resident_kib(at.pid)?;
    ensure!(after < before + GROWTH_KIB_MAX, "it has grown from {before} to {after} KiB");
    let member = &mut cluster.members[0];
    ensure!(member.is_running(), "{}", member.last_words());
    let log = fs::read_to_string(member.log())?;
    ensure!(!log.contains("panicked") && !log.contains("that is a defect"), "{}", member.last_words());
    Ok(())
}

#[tokio::test]
async fn bits_that_are_turned_and_bytes_that_are_cut_do_no_harm() -> anyhow::Result<()> {
    let (mut cluster, _greeter) = with_greeter().await?;
    let dns = cluster.members[0].at().dns.context("it has DNS")?;
    let whole = bytes("1234 0100 0001 0000 0000 0001 SHOP 00 0029 04d0 00000000 000c 000a 0008 61*8")?;
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(dns).await?;
    for bit in 0..whole.len() * 8 {
        let mut packet = whole.clone();
        packet[bit / 8] ^= 1 << (bit % 8);
        socket.send(&packet).await?;
        socket.send(&packet[..bit / 8]).await?;
        // So that none is lost for want of room.
        if bit % 32 == 0 {
            good(dns).await?;
        }
    }
    good(dns).await?;
    let member = &mut cluster.members[0];
    ensure!(member.is_running(), "{}", member.last_words());
    let log = fs::read_to_string(member.log())?;
    ensure!(!log.contains("panicked") && !log.contains("that is a defect"), "{}", member.last_words());
    Ok(())
}
