//! The program itself: exit codes for scripts, messages on stderr, answers on stdout.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

const DEMO: &str = include_str!("fixtures/three-services.toml");

fn portreeve(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portreeve")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn written(dir: &Path, name: &str, content: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_good_file_is_0_with_the_memory_it_takes_on_stdout() {
    let dir = tempfile::tempdir().unwrap();
    let output = portreeve(&["check", "--offline", &written(dir.path(), "gw.toml", DEMO)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("services: 3 with 3 (VIP, port) pairs and 6 backends"), "{said}");
    let flows = said.lines().find(|line| line.contains("flow entries")).unwrap();
    assert!(flows.ends_with("48.0 MiB"), "1 Mi entries of 48 B: {flows}");
}

#[test]
fn a_bad_file_is_1_with_all_mistakes_on_stderr() {
    let dir = tempfile::tempdir().unwrap();
    let bad = DEMO.replace("backends", "backend");
    let path = written(dir.path(), "gw.toml", &bad);
    let output = portreeve(&["check", &path]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert_eq!(said.matches("did you mean `backends`?").count(), 3, "{said}");
    assert!(said.contains(&format!("{path}:18:1")) && said.ends_with("3 errors\n"), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_wrong_command_line_is_2() {
    assert_eq!(portreeve(&["check"]).status.code(), Some(2));
    assert_eq!(portreeve(&["chekc"]).status.code(), Some(2));
}

#[test]
fn diff_prints_what_moves() {
    let dir = tempfile::tempdir().unwrap();
    let old = written(dir.path(), "old.toml", DEMO);
    let new = written(dir.path(), "new.toml", &DEMO.replace(", \"172.16.2.115\"", ""));
    let output = portreeve(&["diff", &old, &new]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout).matches("- backend 172.16.2.115").count(), 3);
}

#[test]
fn a_gateway_that_does_not_run_is_1_and_says_where_it_was_looked_for() {
    let output = portreeve(&["status", "--socket", "/nonexistent/api.sock"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("/nonexistent/api.sock: does the gateway run"));
}

/// Answers one request with `body`, and returns what was asked.
fn gateway(socket: &Path, status: &'static str, body: &'static str) -> thread::JoinHandle<String> {
    let listener = UnixListener::bind(socket).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.extend(byte);
        }
        let length = body.len();
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        text(&request)
    })
}

#[test]
fn json_is_passed_through_and_the_filter_reaches_the_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("api.sock");
    let server = gateway(&socket, "200 OK", "[ ]");
    let args = ["flows", "--json", "--limit", "7", "--service", "a/b", "--socket"];
    let output = portreeve(&[&args[..], &[socket.to_str().unwrap()]].concat());
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "[ ]\n".into()));
    let request = server.join().unwrap();
    assert!(request.starts_with("GET /v1/flows?limit=7&service=a%2Fb HTTP/1.1\r\n"), "{request}");
}

#[test]
fn a_gateway_that_refuses_is_1_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("api.sock");
    let server = gateway(&socket, "503 Service Unavailable", "the worker does not answer");
    let output = portreeve(&["services", "--socket", socket.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("503 Service Unavailable: the worker does not answer"), "{said}");
    server.join().unwrap();
}

#[test]
fn what_cannot_be_printed_is_1_without_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let good = written(dir.path(), "gw.toml", DEMO);
    let full = fs::File::create("/dev/full").unwrap();
    let mut check = Command::new(env!("CARGO_BIN_EXE_portreeve"));
    let output = check.args(["check", "--offline", &good]).stdout(full).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), String::new()));

    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    let mut check = Command::new(env!("CARGO_BIN_EXE_portreeve"));
    let output = check.args(["check", "/nowhere/gw.toml"]).stderr(closed).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
