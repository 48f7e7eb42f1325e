//! The SDK's models on real nodes: records and their indexes, which are never apart.

use anyhow::{Context, ensure};
use futures::TryStreamExt;
use micro_sdk::{
    client::Page,
    model::{Entity, Index, Model, Reindexed},
    wire::{Code, Fault},
};
use micro_tests::Cluster;
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::task::JoinSet;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct User {
    id: String,
    email: Option<String>,
    city: String,
    age: i32,
    score: f64,
    active: bool,
    joined: SystemTime,
}

impl Entity for User {
    const NAME: &'static str = "users";

    fn id(&self) -> String {
        self.id.clone()
    }

    fn indexes() -> Vec<Index<User>> {
        vec![
            Index::unique("email", |user: &User| user.email.clone()),
            Index::ordered("city", |user: &User| (user.city.clone(), user.age)),
            Index::ordered("age", |user: &User| user.age),
            Index::ordered("score", |user: &User| user.score),
            Index::ordered("active", |user: &User| user.active),
            Index::ordered("joined", |user: &User| user.joined),
        ]
    }
}

/// The same table as an earlier version of the program knew it: without indexes.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct EarlierUser(User);

impl Entity for EarlierUser {
    const NAME: &'static str = "users";

    fn id(&self) -> String {
        self.0.id.clone()
    }
}

fn user(number: i32) -> User {
    User {
        id: format!("id{number:03}"),
        email: Some(format!("{number}@example.org")),
        city: ["Paris", "Parma", "Oslo"][number.unsigned_abs() as usize % 3].to_owned(),
        age: number - 10,
        score: f64::from(number) / 4.0 - 3.0,
        active: number % 2 == 0,
        joined: SystemTime::UNIX_EPOCH + Duration::from_secs(86_400) * number.unsigned_abs(),
    }
}

fn ids(page: &Page<User>) -> Vec<&str> {
    page.records.iter().map(|record| record.key.as_str()).collect()
}

#[tokio::test]
async fn a_record_is_found_by_all_that_it_is() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let users = Model::<User>::open(&cluster.client(0).await?.store()).await?;
    let version = users.create(&user(1)).await?;
    assert_eq!(users.get("id001").await?.context("it was created")?.version, version);
    let again = users.create(&user(1)).await.expect_err("it exists");
    assert!(again.code == Code::Conflict && again.message.contains("id001"), "{again}");
    let twin = User { id: "id002".into(), ..user(1) };
    let taken = users.create(&twin).await.expect_err("the address is taken");
    assert!(taken.code == Code::Conflict, "{taken}");
    for word in ["email", "1@example.org", "id001"] {
        assert!(taken.message.contains(word), "{taken}");
    }
    assert_eq!(users.get("id002").await?, None);

    // An update moves it in its indexes, and gives its old values back to others.
    let moved = users
        .update("id001", |user| {
            user.email = None;
            user.age = 70;
            Ok(())
        })
        .await?;
    assert!(moved.version > version && moved.value.age == 70);
    users.put(&twin).await?;
    assert_eq!(users.by("email").equals("1@example.org").one().await?.context("twin")?.key, "id002");
    assert_eq!(ids(&users.by("age").equals(70).await?), ["id001"]);
    assert_eq!(users.by("age").equals(70).one().await?.context("moved")?.value, moved.value);
    let several = users.by("city").equals("Parma").one().await.expect_err("there are two");
    assert!(several.code == Code::Conflict && several.message.contains("multiple records"), "{several}");

    let stays = users.update("id001", |_| Err(Fault::new(Code::Failed, "no"))).await;
    assert_eq!(stays.expect_err("it refused").message, "no");
    let renamed = users
        .update("id001", |user| {
            user.id.push('x');
            Ok(())
        })
        .await
        .expect_err("an id stays");
    assert_eq!(renamed.code, Code::Usage);
    assert_eq!(users.update("nobody", |_| Ok(())).await.expect_err("nobody").code, Code::NotFound);
    assert_eq!(users.replace(&user(1), version).await.expect_err("it was changed").code, Code::Conflict);
    let value = User { email: Some("new@example.org".into()), ..user(1) };
    users.replace(&value, moved.version).await?;

    assert!(users.delete("id001").await? && !users.delete("id001").await?);
    assert_eq!(users.by("email").equals("new@example.org").one().await?, None);
    assert_eq!(users.reindex().await?, Reindexed { records: 1, added: 0, removed: 0 });

    // What is asked wrongly is refused, not answered with nothing.
    let unknown = users.by("name").equals("Jane").await.expect_err("there is no such index");
    assert!(unknown.help.iter().any(|line| line.contains("email, city, age")), "{unknown:?}");
    for wrong in [users.by("age").equals("70"), users.by("age").equals(70).equals(1), users.all().equals(1)] {
        assert_eq!(wrong.await.expect_err("it makes no sense").code, Code::Usage);
    }
    let nothing = users.by("score").equals(f64::NAN).await;
    assert_eq!(nothing.expect_err("it is no number").code, Code::Usage);
    Ok(())
}

