//! A service with a configuration: defaults, a file, the environment, the mesh, flags.
//!
//! ```console
//! $ SHOP_LIMITS_ITEMS=30 shop --set open=true
//! $ micro-node config set shop.limits.items 40
//! $ micro-node call shop limits
//! $ micro-node config get shop --origin
//! ```

use micro_sdk::{config::Config, prelude::*, serve::Server};
use tokio::sync::watch;

/// All that can be set.
#[message]
struct Settings {
    /// How much a customer may take.
    limits: Limits,
    /// Whether anybody may buy anything.
    open: bool,
}

/// How much a customer may take.
#[message]
struct Limits {
    /// The most items of an order.
    items: u32,
}

/// A question without more to it.
#[message]
struct Ask {}

struct Shop {
    /// Kept up to date: what is set counts from then on.
    settings: watch::Receiver<Settings>,
}

#[service]
impl Shop {
    /// Tells what a customer may take.
    async fn limits(&self, _: Ask) -> Result<Limits> {
        let settings = self.settings.borrow();
        if !settings.open {
            return Err(Fault::new(Code::Unavailable, "the shop is closed").help("set shop.open to true"));
        }
        Ok(settings.limits.clone())
    }
}

#[micro_sdk::main]
async fn main() -> Result<()> {
    let config = Config::for_service("shop")
        .defaults(serde_json::json!({ "limits": { "items": 20 }, "open": false }))
        .file("shop.toml")
        .env("SHOP_")
        .mesh_here()
        .args(std::env::args().skip(1))
        .schema::<Settings>()
        .start()
        .await?;
    let shop = Shop { settings: config.watch("")? };
    Server::new(shop).config(&config).run().await
}
