//! Addresses of pools, given to services of a real cluster by the built gateway: Cilium's recorded scenarios,
//! and the lab document.

/// Where we do on purpose what Cilium does not.
#[path = "../../ctrl/tests/lbipam/differences.rs"]
mod differences;
/// The lab document, as far as addresses go.
#[path = "k8s_ipam/document.rs"]
mod document;
/// What was recorded.
#[path = "k8s_ipam/recorded.rs"]
mod recorded;
/// What the cluster shows.
#[path = "k8s_ipam/shown.rs"]
mod shown;
/// A cluster and a gateway on which scenarios are played.
#[path = "k8s_ipam/stage.rs"]
mod stage;
/// What is wrong, said on the objects; and who gives addresses at all.
#[path = "k8s_ipam/words.rs"]
mod words;

use anyhow::{Result, ensure};
use portreeve_tests::clustered::ClusteredLab;
use portreeve_tests::lab::Lab;
use portreeve_tests::skip::has_control_plane;

use differences::DIFFERENCES;
use recorded::{Scenario, scenarios};
use stage::Stage;

/// Every so many-th scenario is played, unless `PORTREEVE_FULL=1`.
const PART: usize = 3;

/// All of them, or a part that is spread evenly, or those whose name contains `PORTREEVE_SCENARIO`.
fn chosen() -> Result<Vec<Scenario>> {
    let all = scenarios()?.into_iter();
    if let Ok(name) = std::env::var("PORTREEVE_SCENARIO") {
        return Ok(all.filter(|one| one.name.contains(&name)).collect());
    }
    let full = std::env::var_os("PORTREEVE_FULL").is_some_and(|value| value == "1");
    Ok(all.enumerate().filter(|(at, _)| full || at % PART == 0).map(|(_, one)| one).collect())
}

#[test]
fn recorded_scenarios_end_as_with_cilium_in_a_real_cluster() -> Result<()> {
    if !has_control_plane("recorded_scenarios_end_as_with_cilium_in_a_real_cluster") {
        return Ok(());
    }
    let lab = Lab::new("k8s_ipam")?;
    let world = ClusteredLab::build(&lab)?;
    let cluster = world.start_cluster()?;
    cluster.apply_cilium_crds()?;
    let mut stage = Stage::new(&world, &cluster)?;
    let (mut wrong, mut played) = (String::new(), 0);
    for scenario in chosen()? {
        let seen = match stage.play(&scenario) {
            Ok(seen) => seen,
            Err(error) => {
                wrong += &format!("\n{}: {error:#}", scenario.name);
                continue;
            }
        };
        let (steps, text) = scenario.differing(&seen);
        let known = DIFFERENCES.iter().find(|known| known.scenario == scenario.name);
        if steps != known.map_or(&[][..], |known| known.steps) {
            let why = known.map_or("", |known| known.explained_as);
            wrong += &format!("\n{}: steps {steps:?} differ {why}\n{text}", scenario.name);
        }
        played += 1;
    }
    println!("{played} scenarios played");
    ensure!(played > 0 && wrong.is_empty(), "{wrong}\n{}", stage.log());
    Ok(())
}
