//! Bad tokens as lines: `tests/corpus/jwt/tokens.txt`, which says how each is made of a good one. All are refused alike
//! by HTTP and gRPC, and tell nothing.

use crate::doors::ask;
use anyhow::{Context, anyhow, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use micro_sdk::client::NewAccount;
use micro_tests::{Cluster, Plan, get, get_as};
use ring::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::{Map, Value, json};
use std::fs;
use tonic::{Code, transport::Endpoint};

const CORPUS: &str = include_str!("../../corpus/jwt/tokens.txt");

/// The parts of a good token, and the keys that bad ones are signed with.
struct Mint {
    parts: [String; 3],
    /// The public key that signed it, and what it is called.
    public: Vec<u8>,
    kid: String,
    own: Ed25519KeyPair,
}

impl Mint {
    fn new(token: &str, keys: &Value) -> anyhow::Result<Mint> {
        let parts: Vec<String> = token.split('.').map(str::to_owned).collect();
        let parts: [String; 3] = parts.try_into().ok().context("a token has three parts")?;
        let kid = json_of(&parts[0])?["kid"].as_str().context("it names a key")?.to_owned();
        let mut keys = keys["jwks"]["keys"].as_array().into_iter().flatten();
        let key = keys.find(|key| key["kid"] == kid.as_str()).context("the key is published")?;
        let public = URL_SAFE_NO_PAD.decode(key["x"].as_str().context("it has a public half")?)?;
        let own = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).map_err(|error| anyhow!("{error}"))?;
        Ok(Mint { parts, public, kid, own })
    }

    /// The token that a line of the corpus is written for.
    fn coin(&self, template: &str) -> anyhow::Result<String> {
        let mut text = template.to_owned();
        while let Some((before, rest)) = text.split_once("$(") {
            let (inside, after) = rest.split_once(')').context("an open bracket")?;
            let (what, times) = inside.rsplit_once('*').context("no number of times")?;
            text = format!("{before}{}{after}", what.repeat(times.parse()?));
        }
        self.unfold(&text)
    }

    fn unfold(&self, template: &str) -> anyhow::Result<String> {
        let (mut made, mut rest) = (String::new(), template);
        while let Some((before, behind)) = rest.split_once('{') {
            made.push_str(before);
            let end = closing(behind).context("an open brace")?;
            let (word, argument) = behind[..end].split_once(' ').unwrap_or((&behind[..end], ""));
            match self.part(word, argument, &made)? {
                Some(part) => {
                    made.push_str(&part);
                    rest = &behind[end + 1..];
                }
                None => {
                    made.push('{');
                    rest = behind;
                }
            }
        }
        Ok(made + rest)
    }

    /// What stands for `{word argument}` behind `made`; none if that is nothing but text.
    fn part(&self, word: &str, argument: &str, made: &str) -> anyhow::Result<Option<String>> {
        let signed = || made.strip_suffix('.').unwrap_or(made).as_bytes();
        Ok(Some(match word {
            "H" => changed(&self.parts[0], &self.unfold(argument)?)?,
            "C" => changed(&self.parts[1], argument)?,
            "S" => changed(&self.parts[2], argument)?,
            "T" => URL_SAFE_NO_PAD.encode(argument),
            "KID" => self.kid.to_uppercase(),
            "own" => URL_SAFE_NO_PAD.encode(self.own.public_key()),
            "ed25519" => URL_SAFE_NO_PAD.encode(self.own.sign(signed())),
            "hmac" => {
                let key = match argument {
                    "public" => &self.public[..],
                    "kid" => self.kid.as_bytes(),
                    _ => &[],
                };
                URL_SAFE_NO_PAD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), signed()))
            }
            _ => return Ok(None),
        }))
    }
}

/// Where the brace ends whose inside `text` begins with.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    text.bytes().position(|letter| {
        depth += i32::from(letter == b'{') - i32::from(letter == b'}');
        depth == 0
    })
}

fn json_of(part: &str) -> anyhow::Result<Value> {
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part)?)?)
}

/// A part of a token: as it is, without its last letters, or with other members.
fn changed(part: &str, how: &str) -> anyhow::Result<String> {
    if how.is_empty() {
        return Ok(part.to_owned());
    }
    if let Some(letters) = how.strip_prefix('-') {
        return Ok(part[..part.len() - letters.parse::<usize>()?].to_owned());
    }
    let mut members: Map<String, Value> = serde_json::from_value(json_of(part)?)?;
    members.extend(serde_json::from_str::<Map<String, Value>>(how).with_context(|| how.to_owned())?);
    members.retain(|_, value| !value.is_null());
    Ok(URL_SAFE_NO_PAD.encode(Value::Object(members).to_string()))
}

#[tokio::test]
async fn tokens_that_are_no_good_are_refused_alike_and_the_node_lives() -> anyhow::Result<()> {
    // What nobody in particular may ask in a second is tested elsewhere.
    let extra = vec!["--limit-unknown".to_owned(), "off".to_owned()];
    let mut cluster = Cluster::start(Plan { size: 1, extra, ..Plan::default() }, &mut |_| ()).await?;
    let (api, proxy) = (cluster.members[0].at().api, cluster.members[0].at().proxy);
    let admin = cluster.client(0).await?;
    let account = NewAccount { scopes: vec!["admin".to_owned()], ..NewAccount::default() };
    let secret = admin.auth().create_account("jane", account).await?.secret.context("one was made")?;
    let login = admin.auth().login("jane", &secret).await?;
    let good = login.access.expose();
    let mint = Mint::new(good, &get(api, "/-/v1/auth/keys").await?.json()?)?;
    let channel = Endpoint::from_shared(format!("http://{proxy}"))?.connect().await?;
    let path = "/-/v1/auth/who-am-i";
    assert_eq!(get_as(api, path, good).await?.status, 200);

    let lines = CORPUS.lines().filter(|line| !line.starts_with('#'));
    let (mut count, mut findings) = (0, Vec::new());
    for line in lines {
        let (about, template) = line.split_once(" | ").context(line)?;
        let token = mint.coin(template).with_context(|| line.to_owned())?;
        ensure!(token != good, "{about}: it is the good one");
        count += 1;
        let answer = get_as(api, path, &token).await?;
        // A head that is longer than any is refused before it is read to the end.
        let refused = answer.status == 401 || (token.len() > 8 << 10 && answer.status == 431);
        let telling = [&mint.parts[2][..], "jane"].iter().any(|secret| answer.body.contains(secret));
        if !refused || telling {
            findings.push(format!("{about}: HTTP {}: {}", answer.status, answer.body));
        }
        match ask(&channel, "/micro.v1.Auth/WhoAmI", Some(&token)).await? {
            Err(status) if status.code() == Code::Unauthenticated && !status.message().contains("jane") => {}
            other => findings.push(format!("{about}: gRPC {other:?}")),
        }
    }
    ensure!(count >= 80, "the corpus has shrunk to {count}");
    ensure!(findings.is_empty(), "{} of {count}:\n{}", findings.len(), findings.join("\n"));
    ensure!(cluster.members[0].is_running(), "the node has ended");
    assert_eq!(get_as(api, path, good).await?.json()?["account"], json!("jane"));
    let log = fs::read_to_string(cluster.members[0].log())?;
    ensure!(!log.contains("panicked"), "it panicked: {}", cluster.members[0].last_words());
    ensure!(!log.contains(&mint.parts[2]) && !log.contains(secret.expose()), "a secret is in the log");
    Ok(())
}
