//! The `cluster` block, of which a server that runs alone has the name.

use crate::{
    ConfigError,
    language::{Kind, Value},
    options::CLUSTER_NAME_WITH_BLANKS,
    reader::{Field, Report, each_field},
    unsupported::Block,
};

/// Reads the name.
pub(crate) fn read(value: &Value, report: &mut Report) -> Result<Option<String>, ConfigError> {
    let Kind::Map(map) = &value.kind else {
        return Err(value.error(format!(
            "Expected map to define cluster, got {}",
            value.kind.go_type()
        )));
    };
    let mut cluster_name = None;
    each_field(Block::Cluster, map, report, |name, value, _| {
        match name {
            "name" => cluster_name = value.filled()?,
            _ => return Ok(Field::Unknown),
        }
        match &cluster_name {
            Some(name) if name.contains(' ') => Err(value.error(CLUSTER_NAME_WITH_BLANKS)),
            _ => Ok(Field::Read),
        }
    });
    Ok(cluster_name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{Environment, Options};

    fn check(config: &str, expected: Result<Option<&str>, &str>) {
        let environment = Environment {
            read_file: &|_| Ok(config.to_owned()),
            variable: &|_| None,
        };
        let mut options = Options::default();
        let read = crate::file::read(Path::new("FILE"), &mut options, &environment);
        match (read, expected) {
            (Ok(_), Ok(name)) => assert_eq!(options.cluster_name.as_deref(), name, "{config}"),
            (Err(errors), Err(text)) => {
                assert!(errors.to_string().contains(text), "{config}: {errors}");
            }
            (read, _) => panic!("{config}: {:?}", read.map(drop)),
        }
    }

    #[test]
    fn a_block_may_name_the_cluster_and_nothing_else() {
        check("cluster {}", Ok(None));
        check("cluster { name: X, port: 0, routes: [] }", Ok(Some("X")));
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
            ("port: 6222", "port"),
            ("listen: \"0.0.0.0:6222\"", "listen"),
            ("routes: [\"nats://other:6222\"]", "routes"),
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
