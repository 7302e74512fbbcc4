//! Load balancers before the gateway ask whether it has endpoints of a service.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use portreeve_tests::clustered::{ClusteredLab, PODS};
use portreeve_tests::lab::Lab;
use portreeve_tests::skip::has_control_plane;
use serde_json::Value;

/// The gateway, as the client sees it.
const GATEWAY: &str = "10.10.200.5";
const PORTS: [u16; 2] = [31_234, 31_235];
const SETTLE: Duration = Duration::from_secs(30);

fn local(name: &str, port: u16) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  \
         type: LoadBalancer\n  externalTrafficPolicy: Local\n  healthCheckNodePort: {port}\n  \
         selector: {{app: web}}\n  ports: [{{port: 80}}]\n"
    )
}

/// What is answered at a port: the body and the status, which is 000 where nobody listens.
fn ask(world: &ClusteredLab, port: u16) -> Result<(Value, String)> {
    let url = format!("http://{GATEWAY}:{port}/healthz");
    let args = ["--silent", "--max-time", "5", "--write-out", "\n%{http_code}", &url];
    let said = world.net.client.run("curl", &args)?.stdout;
    let (body, status) = said.rsplit_once('\n').unwrap_or_default();
    Ok((serde_json::from_str(body).unwrap_or_default(), status.to_owned()))
}

fn await_status(world: &ClusteredLab, port: u16, wanted: &str) -> Result<Value> {
    let begun = Instant::now();
    loop {
        let (body, status) = ask(world, port)?;
        if status == wanted {
            return Ok(body);
        }
        ensure!(begun.elapsed() < SETTLE, "{port} says {status}, not {wanted}: {body}");
        // Nothing tells the outside when it says something else.
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_health_check_node_port_says_whether_there_are_endpoints() -> Result<()> {
    if !has_control_plane("a_health_check_node_port_says_whether_there_are_endpoints") {
        return Ok(());
    }
    let lab = Lab::new("k8s_health_port")?;
    let world = ClusteredLab::build(&lab)?;
    let cluster = world.start_cluster()?;
    let gateway = world.start_gateway(&cluster, "")?;
    world.add_pods(&cluster)?;
    let taken = world.net.gateway.enter(|| TcpListener::bind(("0.0.0.0", PORTS[1])))??;
    cluster.apply(&(local("svc1", PORTS[0]) + &local("svc2", PORTS[1])))?;
    cluster.give_addresses("svc1", &["10.99.0.1"])?;
    cluster.give_addresses("svc2", &["10.99.0.2"])?;
    let outcome = (|| {
        let body = await_status(&world, PORTS[0], "200")?;
        let service = &body["service"];
        ensure!(service["namespace"] == "default" && service["name"] == "svc1", "{body}");
        ensure!(body["localEndpoints"] == 2 && body["serviceProxyHealthy"] == true, "{body}");

        PODS.iter().try_for_each(|pod| cluster.report(pod, false))?;
        let body = await_status(&world, PORTS[0], "503")?;
        ensure!(body["localEndpoints"] == 0, "{body}");

        let in_use = |status: &Value| {
            let all = status["cluster"]["complaints"].as_array().cloned().unwrap_or_default();
            all.iter().any(|c| c["reason"] == "HealthPortInUse" && c["name"] == "svc2")
        };
        world.await_answer(&gateway, &["status"], in_use)?;
        drop(taken);
        world.await_answer(&gateway, &["status"], |status| !in_use(status))?;
        await_status(&world, PORTS[1], "503")?;

        cluster.kubectl(&["delete", "service", "svc1"])?.ok()?;
        await_status(&world, PORTS[0], "000").map(drop)
    })();
    gateway.explain(&world.net.gateway, outcome)
}
