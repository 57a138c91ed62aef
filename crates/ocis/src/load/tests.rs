use std::collections::BTreeMap;

use super::*;

/// What the settings are read from in a test.
#[derive(Clone, Default)]
struct World {
    variables: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, String>,
}

impl World {
    fn new() -> Self {
        Self::default().variable("HOME", "/home/u")
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn file(mut self, name: &str, text: &str) -> Self {
        let path = Path::new("/home/u/.ocis/config").join(name);
        self.files.insert(path, text.to_owned());
        self
    }

    fn load(&self) -> Result<(Settings, Vec<Warning>), LoadError> {
        load(&Environment {
            read_file: &|path| {
                let file = self.files.get(path).cloned();
                file.ok_or_else(|| io::ErrorKind::NotFound.into())
            },
            variable: &|name| self.variables.get(name).cloned(),
        })
    }

    /// What one setting is.
    #[track_caller]
    fn get(&self, key: &str) -> String {
        let (settings, _) = self.load().unwrap_or_else(|error| panic!("{key}: {error}"));
        show(&settings, key)
    }

    #[track_caller]
    fn warnings(&self) -> Vec<String> {
        let (_, warnings) = self.load().unwrap();
        warnings.iter().map(ToString::to_string).collect()
    }
}

fn show(settings: &Settings, key: &str) -> String {
    let Settings {
        nats,
        debug,
        log,
        tracing,
    } = settings;
    match key {
        "nats.host" => nats.host.clone(),
        "nats.port" => nats.port.to_string(),
        "nats.clusterid" => nats.clusterid.clone(),
        "nats.store_dir" => nats.store_dir.clone(),
        "nats.tls_cert" => nats.tls_cert.clone(),
        "nats.tls_key" => nats.tls_key.clone(),
        "nats.tls_skip_verify_client_cert" => nats.tls_skip_verify_client_cert.to_string(),
        "nats.enable_tls" => nats.enable_tls.to_string(),
        "debug.addr" => debug.addr.clone(),
        "debug.token" => debug.token.clone(),
        "debug.pprof" => debug.pprof.to_string(),
        "debug.zpages" => debug.zpages.to_string(),
        "log.level" => log.level.clone(),
        "log.pretty" => log.pretty.to_string(),
        "log.color" => log.color.to_string(),
        "log.file" => log.file.clone(),
        "tracing.enabled" => tracing.enabled.to_string(),
        "tracing.type" => tracing.kind.clone(),
        "tracing.endpoint" => tracing.endpoint.clone(),
        "tracing.collector" => tracing.collector.clone(),
        _ => panic!("no setting {key}"),
    }
}

/// A line of `settings.tsv`.
struct Line {
    key: &'static str,
    variables: Vec<&'static str>,
    /// Two values that differ.
    values: [&'static str; 2],
    default: &'static str,
}

fn lines() -> Vec<Line> {
    let table = include_str!("settings.tsv");
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| {
        let columns: Vec<_> = line.split('\t').collect();
        let [key, variables, kind, default] = columns[..] else {
            panic!("{line}")
        };
        Line {
            key,
            variables: variables.split(';').collect(),
            values: match kind {
                "text" => ["first", "second"],
                "integer" => ["1111", "2222"],
                "boolean" => ["true", "false"],
                _ => panic!("{kind}"),
            },
            default,
        }
    })
    .collect()
}

/// `nats.yaml` with one setting.
fn own(key: &str, value: &str) -> String {
    let (section, key) = key.split_once('.').unwrap();
    format!("{section}:\n  {key}: {value}\n")
}

/// `ocis.yaml` with one setting of the service.
fn shared(key: &str, value: &str) -> String {
    let (section, key) = key.split_once('.').unwrap();
    format!("nats:\n  {section}:\n    {key}: {value}\n")
}

#[test]
fn every_setting_has_its_default() {
    let lines = lines();
    assert_eq!(lines.len(), 20);
    assert_eq!(lines.len(), ROWS.len());
    for Line { key, default, .. } in lines {
        assert_eq!(World::new().get(key), default, "{key}");
    }
    assert_eq!(World::new().warnings(), Vec::<String>::new());
}

#[test]
fn every_variable_sets_its_setting_and_the_last_one_wins() {
    for Line {
        key,
        variables,
        values: [first, second],
        ..
    } in lines()
    {
        for variable in &variables {
            let world = World::new().variable(variable, first);
            assert_eq!(world.get(key), first, "{variable}");
        }
        if let [global, own] = variables[..] {
            let world = World::new().variable(global, first).variable(own, second);
            assert_eq!(world.get(key), second, "{global} {own}");
            let world = World::new().variable(global, second).variable(own, first);
            assert_eq!(world.get(key), first, "{global} {own}");
        }
    }
}

#[test]
fn every_setting_is_in_the_files_and_the_nearer_place_wins() {
    for Line {
        key,
        variables,
        values: [first, second],
        ..
    } in lines()
    {
        let in_shared = World::new().file("ocis.yaml", &shared(key, first));
        assert_eq!(in_shared.get(key), first, "{key}");
        let in_own = World::new().file("nats.yaml", &own(key, first));
        assert_eq!(in_own.get(key), first, "{key}");
        let in_both = in_shared.file("nats.yaml", &own(key, second));
        assert_eq!(in_both.get(key), second, "{key}");
        for variable in variables {
            let everywhere = in_both.clone().variable(variable, first);
            assert_eq!(everywhere.get(key), first, "{key} {variable}");
        }
    }
}

#[test]
fn files_of_which_each_has_a_part_are_put_together() {
    let world = World::new()
        .file("ocis.yaml", "nats:\n  nats: { host: a, port: 1 }\n")
        .file("nats.yaml", "nats: { port: 2 }\n");
    assert_eq!(world.get("nats.host"), "a");
    assert_eq!(world.get("nats.port"), "2");
    assert_eq!(world.get("nats.clusterid"), "ocis-cluster");
}

#[test]
fn log_and_tracing_of_all_services_count_where_the_service_has_none() {
    let all = "log: { level: debug, pretty: true }\ntracing: { endpoint: all }\n";
    let world = World::new().file("ocis.yaml", all);
    assert_eq!(world.get("log.level"), "debug");
    assert_eq!(world.get("log.pretty"), "true");
    assert_eq!(world.get("tracing.endpoint"), "all");

    // A section of its own in either file replaces all of it.
    let in_own = world.clone().file("nats.yaml", "log: { pretty: false }\n");
    assert_eq!(in_own.get("log.level"), "");
    assert_eq!(in_own.get("log.pretty"), "false");
    assert_eq!(in_own.get("tracing.endpoint"), "all");
    let with_service = format!("{all}nats:\n  log: {{ file: x }}\n");
    let in_shared = World::new().file("ocis.yaml", &with_service);
    assert_eq!(in_shared.get("log.level"), "");
    assert_eq!(in_shared.get("log.file"), "x");

    let empty = world.clone().file("nats.yaml", "log:\n");
    assert_eq!(empty.get("log.level"), "debug");
    let variable = world.variable("OCIS_LOG_LEVEL", "warn");
    assert_eq!(variable.get("log.level"), "warn");
}

#[test]
fn folders_come_from_their_variables() {
    let world = World::new()
        .variable("OCIS_BASE_DATA_PATH", "/data")
        .variable("OCIS_CONFIG_DIR", "/home/u/.ocis/config/other")
        .file("other/nats.yaml", "nats: { port: 7 }\n")
        .file("nats.yaml", "nats: { port: 8 }\n");
    assert_eq!(world.get("nats.store_dir"), "/data/nats");
    assert_eq!(world.get("nats.tls_cert"), "/data/nats/tls.crt");
    assert_eq!(world.get("nats.port"), "7");
}

#[test]
fn an_empty_variable_empties_a_text_and_is_nothing_else() {
    let file = "nats: { host: a, port: 7, enable_tls: true }\n";
    let world = World::new().file("nats.yaml", file);
    let emptied = world
        .variable("NATS_NATS_HOST", "")
        .variable("NATS_NATS_PORT", "")
        .variable("NATS_EVENTS_ENABLE_TLS", "")
        .variable("OCIS_INSECURE", "true");
    assert_eq!(emptied.get("nats.host"), "");
    assert_eq!(emptied.get("nats.port"), "7");
    assert_eq!(emptied.get("nats.enable_tls"), "true");
    assert_eq!(emptied.warnings().len(), 2);
}

#[test]
fn a_variable_that_does_not_fit_is_passed_over_with_a_warning() {
    for (variable, value, key, stays) in [
        ("NATS_NATS_PORT", "abc", "nats.port", "7"),
        ("NATS_NATS_PORT", "9_", "nats.port", "7"),
        ("NATS_NATS_PORT", "12.5", "nats.port", "7"),
        ("NATS_DEBUG_PPROF", "yes", "debug.pprof", "false"),
        (
            "OCIS_INSECURE",
            "on",
            "nats.tls_skip_verify_client_cert",
            "false",
        ),
    ] {
        let world = World::new()
            .file("nats.yaml", "nats: { port: 7 }\n")
            .variable(variable, value);
        assert_eq!(world.get(key), stays, "{variable}={value}");
        let warnings = world.warnings();
        let [warning] = &warnings[..] else {
            panic!("{warnings:?}")
        };
        assert!(
            warning.starts_with(&format!("{variable} is {value:?}, not ")),
            "{warning}"
        );
    }
    let hex = World::new().variable("NATS_NATS_PORT", "0x4b69");
    assert_eq!(hex.get("nats.port"), "19305");
    // The global one counts where the service's own does not fit.
    let global = World::new()
        .variable("OCIS_INSECURE", "T")
        .variable("NATS_TLS_SKIP_VERIFY_CLIENT_CERT", "yes");
    assert_eq!(global.get("nats.tls_skip_verify_client_cert"), "true");
}

#[test]
fn values_in_files_are_taken_as_they_fit() {
    for (key, value, expected) in [
        ("nats.port", "'9000'", "9000"),
        ("nats.port", "0x10", "16"),
        ("nats.port", "'0x10'", "16"),
        ("nats.port", "7.9", "7"),
        ("nats.port", "", "9233"),
        ("nats.port", "null", "9233"),
        ("nats.host", "''", ""),
        ("nats.host", "1.5", "1.5"),
        ("debug.token", "007", "7"),
        ("debug.token", "'007'", "007"),
        ("nats.enable_tls", "1", "true"),
        ("nats.enable_tls", "'t'", "true"),
        ("nats.enable_tls", "''", "false"),
    ] {
        let world = World::new().file("nats.yaml", &own(key, value));
        assert_eq!(world.get(key), expected, "{key}: {value}");
    }
    let other_case = World::new().file("nats.yaml", "NATS: { Port: 7 }\n");
    assert_eq!(other_case.get("nats.port"), "7");
}

#[test]
fn values_in_files_that_do_not_fit_are_errors_that_name_the_setting() {
    for (file, text, key, found) in [
        ("nats.yaml", "nats: { port: [1] }", "Nats.port", "a list"),
        ("nats.yaml", "nats: { port: abc }", "Nats.port", "a text"),
        (
            "nats.yaml",
            "nats: { host: { a: b } }",
            "Nats.host",
            "a map",
        ),
        (
            "nats.yaml",
            "debug: { pprof: yes }",
            "Debug.pprof",
            "a text",
        ),
        ("nats.yaml", "log: { level: [] }", "Log.level", "a list"),
        ("nats.yaml", "nats: 7", "Nats", "a whole number"),
        (
            "ocis.yaml",
            "nats: { nats: { port: [1] } }",
            "Nats.Nats.port",
            "a list",
        ),
        ("ocis.yaml", "nats: [1]", "Nats", "a list"),
        (
            "ocis.yaml",
            "nats: { log: 1 }",
            "Nats.Log",
            "a whole number",
        ),
        ("ocis.yaml", "log: { level: {} }", "Log.level", "a map"),
    ] {
        let error = World::new().file(file, text).load().unwrap_err();
        let LoadError::Type {
            key: named,
            found: was,
            path,
            ..
        } = &error
        else {
            panic!("{error}")
        };
        assert_eq!((named.as_str(), *was), (key, found), "{text}");
        assert!(path.ends_with(file), "{error}");
        assert!(error.to_string().contains(&format!("'{key}'")), "{error}");
    }
}

#[test]
fn a_file_that_is_no_yaml_counts_as_missing_and_is_reported() {
    for text in ["nats:\n\tport: 7\n", "nats: [\n", "just words\n", "- 7\n"] {
        let world = World::new()
            .file("ocis.yaml", "nats: { nats: { port: 6 } }\n")
            .file("nats.yaml", text);
        assert_eq!(world.get("nats.port"), "6", "{text:?}");
        let warnings = world.warnings();
        assert!(
            warnings.len() == 1 && warnings[0].contains("nats.yaml is ignored: "),
            "{warnings:?}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_counts_as_missing_and_is_reported() {
    let (settings, warnings) = load(&Environment {
        read_file: &|_| Err(io::ErrorKind::PermissionDenied.into()),
        variable: &|_| None,
    })
    .unwrap();
    assert_eq!(settings.nats.port, 9233);
    assert_eq!(warnings.len(), 2);
}

#[test]
fn variables_stand_in_the_values_of_files() {
    let file = "nats: { host: '${BIND|0.0.0.0}', port: '${PORT|7}', clusterid: '${NAME}-x' }\n";
    let world = World::new().file("nats.yaml", file);
    assert_eq!(world.get("nats.host"), "0.0.0.0");
    assert_eq!(world.get("nats.port"), "7");
    assert_eq!(world.get("nats.clusterid"), "-x");
    let set = world
        .variable("BIND", "::1")
        .variable("PORT", "8")
        .variable("NAME", "n");
    assert_eq!(set.get("nats.host"), "::1");
    assert_eq!(set.get("nats.port"), "8");
    assert_eq!(set.get("nats.clusterid"), "n-x");
    let required = World::new().file("nats.yaml", "nats: { host: '${BIND|?no address}' }\n");
    let error = required.load().unwrap_err();
    assert!(
        error.to_string().ends_with("'Nats.host' no address"),
        "{error}"
    );
}

#[test]
fn keys_that_nothing_reads_are_reported() {
    let world = World::new()
        .file(
            "ocis.yaml",
            "proxy: { http: 1 }\nnats: { extra: 1, nats: { prot: 1 } }\n",
        )
        .file("nats.yaml", "nats: { users: [a] }\nother: 1\n");
    let warnings = world.warnings();
    let keys: Vec<_> = warnings
        .iter()
        .map(|warning| warning.split(": ").nth(1).unwrap())
        .collect();
    assert_eq!(
        keys,
        [
            "there is no setting nats.extra",
            "there is no setting nats.nats.prot",
            "there is no setting other",
            "there is no setting nats.users",
        ]
    );
}

#[test]
fn names_that_only_documentation_has_are_reported() {
    for name in ["ENABLE_TLS", "OCIS_TLS_CERT", "OCIS_TLS_KEY"] {
        let world = World::new().variable(name, "true");
        assert_eq!(world.get("nats.enable_tls"), "false");
        let warnings = world.warnings();
        assert!(
            warnings.len() == 1 && warnings[0].starts_with(&format!("{name} has no effect: ")),
            "{warnings:?}"
        );
    }
}

#[test]
fn what_an_administrator_may_not_expect_is_reported() {
    let tls = World::new().variable("OCIS_EVENTS_ENABLE_TLS", "true");
    assert!(tls.warnings()[0].contains("NATS_TLS_SKIP_VERIFY_CLIENT_CERT=true"));
    assert!(tls.variable("OCIS_INSECURE", "true").warnings().is_empty());
    let tracing = World::new().variable("OCIS_TRACING_ENABLED", "true");
    assert!(tracing.warnings()[0].starts_with("tracing has no effect"));
    let pretty = World::new()
        .variable("OCIS_LOG_FILE", "/log")
        .variable("OCIS_LOG_PRETTY", "true");
    assert!(pretty.warnings()[0].starts_with("log.file has no effect"));
}
