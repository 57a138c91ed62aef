//! The `cluster` block of a server that runs alone: the name, and a listener for routes that are refused, as in the file that comes with
//! nats-server's container image.

use super::{ANY_HOST, top_level};
use crate::{
    ConfigError, RouteOptions,
    language::{Kind, Value},
    options::CLUSTER_NAME_WITH_BLANKS,
    reader::{Field, Report, each_field},
    unsupported::Block,
};

/// Reads the name, and where to listen; no listener without a port.
pub(crate) fn read(
    value: &Value,
    report: &mut Report,
) -> Result<(Option<String>, Option<RouteOptions>), ConfigError> {
    let Kind::Map(map) = &value.kind else {
        return Err(value.error(format!(
            "Expected map to define cluster, got {}",
            value.kind.go_type()
        )));
    };
    let mut cluster_name = None;
    let (mut host, mut port) = (None, None);
    each_field(Block::Cluster, map, report, |name, value, _| {
        match name {
            "name" => cluster_name = value.filled()?,
            "listen" => (host, port) = top_level::listen(value)?,
            "port" => port = top_level::port(value)?,
            "host" | "net" => host = value.filled()?,
            // Nobody gets in, whatever they present, and there is no address but this server's.
            "authorization" => _ = value.map()?,
            "no_advertise" => _ = value.boolean()?,
            _ => return Ok(Field::Unknown),
        }
        match &cluster_name {
            Some(name) if name.contains(' ') => Err(value.error(CLUSTER_NAME_WITH_BLANKS)),
            _ => Ok(Field::Read),
        }
    });
    let routes = port.map(|port| RouteOptions {
        host: host.unwrap_or_else(|| ANY_HOST.to_owned()),
        port,
    });
    Ok((cluster_name, routes))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{Environment, Options, Port, RouteOptions};

    /// The name, and host and port of the listener.
    type Block<'a> = (Option<&'a str>, Option<(&'a str, Port)>);

    fn check(config: &str, expected: Result<Block<'_>, &str>) {
        let environment = Environment {
            read_file: &|_| Ok(config.to_owned()),
            variable: &|_| None,
        };
        let mut options = Options::default();
        let read = crate::file::read(Path::new("FILE"), &mut options, &environment);
        match (read, expected) {
            (Ok(_), Ok((name, listener))) => {
                assert_eq!(options.cluster_name.as_deref(), name, "{config}");
                let listener = listener.map(|(host, port)| RouteOptions {
                    host: host.to_owned(),
                    port,
                });
                assert_eq!(options.routes, listener, "{config}");
            }
            (Err(errors), Err(text)) => {
                assert!(errors.to_string().contains(text), "{config}: {errors}");
            }
            (read, _) => panic!("{config}: {:?}", read.map(drop)),
        }
    }

    #[test]
    fn a_block_may_name_the_cluster_and_listen() {
        check("cluster {}", Ok((None, None)));
        let listens = |host, port| Ok((Some("X"), Some((host, port))));
        check(
            "cluster { name: X, port: 6222, routes: [], authorization { user: r, password: p, timeout: 2 } }",
            listens("0.0.0.0", Port::Fixed(6222)),
        );
        check(
            "cluster { name: X, listen: \"127.0.0.1:-1\", no_advertise: true }",
            listens("127.0.0.1", Port::Random),
        );
        check("cluster { name: X, host: h }", Ok((Some("X"), None)));
        check(
            "cluster { name: \"a b\" }",
            Err("cluster name cannot contain spaces"),
        );
        check(
            "cluster: x",
            Err("Expected map to define cluster, got string"),
        );
        check("cluster { foo: 1 }", Err("unknown field \"foo\""));
        for (listens, field) in [
            ("routes: [\"nats://other:6222\"]", "routes"),
            ("permissions { import: a }", "permissions"),
            ("port: 6222, tls { verify: true }", "tls"),
        ] {
            check(
                &format!("cluster {{ name: X, {listens} }}"),
                Err(&format!(
                    "field {field:?} is not supported: this server runs alone"
                )),
            );
        }
    }
}