#[tokio::test]
async fn an_index_is_in_order_in_ranges_and_in_pages_of_one_moment() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let users = Model::<User>::open(&cluster.client(0).await?.store().database("crm")).await?;
    for number in 0..30 {
        users.create(&user(number)).await?;
    }
    let all = (0..30).map(|number| user(number).id).collect::<Vec<_>>();
    for index in ["age", "score", "joined"] {
        assert_eq!(ids(&users.by(index).await?), all, "{index}");
    }
    assert_eq!(ids(&users.by("age").range(-2..1).await?), ["id008", "id009", "id010"]);
    assert_eq!(ids(&users.by("age").range(..=-9).descending().await?), ["id001", "id000"]);
    assert_eq!(ids(&users.by("score").range(4.0..).await?), ["id028", "id029"]);
    let day = |number: i32| user(number).joined;
    assert_eq!(ids(&users.by("joined").range(day(28)..).await?), ["id028", "id029"]);
    assert_eq!(users.by("active").equals(true).count().await?, 15);
    // Of a pair, the first part alone, in the order of the second; and the second behind it.
    let oslo = users.by("city").equals("Oslo").descending().limit(2).await?;
    assert_eq!(ids(&oslo), ["id029", "id026"]);
    assert_eq!(ids(&users.by("city").equals("Oslo").range(0..5).await?), ["id011", "id014"]);
    assert_eq!(ids(&users.by("city").equals(("Oslo", 1)).await?), ["id011"]);
    assert_eq!(users.by("city").starts_with("Par").count().await?, 20);
    assert_eq!(users.by("city").range("Oslo".to_owned().."Parma".into()).count().await?, 20);
    assert_eq!(users.all().count().await?, 30);

    // All pages show the moment of the first.
    let page = users.by("age").limit(10).await?;
    users.delete("id015").await?;
    users.put(&User { age: -100, ..user(25) }).await?;
    let next = users.by("age").limit(10).page(page.next.context("there are more")?).await?;
    assert_eq!(ids(&next), all[10..20]);
    let rest: Vec<_> =
        users.by("age").limit(10).page(next.next.context("more")?).stream().try_collect().await?;
    assert_eq!(
        rest.iter().map(|record| &record.key).collect::<Vec<_>>(),
        all[20..].iter().collect::<Vec<_>>()
    );
    assert_eq!(users.by("age").first().await?.context("there are some")?.key, "id025");

    assert_eq!(users.by("city").equals("Paris").delete().await?, 9);
    assert_eq!(users.by("city").equals("Paris").count().await?, 0);
    assert_eq!(users.reindex().await?, Reindexed { records: 20, added: 0, removed: 0 });
    assert_eq!(users.all().delete().await?, 20);
    Ok(())
}

/// Writers that give the same few addresses to each other, and change the same few users, until told to end.
fn quarrel(users: &Model<User>, ended: &Arc<AtomicBool>) -> JoinSet<anyhow::Result<u64>> {
    let mut writers = JoinSet::new();
    for writer in 0..6i32 {
        let (users, ended) = (users.clone(), Arc::clone(ended));
        writers.spawn(async move {
            let mut done = 0;
            for turn in 0.. {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let number = (writer * 7 + turn) % 10;
                let email = Some(format!("{}@example.org", (turn * 3 + writer) % 12));
                let result = match turn % 5 {
                    0 => users.delete(&user(number).id).await.map(drop),
                    1 => users.create(&User { email, ..user(number) }).await.map(drop),
                    _ => {
                        let change = |user: &mut User| {
                            user.age += 1;
                            user.email.clone_from(&email);
                            Ok(())
                        };
                        users.update(&user(number).id, change).await.map(drop)
                    }
                };
                match result {
                    Ok(()) => done += 1,
                    // Taken, gone, or the node is: whoever writes sees that, and writes on.
                    Err(fault) if fault.code == Code::Internal || fault.code == Code::Failed => {
                        return Err(fault.into());
                    }
                    Err(_) => {}
                }
            }
            Ok(done)
        });
    }
    writers
}

