//! The table of settings: where each is in the files, which variables set it, where it goes.

use crate::convert::{self, BOOLEAN, INTEGER, Unfit};
use crate::number;
use crate::settings::Settings;
use crate::yaml::Value;

/// A setting.
pub(crate) struct Row {
    pub(crate) section: Section,
    /// Its key in the section.
    pub(crate) key: &'static str,
    /// Variables that set it; the last that is set wins.
    pub(crate) variables: &'static [&'static str],
    field: Field,
}

/// A section of `nats.yaml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Nats,
    Debug,
    Log,
    Tracing,
}

type In<T> = fn(&mut Settings) -> &mut T;

enum Field {
    Text(In<String>),
    Integer(In<i64>),
    Boolean(In<bool>),
}

impl Section {
    pub(crate) const ALL: [Self; 4] = [Self::Tracing, Self::Log, Self::Debug, Self::Nats];

    /// Its key in the file.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Debug => "debug",
            Self::Log => "log",
            Self::Tracing => "tracing",
        }
    }

    /// Its name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nats => "Nats",
            Self::Debug => "Debug",
            Self::Log => "Log",
            Self::Tracing => "Tracing",
        }
    }

    pub(crate) fn rows(self) -> impl Iterator<Item = &'static Row> {
        ROWS.iter().filter(move |row| row.section == self)
    }
}

impl Row {
    /// Takes the value over that a file has for the setting; nothing leaves it as it is.
    pub(crate) fn set(&self, settings: &mut Settings, value: &Value) -> Result<(), Unfit> {
        if *value == Value::Null {
            return Ok(());
        }
        match self.field {
            Field::Text(field) => *field(settings) = convert::text(value)?,
            Field::Integer(field) => *field(settings) = convert::integer(value)?,
            Field::Boolean(field) => *field(settings) = convert::boolean(value)?,
        }
        Ok(())
    }

    /// Takes the value over that a variable has for the setting. Else says what it should be.
    pub(crate) fn set_from_variable(
        &self,
        settings: &mut Settings,
        value: String,
    ) -> Result<(), &'static str> {
        match self.field {
            Field::Text(field) => *field(settings) = value,
            Field::Integer(field) => {
                *field(settings) = number::integer(&value).ok_or(INTEGER)?;
            }
            Field::Boolean(field) => {
                *field(settings) = number::boolean(&value).ok_or(BOOLEAN)?;
            }
        }
        Ok(())
    }
}

const fn text(
    section: Section,
    key: &'static str,
    variables: &'static [&'static str],
    field: In<String>,
) -> Row {
    Row {
        section,
        key,
        variables,
        field: Field::Text(field),
    }
}

const fn integer(
    section: Section,
    key: &'static str,
    variables: &'static [&'static str],
    field: In<i64>,
) -> Row {
    Row {
        section,
        key,
        variables,
        field: Field::Integer(field),
    }
}

const fn boolean(
    section: Section,
    key: &'static str,
    variables: &'static [&'static str],
    field: In<bool>,
) -> Row {
    Row {
        section,
        key,
        variables,
        field: Field::Boolean(field),
    }
}

pub(crate) const ROWS: &[Row] = &[
    text(Section::Nats, "host", &["NATS_NATS_HOST"], |s| {
        &mut s.nats.host
    }),
    integer(Section::Nats, "port", &["NATS_NATS_PORT"], |s| {
        &mut s.nats.port
    }),
    text(Section::Nats, "clusterid", &["NATS_NATS_CLUSTER_ID"], |s| {
        &mut s.nats.clusterid
    }),
    text(Section::Nats, "store_dir", &["NATS_NATS_STORE_DIR"], |s| {
        &mut s.nats.store_dir
    }),
    text(Section::Nats, "tls_cert", &["NATS_TLS_CERT"], |s| {
        &mut s.nats.tls_cert
    }),
    text(Section::Nats, "tls_key", &["NATS_TLS_KEY"], |s| {
        &mut s.nats.tls_key
    }),
    boolean(
        Section::Nats,
        "tls_skip_verify_client_cert",
        &["OCIS_INSECURE", "NATS_TLS_SKIP_VERIFY_CLIENT_CERT"],
        |s| &mut s.nats.tls_skip_verify_client_cert,
    ),
    boolean(
        Section::Nats,
        "enable_tls",
        &["OCIS_EVENTS_ENABLE_TLS", "NATS_EVENTS_ENABLE_TLS"],
        |s| &mut s.nats.enable_tls,
    ),
    text(Section::Debug, "addr", &["NATS_DEBUG_ADDR"], |s| {
        &mut s.debug.addr
    }),
    text(Section::Debug, "token", &["NATS_DEBUG_TOKEN"], |s| {
        &mut s.debug.token
    }),
    boolean(Section::Debug, "pprof", &["NATS_DEBUG_PPROF"], |s| {
        &mut s.debug.pprof
    }),
    boolean(Section::Debug, "zpages", &["NATS_DEBUG_ZPAGES"], |s| {
        &mut s.debug.zpages
    }),
    text(
        Section::Log,
        "level",
        &["OCIS_LOG_LEVEL", "NATS_LOG_LEVEL"],
        |s| &mut s.log.level,
    ),
    boolean(
        Section::Log,
        "pretty",
        &["OCIS_LOG_PRETTY", "NATS_LOG_PRETTY"],
        |s| &mut s.log.pretty,
    ),
    boolean(
        Section::Log,
        "color",
        &["OCIS_LOG_COLOR", "NATS_LOG_COLOR"],
        |s| &mut s.log.color,
    ),
    text(
        Section::Log,
        "file",
        &["OCIS_LOG_FILE", "NATS_LOG_FILE"],
        |s| &mut s.log.file,
    ),
    boolean(
        Section::Tracing,
        "enabled",
        &["OCIS_TRACING_ENABLED", "NATS_TRACING_ENABLED"],
        |s| &mut s.tracing.enabled,
    ),
    text(
        Section::Tracing,
        "type",
        &["OCIS_TRACING_TYPE", "NATS_TRACING_TYPE"],
        |s| &mut s.tracing.kind,
    ),
    text(
        Section::Tracing,
        "endpoint",
        &["OCIS_TRACING_ENDPOINT", "NATS_TRACING_ENDPOINT"],
        |s| &mut s.tracing.endpoint,
    ),
    text(
        Section::Tracing,
        "collector",
        &["OCIS_TRACING_COLLECTOR", "NATS_TRACING_COLLECTOR"],
        |s| &mut s.tracing.collector,
    ),
];
