//! `/`: links to everything else.

/// The page.
pub(super) fn page() -> String {
    let links: String = LINKS
        .iter()
        .map(|(path, title)| {
            format!("  <li><a href=\"./{path}\">{title}</a> <code>/{path}</code></li>\n")
        })
        .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><title>jetsled {version}</title></head>\n<body>\n\
         <h1>jetsled {version}</h1>\n<p>follows nats-server {follows}</p>\n<ul>\n{links}</ul>\n</body>\n</html>\n",
        version = env!("CARGO_PKG_VERSION"),
        follows = crate::VERSION,
    )
}

const LINKS: &[(&str, &str)] = &[
    ("varz", "General"),
    ("jsz", "JetStream"),
    ("connz", "Connections"),
    ("accountz", "Accounts"),
    ("accstatz", "Account statistics"),
    ("subsz", "Subscriptions"),
    ("routez", "Routes"),
    ("leafz", "Leaf nodes"),
    ("gatewayz", "Gateways"),
    ("raftz", "Raft groups"),
    ("healthz", "Health probe"),
    ("dashboard", "Dashboard"),
    ("metrics", "Metrics for Prometheus"),
];