/// All records are found by their indexes, and by nothing else.
async fn agree(users: &Model<User>) -> anyhow::Result<()> {
    let Reindexed { added, removed, .. } = users.reindex().await?;
    ensure!((added, removed) == (0, 0), "{added} entries were missing, {removed} too many");
    for record in users.all().await?.records {
        if let Some(email) = &record.value.email {
            let found = users.by("email").equals(email).one().await?.context("it is found")?;
            ensure!(found == record, "{found:?} is not {record:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn records_and_entries_stay_together_whoever_writes_and_whatever_dies() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    let leader = cluster.leader(0).await?;
    let users = Model::<User>::open(&cluster.client((leader + 1) % 3).await?.store()).await?;
    let ended = Arc::new(AtomicBool::new(false));
    let mut writers = quarrel(&users, &ended);
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.members[leader].kill().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    ended.store(true, Ordering::Relaxed);
    let mut done = 0;
    while let Some(writer) = writers.join_next().await {
        done += writer??;
    }
    ensure!(done > 20, "only {done} changes");
    agree(&users).await
}

#[tokio::test]
async fn an_index_is_built_over_what_is_there_while_others_write() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let store = cluster.client(0).await?.store();
    let earlier = Model::<EarlierUser>::open(&store).await?;
    for number in 0..250 {
        let age = number;
        earlier.create(&EarlierUser(User { age, ..user(number) })).await?;
    }
    let users = Model::<User>::open(&store).await?;
    assert_eq!(users.unbuilt().await?.len(), 6);
    let early = users.by("age").equals(7).await.expect_err("it would leave records out");
    assert!(early.code == Code::Unavailable && early.message.contains("age"), "{early}");

    let ended = Arc::new(AtomicBool::new(false));
    let mut writers = quarrel(&users, &ended);
    let building = users.clone();
    let built = tokio::spawn(async move { building.reindex().await }).await;
    ended.store(true, Ordering::Relaxed);
    while let Some(writer) = writers.join_next().await {
        writer??;
    }
    // The quarrel leaves each address to one at a time, but so did not the earlier program: a conflict is told, and it
    // goes on once that is mended.
    match built? {
        Ok(built) => ensure!(built.added > 1000, "{built:?}"),
        Err(fault) => {
            ensure!(fault.code == Code::Conflict, "{fault}");
            for number in 0..12 {
                let change = |user: &mut User| {
                    user.email = Some(format!("{}@example.com", user.id));
                    Ok(())
                };
                match users.update(&user(number).id, change).await {
                    Err(fault) if fault.code != Code::NotFound => return Err(fault.into()),
                    _ => {}
                }
            }
            users.reindex().await?;
        }
    }
    assert_eq!(users.unbuilt().await?, [""; 0]);
    assert_eq!(users.by("age").range(100..).count().await?, 150);
    agree(&users).await
}

#[tokio::test]
async fn shared_values_are_named_and_what_was_written_past_the_model_is_mended() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let store = cluster.client(0).await?.store();
    let earlier = Model::<EarlierUser>::open(&store).await?;
    for id in ["a", "b"] {
        earlier.create(&EarlierUser(User { id: id.into(), ..user(1) })).await?;
    }
    let users = Model::<User>::open(&store).await?;
    let shared = users.reindex().await.expect_err("they share an address");
    assert!(shared.code == Code::Conflict, "{shared}");
    for word in ["\"a\"", "\"b\"", "email"] {
        assert!(shared.message.contains(word), "{shared}");
    }
    users.put(&User { id: "b".into(), email: None, ..user(1) }).await?;
    users.reindex().await?;
    assert_eq!(users.by("email").equals("1@example.org").one().await?.context("a has it")?.key, "a");

    // Past the model: its entries lead nowhere, are in nobody's way, and go when it is reindexed.
    users.records().delete("a").await?;
    assert_eq!(users.by("email").equals("1@example.org").one().await?, None);
    assert_eq!(ids(&users.by("city").equals("Parma").await?), ["b"]);
    users.create(&User { id: "c".into(), ..user(1) }).await?;
    assert_eq!(users.by("email").equals("1@example.org").one().await?.context("c has it")?.key, "c");
    users.records().put("d", &User { id: "d".into(), ..user(4) }).await?;
    // The address went to c; the five others that a had are left, and d's six are missing.
    assert_eq!(users.reindex().await?, Reindexed { records: 3, added: 6, removed: 5 });
    agree(&users).await?;

    let fault = users.drop_index("email").await.expect_err("the model has it");
    assert_eq!(fault.code, Code::Usage);
    earlier.drop_index("email").await?;
    assert!(users.unbuilt().await?.contains(&"email"));
    assert_eq!(users.by("email").await.expect_err("it was dropped").code, Code::Unavailable);
    Ok(())
}
