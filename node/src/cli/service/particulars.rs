//! What is said of a program that is offered, whoever runs it.

use super::{
    super::{failure::Failure, unit},
    endpoint::Endpoint,
    health::Health,
};
use clap::Args;
use micro_sdk::{
    serve::HealthCheck,
    wire::{Mount, metadata},
};
use std::{collections::BTreeMap, time::Duration};

/// How many checks in a row have to fail where nobody says it: one may be lost when a program is busy.
const UNHEALTHY_AFTER: u32 = 3;

/// What is said of a program that is offered, beside its name.
#[derive(Debug, Args)]
pub(in crate::cli) struct Particulars {
    /// What it is: http://127.0.0.1:PORT takes HTTP as it is, grpc://127.0.0.1:PORT speaks gRPC; for `service` alone,
    /// file:///FOLDER is the files of a folder, and exec:///PROGRAM is run once for each call
    #[arg(long, value_name = "URL")]
    pub endpoint: Endpoint,

    /// Where else it is reached over HTTP, beside /NAME: below /PREFIX, or at HOST/ or HOST/PREFIX of a host that a
    /// node's --api-host names; may be given more than once
    #[arg(long, value_name = "PREFIX")]
    mount: Vec<Mount>,

    /// The service's own version
    #[arg(long = "version", value_name = "VERSION", default_value = "latest")]
    pub service_version: String,

    /// What to say of it; may be given more than once
    #[arg(long, value_name = "KEY=VALUE", value_parser = unit::pair)]
    metadata: Vec<(String, String)>,

    /// How to find out whether it works: tcp, http:/PATH, grpc, grpc:SERVICE or none; command:LINE for `service` alone,
    /// reported for `registry register` alone [default: tcp for http and file, grpc for grpc if it is there, for exec
    /// whether the program is there]
    #[arg(long, value_name = "CHECK")]
    health: Option<Health>,

    /// From one check to the next
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = unit::duration)]
    health_interval: Duration,

    /// How long a check may take
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = unit::duration)]
    health_timeout: Duration,

    /// How many checks in a row have to fail before it counts as failing [default: 3, and 1 where it is reported]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    unhealthy_after: Option<u32>,

    /// How many checks in a row have to pass before it counts as passing
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    healthy_after: u32,
}

/// What stays with a program that is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Company {
    /// This command, which can run checks.
    Command,
    /// Nobody: whoever registered it comes again now and then.
    Nobody,
}

impl Particulars {
    /// What is said of it.
    ///
    /// # Errors
    /// If something is said twice, or no node takes it.
    pub fn metadata(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut entries = BTreeMap::new();
        for (name, value) in &self.metadata {
            if entries.insert(name.clone(), value.clone()).is_some() {
                return Err(Failure::usage(format!("the metadata {name} is there twice")));
            }
        }
        metadata::check(&entries).map_err(Failure::usage)?;
        Ok(entries)
    }

    /// Where else it is reached.
    ///
    /// # Errors
    /// If it takes no paths, or a place is there twice.
    pub fn mounts(&self) -> Result<&[Mount], Failure> {
        if !self.mount.is_empty() && !self.endpoint.takes_paths() {
            return Err(Failure::usage(format!(
                "{} takes no paths, so it can't be mounted\n--mount is for http:// and file://",
                self.endpoint
            )));
        }
        let mut seen = self.mount.iter().enumerate();
        match seen.find(|(number, mount)| self.mount[..*number].contains(mount)) {
            Some((_, twice)) => Err(Failure::usage(format!("the mount {twice} is there twice"))),
            None => Ok(&self.mount),
        }
    }

    /// The check, or what fits what is offered if nothing was said; none if none was wanted.
    ///
    /// # Errors
    /// If nobody would make it.
    pub fn check(&self, company: Company) -> Result<Option<HealthCheck>, Failure> {
        match (&self.health, company) {
            (Some(Health::Command(_)), Company::Nobody) => {
                return Err(Failure::usage(
                    "nobody would run the command of this check: what is registered has nobody who stays\nuse `micro-node service`, or --health reported and `micro-node registry report`",
                ));
            }
            (Some(Health::Reported), Company::Command) => {
                return Err(Failure::usage(
                    "nobody would report: this command stays, and makes a check itself\nuse --health command:LINE, or `micro-node registry register`",
                ));
            }
            _ => {}
        }
        // Who reports means it; a check may be lost when a program is busy.
        let usual = if self.health == Some(Health::Reported) { 1 } else { UNHEALTHY_AFTER };
        let check = Health::check(self.health.as_ref(), &self.endpoint);
        Ok(check.map(|check| {
            let check = check.interval(self.health_interval).timeout(self.health_timeout);
            let check = check.unhealthy_after(self.unhealthy_after.unwrap_or(usual));
            check.healthy_after(self.healthy_after)
        }))
    }
}
