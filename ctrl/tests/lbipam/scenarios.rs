use portreeve::kubernetes::api::metadata::Key;
use portreeve::kubernetes::ipam::Settings;
use serde::Deserialize;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::differences::DIFFERENCES;

const RECORDED: &str = include_str!("../data/lbipam.jsonl");
const DOCUMENT: &str = include_str!("../../../docs/lb-ipam.md");

/// Between two steps, as long as the recorder waited for quiet.
const STEP_MS: u64 = 600;

#[derive(Deserialize)]
struct Scenario {
    name: String,
    flags: Flags,
    steps: Vec<Step>,
    outcomes: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Flags {
    ipv4: bool,
    ipv6: bool,
    l2_announcements: bool,
    bgp_control_plane: bool,
    default_lb_service_ipam: String,
}

#[derive(Deserialize)]
struct Step {
    #[serde(rename = "do")]
    actions: Vec<Action>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Apply(Value),
    Delete(Value),
    Status(Value),
    Operator(String),
    WaitMs(u64),
}

#[derive(Deserialize)]
struct Outcome {
    seen: Vec<Value>,
}

fn scenarios() -> Vec<Scenario> {
    RECORDED.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

impl Scenario {
    /// What is seen after each step with us in Cilium's place.
    fn play(&self) -> Vec<Value> {
        let Flags { ipv4, ipv6, l2_announcements, bgp_control_plane, .. } = self.flags;
        let default_ipam = self.flags.default_lb_service_ipam.parse().unwrap();
        let mut cluster = Cluster::new(Settings {
            ipv4,
            ipv6,
            l2_announcements,
            bgp_control_plane,
            default_ipam,
        });
        let step = |step: &Step| {
            step.actions.iter().for_each(|action| act(&mut cluster, action));
            cluster.wait(STEP_MS);
            cluster.seen()
        };
        self.steps.iter().map(step).collect()
    }

    /// The steps at which this differs from the outcome that it is nearest to.
    fn differing(&self, ours: &[Value]) -> (Vec<usize>, String) {
        let against = |outcome: &Outcome| {
            let steps = ours.iter().zip(&outcome.seen).enumerate();
            let differ = steps.filter(|(_, (ours, theirs))| ours != theirs);
            let text = |ours: &Value, theirs: &Value| format!("ours   {ours}\ntheirs {theirs}\n");
            let texts = differ
                .map(|(at, (ours, theirs))| (at, format!("step {at}\n{}", text(ours, theirs))));
            texts.unzip()
        };
        self.outcomes
            .iter()
            .map(against)
            .min_by_key(|(steps, _): &(Vec<usize>, _)| steps.len())
            .unwrap()
    }
}

fn act(cluster: &mut Cluster, action: &Action) {
    match action {
        Action::Apply(object) if object["kind"] == "Service" => {
            cluster.apply_service(read(object));
        }
        Action::Apply(object) => cluster.apply_pool(read(object)),
        Action::Delete(object) if object["kind"] == "Service" => {
            cluster.delete_service(&key(object))
        }
        Action::Delete(object) => cluster.delete_pool(&key(object).name),
        Action::Status(object) => cluster.write_status(&key(object), read(&object["status"])),
        Action::Operator(order) => {
            if order != "start" {
                cluster.stop();
            }
            if order != "stop" {
                cluster.start();
            }
        }
        Action::WaitMs(milliseconds) => cluster.wait(*milliseconds),
    }
}

fn read<T: for<'de> Deserialize<'de>>(object: &Value) -> T {
    serde_json::from_value(object.clone()).unwrap()
}

fn key(object: &Value) -> Key {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    Key { namespace: text("namespace"), name: text("name") }
}

#[test]
fn every_recorded_step_is_cilium_s_or_a_difference_on_purpose() {
    let mut wrong = String::new();
    for scenario in scenarios() {
        let (steps, text) = scenario.differing(&scenario.play());
        let known = DIFFERENCES.iter().find(|known| known.scenario == scenario.name);
        if steps != known.map_or(&[][..], |known| known.steps) {
            wrong += &format!("\n{}: steps {steps:?} differ\n{text}", scenario.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn differences_are_of_recorded_scenarios_and_explained() {
    let scenarios = scenarios();
    assert_eq!(scenarios.len(), 60);
    for difference in DIFFERENCES {
        let name = difference.scenario;
        assert!(scenarios.iter().any(|scenario| scenario.name == name), "{name}");
        assert!(DOCUMENT.contains(&format!("`{name}`")), "{name} is not in the document");
        assert!(DOCUMENT.contains(difference.explained_as), "{}", difference.explained_as);
    }
}

#[test]
fn the_same_steps_end_the_same_every_time() {
    for scenario in scenarios() {
        assert_eq!(scenario.play(), scenario.play(), "{}", scenario.name);
    }
}
