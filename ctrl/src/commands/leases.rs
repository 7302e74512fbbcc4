use std::process::ExitCode;

use super::client;
use super::columns::{Columns, Side};
use crate::api_types::{ClusterLease, Status};
use crate::cli::ClientArgs;

const PATH: &str = "/v1/status";

/// Prints the leases by which a running gateway announces, or would.
///
/// # Errors
/// When it does not answer.
pub fn run(args: &ClientArgs) -> anyhow::Result<ExitCode> {
    let status: Status = client::get_as(&args.socket, PATH)?;
    let leases = status.cluster.map(|cluster| cluster.leases).unwrap_or_default();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&leases)?);
    } else {
        print!("{}", render(&leases));
    }
    Ok(ExitCode::SUCCESS)
}

fn render(leases: &[ClusterLease]) -> String {
    let head = [
        ("LEASE", Side::Left),
        ("HOLDER", Side::Left),
        ("OURS", Side::Left),
        ("FOR", Side::Right),
        ("ADDRESSES", Side::Left),
    ];
    let mut table = Columns::new(&head);
    for lease in leases {
        let addresses: Vec<_> = lease.addresses.iter().map(ToString::to_string).collect();
        table.row(vec![
            lease.lease.clone(),
            lease.holder.clone().unwrap_or_else(|| "-".to_owned()),
            if lease.leads { "yes" } else { "no" }.to_owned(),
            lease.milliseconds_left.map(|ms| format!("{ms}ms")).unwrap_or_default(),
            addresses.join(","),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_who_holds_which_lease_and_for_how_long_it_is_ours() {
        let lease = |name: &str, holder: Option<&str>, left| ClusterLease {
            lease: name.to_owned(),
            holder: holder.map(str::to_owned),
            leads: left,
            milliseconds_left: left.then_some(2_750),
            addresses: vec!["10.10.200.1".parse().unwrap()],
            refused: None,
            unwilling: None,
        };
        let leases = [
            lease("cilium-l2announce-default-svc1", Some("gw1"), true),
            lease("cilium-l2announce-default-svc2", None, false),
        ];
        let want = "\
LEASE                           HOLDER  OURS     FOR  ADDRESSES
cilium-l2announce-default-svc1  gw1     yes   2750ms  10.10.200.1
cilium-l2announce-default-svc2  -       no            10.10.200.1
";
        assert_eq!(render(&leases), want);
    }
}
