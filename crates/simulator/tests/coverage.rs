//! A campaign that misses a state that matters has shown nothing about it, and says so.

use std::process::Command;

#[test]
fn what_was_never_reached_is_unknown_and_not_passed() {
    let simulator = env!("CARGO_BIN_EXE_quorate-simulator");
    let run = |more: &[&str]| {
        let output = Command::new(simulator).args(["--seeds", "2"]).args(more).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, said) = run(&[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("UNKNOWN: never reached: ["), "{said}");
    assert_eq!(run(&["--any-coverage"]).0, Some(0));
}
