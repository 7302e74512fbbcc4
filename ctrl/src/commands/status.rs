use std::process::ExitCode;

use super::client;
use super::columns::{Columns, Side, bytes};
use crate::api_types::{Frames, Status};
use crate::cli::ClientArgs;

const PATH: &str = "/v1/status";

/// Prints how a running gateway is.
///
/// # Errors
/// When it does not answer.
pub fn run(args: &ClientArgs) -> anyhow::Result<ExitCode> {
    if args.json {
        println!("{}", client::get(&args.socket, PATH)?.trim_end());
    } else {
        print!("{}", render(&client::get_as(&args.socket, PATH)?));
    }
    Ok(ExitCode::SUCCESS)
}

fn render(status: &Status) -> String {
    let reload = &status.last_reload;
    let mut out = format!(
        "portreeve {} ({}), up {}, was ready after {} ms\nconfiguration {}: {}, tables {}\n",
        status.version,
        status.gateway,
        uptime(status.uptime_s),
        status.start_ms,
        status.config,
        if reload.ok {
            "in force"
        } else {
            "the last reading was refused, the one before is in force"
        },
        status.epoch,
    );
    for problem in &reload.problems {
        out += &format!("  {problem}\n");
    }
    for conflict in &status.conflicts {
        out += &format!(
            "ALARM: {} is also claimed by {} on {} ({} times, last {} s ago)\n",
            conflict.address, conflict.mac, conflict.port, conflict.claims, conflict.seconds_ago
        );
    }
    out += &format!("\n{}\n{}", ports(status), workers(status));
    if let Some(frames) = &status.frames {
        out += &frames_line(frames);
    }
    for (title, counts) in [("packets", &status.verdicts), ("drops", &status.drops)] {
        let mut table = Columns::new(&[(title, Side::Left), ("", Side::Right)]);
        for (name, count) in counts.iter().filter(|(_, count)| **count > 0) {
            table.row(vec![format!("  {name}"), count.to_string()]);
        }
        out += &format!("\n{}", table.render());
    }
    out
}

fn ports(status: &Status) -> String {
    let head = [
        ("PORT", Side::Left),
        ("MODE", Side::Left),
        ("QUEUES", Side::Right),
        ("RX", Side::Right),
        ("", Side::Right),
        ("TX", Side::Right),
        ("", Side::Right),
    ];
    let mut table = Columns::new(&head);
    for port in &status.ports {
        let copy = if port.zero_copy { "zero-copy" } else { "copy" };
        table.row(vec![
            port.name.clone(),
            format!("{}, {copy}", port.mode),
            port.queues.to_string(),
            port.rx_packets.to_string(),
            bytes(port.rx_bytes),
            port.tx_packets.to_string(),
            bytes(port.tx_bytes),
        ]);
    }
    table.render()
}

fn workers(status: &Status) -> String {
    let head = [
        ("WORKER", Side::Left),
        ("FLOWS", Side::Right),
        ("OF", Side::Right),
        ("HALF-OPEN", Side::Right),
        ("BUSY TURNS", Side::Right),
        ("SLEEPS", Side::Right),
    ];
    let mut table = Columns::new(&head);
    for worker in &status.workers {
        table.row(vec![
            worker.core.map_or_else(|| "not pinned".into(), |core| format!("core {core}")),
            worker.flows.to_string(),
            worker.flows_max.to_string(),
            worker.half_open.to_string(),
            worker.busy_turns.to_string(),
            worker.sleeps.to_string(),
        ]);
    }
    table.render()
}

/// Frames that the kernel holds for longer than it needs show as a free pool that shrinks.
fn frames_line(frames: &Frames) -> String {
    let mut line = format!(
        "\nframes: {} = {} free + {} to receive + {} to send + {} waiting\n",
        frames.total, frames.pool, frames.rx, frames.tx, frames.waiting
    );
    if frames.rx_ring_full + frames.fill_ring_empty > 0 {
        line += &format!(
            "lost in the kernel: {} (rx ring full), {} (fill ring empty)\n",
            frames.rx_ring_full, frames.fill_ring_empty
        );
    }
    line
}

fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_types::{Port, Reload, Worker};

    fn status() -> Status {
        Status {
            version: "0.1.0".into(),
            gateway: "gw1".into(),
            uptime_s: 3_725,
            start_ms: 42,
            epoch: 7,
            config: "gw.toml".into(),
            last_reload: Reload {
                at: 1,
                ok: false,
                problems: vec!["gw.toml:3:1: error: bad".into()],
            },
            ports: vec![Port {
                name: "ens5".into(),
                mode: "native".into(),
                queues: 4,
                zero_copy: false,
                rx_packets: 10,
                rx_bytes: 2_048,
                tx_packets: 9,
                tx_bytes: 100,
            }],
            workers: vec![Worker {
                core: Some(1),
                flows: 5,
                flows_max: 1_024,
                ..Worker::default()
            }],
            frames: Some(Frames {
                total: 16,
                pool: 8,
                rx: 5,
                tx: 2,
                waiting: 1,
                rx_ring_full: 0,
                fill_ring_empty: 3,
            }),
            conflicts: Vec::new(),
            drops: [("no_flow".to_owned(), 3), ("not_ours".to_owned(), 0)].into(),
            verdicts: [("forwarded".to_owned(), 19)].into(),
        }
    }

    #[test]
    fn people_see_what_is_wrong_first_and_no_zero_drops() {
        let want = "\
portreeve 0.1.0 (gw1), up 1 h 2 min, was ready after 42 ms
configuration gw.toml: the last reading was refused, the one before is in force, tables 7
  gw.toml:3:1: error: bad

PORT  MODE          QUEUES  RX           TX
ens5  native, copy       4  10  2.0 KiB   9  100 B

WORKER  FLOWS    OF  HALF-OPEN  BUSY TURNS  SLEEPS
core 1      5  1024          0           0       0

frames: 16 = 8 free + 5 to receive + 2 to send + 1 waiting
lost in the kernel: 0 (rx ring full), 3 (fill ring empty)

packets
  forwarded  19

drops
  no_flow  3
";
        assert_eq!(render(&status()), want);
    }

    #[test]
    fn the_answer_survives_json() {
        let text = serde_json::to_string(&status()).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status());
    }
}
