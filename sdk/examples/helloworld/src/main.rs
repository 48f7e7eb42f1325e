//! The smallest service: it says hello.

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

struct Greeter;

#[service]
impl Greeter {
    /// Says hello.
    async fn call(&self, req: Hello) -> Result<Greeting> {
        Ok(Greeting { msg: format!("Hello {}", req.name) })
    }
}

#[micro_sdk::main]
async fn main() -> Result<()> {
    serve(Greeter).await
}
