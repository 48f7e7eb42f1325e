//! The smallest service: it says hello, counts, and plays ping-pong.
//!
//! ```console
//! $ micro-node helloworld call --name=Jane
//! $ micro-node helloworld stream --count=3
//! $ printf '{"stroke":1}\n{"stroke":2}\n' | micro-node helloworld ping-pong -
//! ```

use micro_sdk::prelude::*;

/// Whom to greet.
#[message]
struct Hello {
    /// Their name.
    name: String,
}

/// What is said.
#[message]
struct Greeting {
    /// The greeting.
    msg: String,
}

/// How far to count.
#[message]
struct Count {
    /// How many numbers.
    count: u64,
}

/// A number that was counted.
#[message]
struct Counted {
    /// The number, from 0 on.
    count: u64,
}

/// A stroke of the caller's.
#[message]
struct Ping {
    /// Which one.
    stroke: u64,
}

/// The service's stroke.
#[message]
struct Pong {
    /// Which one it answers.
    stroke: u64,
}

struct Greeter;

#[service]
impl Greeter {
    /// Says hello.
    async fn call(&self, req: Hello) -> Result<Greeting> {
        Ok(Greeting { msg: format!("Hello {}", req.name) })
    }

    /// Counts, a number at a time.
    async fn stream(&self, req: Count) -> Result<impl Stream<Item = Result<Counted>>> {
        Ok(stream::iter(0..req.count).map(|count| Ok(Counted { count })))
    }

    /// Answers each stroke with its own.
    async fn ping_pong(&self, pings: Streaming<Ping>) -> Result<impl Stream<Item = Result<Pong>>> {
        Ok(pings.map(|ping| Ok(Pong { stroke: ping?.stroke })))
    }
}

#[micro_sdk::main]
async fn main() -> Result<()> {
    serve(Greeter).await
}
