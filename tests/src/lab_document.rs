//! The objects that the lab document gives to kubectl, cut out of it as they stand.

/// The document that this project starts from.
const DOCUMENT: &str = include_str!("../data/lab-document.txt");
/// How each here-document of it begins; the verb of kubectl follows.
const BEGIN: &str = "cat <<EOF | kubectl ";
const END: &str = "EOF";

/// What one command of the document gives to kubectl.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// `apply` or `create`.
    pub verb: String,
    /// What the shell makes of the here-document.
    pub yaml: String,
}

/// All of them, in the document's order.
#[must_use]
pub fn pieces() -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut lines = DOCUMENT.lines();
    while let Some(line) = lines.next() {
        let Some(command) = line.strip_prefix(BEGIN) else { continue };
        let verb = command.split(' ').next().unwrap_or_default().to_owned();
        let body = lines.by_ref().take_while(|line| *line != END);
        let yaml = body.map(|line| unescaped(line) + "\n").collect();
        pieces.push(Piece { verb, yaml });
    }
    pieces
}

/// In a here-document whose end is not quoted, `\$` is a dollar sign.
fn unescaped(line: &str) -> String {
    line.replace("\\$", "$")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_eight_in_this_order() {
        let pieces = pieces();
        let kinds = |piece: &Piece| {
            let kinds = piece.yaml.lines().filter_map(|line| line.strip_prefix("kind: "));
            format!("{} {}", piece.verb, kinds.collect::<Vec<_>>().join(" "))
        };
        let want = [
            "apply CiliumL2AnnouncementPolicy",
            "apply CiliumLoadBalancerIPPool",
            "apply Pod Pod Service Service Service",
            "create Deployment",
            "apply CiliumEgressGatewayPolicy",
            "create Pod",
            "apply CiliumEgressGatewayPolicy",
            "create Pod Pod",
        ];
        assert_eq!(pieces.iter().map(kinds).collect::<Vec<_>>(), want);
        assert!(pieces[3].yaml.contains("for i in $EGRESS_IPS; do ip address add $i dev ens5"));
        assert!(pieces.iter().all(|piece| !piece.yaml.contains("\\$")));
    }
}
