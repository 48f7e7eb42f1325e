//! One seed gives one run: the same bytes on the wire, in another process, at another time.

use std::process::Command;

/// What one process says of a seed, without the line that holds real time.
fn report(seed: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_micro-simulation"));
    let output = command.args(["--seed", seed, "--minutes", "0.5"]).output().expect("the program starts");
    let text = String::from_utf8(output.stdout).expect("the report is text");
    assert!(output.status.success(), "{text}");
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("time "));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn one_seed_in_two_processes_leaves_one_trace() {
    let [first, second] = [report("7"), report("7")];
    assert!(first.contains("hash "), "{first}");
    assert_eq!(first, second);
}

#[test]
fn two_seeds_leave_two_traces() {
    assert_ne!(report("7"), report("8"));
}
