//! Where oCIS keeps data and configuration if nobody says otherwise.

use std::path::PathBuf;

use jetsled_config::Environment;

/// oCIS's folders.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Paths {
    /// Data of all services.
    pub(crate) base: PathBuf,
    /// `ocis.yaml` and `nats.yaml`.
    pub(crate) config: PathBuf,
}

impl Paths {
    /// An empty variable counts as not set.
    pub(crate) fn of(environment: &Environment<'_>) -> Self {
        let filled = |name| {
            (environment.variable)(name)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
        };
        let home = filled("HOME").map(|home| home.join(".ocis"));
        let base = filled("OCIS_BASE_DATA_PATH")
            .or_else(|| home.clone())
            .unwrap_or_else(|| "/var/lib/ocis".into());
        let config = filled("OCIS_CONFIG_DIR")
            .or_else(|| Some(home?.join("config")))
            .unwrap_or_else(|| "/etc/ocis".into());
        Self { base, config }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(variables: &[(&str, &str)], base: &str, config: &str) {
        let paths = Paths::of(&Environment {
            read_file: &|_| panic!("no file is needed"),
            variable: &|name| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            },
        });
        let expected = Paths {
            base: base.into(),
            config: config.into(),
        };
        assert_eq!(paths, expected);
    }

    #[test]
    fn folders_are_named_else_at_home_else_the_machines() {
        check(&[], "/var/lib/ocis", "/etc/ocis");
        check(&[("HOME", "/u")], "/u/.ocis", "/u/.ocis/config");
        check(
            &[("HOME", "/u"), ("OCIS_BASE_DATA_PATH", "/data")],
            "/data",
            "/u/.ocis/config",
        );
        check(
            &[("HOME", "/u"), ("OCIS_CONFIG_DIR", "/conf")],
            "/u/.ocis",
            "/conf",
        );
        check(
            &[
                ("OCIS_BASE_DATA_PATH", ""),
                ("OCIS_CONFIG_DIR", ""),
                ("HOME", ""),
            ],
            "/var/lib/ocis",
            "/etc/ocis",
        );
    }
}
