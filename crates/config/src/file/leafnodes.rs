//! The `leafnodes` block.

use super::{ANY_HOST, top_level};
use crate::{
    ConfigError, LeafnodeOptions,
    language::{Kind, Value},
    reader::{Field, Report, each_field},
    unsupported::Block,
};

/// Reads the block; `None` if it has no port, which switches it off.
pub(crate) fn read(
    value: &Value,
    report: &mut Report,
) -> Result<Option<LeafnodeOptions>, ConfigError> {
    let Kind::Map(map) = &value.kind else {
        return Err(value.error(format!(
            "Expected map to define a leafnode, got {}",
            value.kind.go_type()
        )));
    };
    let (mut host, mut port) = (None, None);
    each_field(Block::Leafnodes, map, report, |name, value, _| {
        match name {
            "listen" => (host, port) = top_level::listen(value)?,
            "port" => port = top_level::port(value)?,
            "host" | "net" => host = value.filled()?,
            _ => return Ok(Field::Unknown),
        }
        Ok(Field::Read)
    });
    Ok(port.map(|port| LeafnodeOptions {
        host: host.unwrap_or_else(|| ANY_HOST.to_owned()),
        port,
    }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{ConfigErrors, Environment, LeafnodeOptions, Options, Port};

    fn read(config: &str) -> Result<Option<LeafnodeOptions>, ConfigErrors> {
        let environment = Environment {
            read_file: &|_| Ok(config.to_owned()),
            variable: &|_| None,
        };
        let mut options = Options::default();
        crate::file::read(Path::new("FILE"), &mut options, &environment)?;
        Ok(options.leafnodes)
    }

    fn check(config: &str, expected: Option<(&str, Port)>) {
        let expected = expected.map(|(host, port)| LeafnodeOptions {
            host: host.to_owned(),
            port,
        });
        assert_eq!(read(config).unwrap(), expected, "{config}");
    }

    fn check_refused(config: &str, expected: &str) {
        let errors = read(config).unwrap_err().to_string();
        assert!(errors.contains(expected), "{config}: {errors}");
    }

    #[test]
    fn a_block_that_only_listens_is_taken() {
        check("leafnodes {}", None);
        check("leafnodes { host: \"::1\" }", None);
        let local = Some(("127.0.0.1", Port::Random));
        check("leafnodes { listen: \"127.0.0.1:-1\" }", local);
        let any = Some(("0.0.0.0", Port::Fixed(7422)));
        check("leaf { port: 7422, remotes: [] }", any);
        let not_a_map = "Expected map to define a leafnode, got int64";
        check_refused("leafnodes: 5", not_a_map);
        check_refused("leafnodes { foo: 1 }", "unknown field \"foo\"");
    }

    #[test]
    fn what_leaf_nodes_would_do_is_refused_by_name() {
        check_refused(
            "leafnodes { port: 7422, remotes: [ { url: \"nats://hub:7422\" } ] }",
            "field \"remotes\" is not supported: leaf nodes come with a later version",
        );
        check_refused(
            "leafnodes { port: 7422, authorization { user: a } }",
            "field \"authorization\" is not supported",
        );
    }
}
