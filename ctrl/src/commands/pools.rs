use std::process::ExitCode;

use super::client;
use super::columns::{Columns, Side};
use crate::api_types::{Pool, Pools};
use crate::cli::{Output, PoolsArgs};

const PATH: &str = "/v1/pools";

/// Prints the pools of the cluster that a running gateway follows.
///
/// # Errors
/// When it does not answer, or follows none.
pub fn run(args: &PoolsArgs) -> anyhow::Result<ExitCode> {
    let socket = &args.client.socket;
    if args.client.json || args.output == Some(Output::Json) {
        println!("{}", client::get(socket, PATH)?.trim_end());
    } else {
        print!("{}", render(&client::get_as::<Pools>(socket, PATH)?));
    }
    Ok(ExitCode::SUCCESS)
}

fn render(pools: &Pools) -> String {
    let head = [
        ("POOL", Side::Left),
        ("DISABLED", Side::Left),
        ("CONFLICTING", Side::Left),
        ("TOTAL", Side::Right),
        ("AVAILABLE", Side::Right),
        ("USED", Side::Right),
        ("SERVICE", Side::Left),
    ];
    let mut table = Columns::new(&head);
    for pool in &pools.pools {
        table.row(pool_row(pool));
        for holder in &pool.holders {
            let mut row = vec![String::new(); head.len()];
            row[0] = format!("  {}", holder.address);
            row[6] = format!("{}/{}", holder.namespace, holder.service);
            table.row(row);
        }
    }
    format!("Addresses are {}\n\n{}", pools.allocator, table.render())
}

fn pool_row(pool: &Pool) -> Vec<String> {
    let yes = |truth: bool| if truth { "yes" } else { "no" }.to_owned();
    vec![
        pool.name.clone(),
        yes(pool.disabled),
        pool.conflict.clone().unwrap_or_else(|| yes(pool.conflicting)),
        pool.total.clone(),
        pool.available.clone(),
        pool.used.clone(),
        String::new(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_types::PoolHolder;

    #[test]
    fn services_stand_below_their_pool() {
        let holder = PoolHolder {
            address: [10, 10, 200, 1].into(),
            namespace: "default".into(),
            service: "svc1".into(),
        };
        let pool = Pool {
            name: "cilium-pool".into(),
            total: "8".into(),
            available: "5".into(),
            used: "3".into(),
            holders: vec![holder],
            ..Pool::default()
        };
        let twin = Pool {
            name: "twin".into(),
            conflicting: true,
            conflict: Some("overlaps".into()),
            ..Pool::default()
        };
        let pools = Pools { allocator: "given by this gateway".into(), pools: vec![pool, twin] };
        let want = "\
Addresses are given by this gateway

POOL           DISABLED  CONFLICTING  TOTAL  AVAILABLE  USED  SERVICE
cilium-pool    no        no               8          5     3
  10.10.200.1                                                 default/svc1
twin           no        overlaps
";
        assert_eq!(render(&pools), want);
    }
}
