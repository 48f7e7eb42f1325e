//! micro-node from outside: the tree's own rules, then built programs as real processes.

#![allow(clippy::disallowed_methods, reason = "real processes live in real time, on the real disk")]

mod access;
mod admission;
mod audit;
mod auth;
mod backup;
mod blob;
mod canary;
mod certificates;
mod clients;
mod command_lines;
mod completion;
mod config;
mod config_corpus;
mod copies;
mod damage;
mod doors;
mod dynamic;
mod environments;
mod first_start;
mod floods;
mod golden;
mod grpc;
mod http;
mod layered_config;
mod limits;
mod lock;
mod membership;
mod model;
mod needs_root;
mod pauses;
mod promises;
mod quic;
mod readme;
mod refusals;
mod rejoin;
mod reload;
mod service_accounts;
mod services;
mod sigkill;
mod store;
mod store_copies;
mod tidy;
mod tokens;
mod tools;
