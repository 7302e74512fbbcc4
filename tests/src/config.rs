/// The ports of these names.
#[must_use]
pub fn ports(names: &[&str]) -> String {
    names.iter().map(|name| format!("[[port]]\nname = \"{name}\"\n")).collect()
}

/// A service of one VIP, named after it. `ports` is the inside of the list, as TOML.
#[must_use]
pub fn service(vip: &str, backends: &[&str], ports: &str) -> String {
    let name = vip.replace(':', ".");
    let backends: Vec<_> = backends.iter().map(|backend| format!("\"{backend}\"")).collect();
    let backends = backends.join(", ");
    format!(
        "[[service]]\nname = \"s-{name}\"\nvip = \"{vip}\"\n\
         ports = [{ports}]\nbackends = [{backends}]\n"
    )
}
