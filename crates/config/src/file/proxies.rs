use crate::{
    ConfigError,
    language::Value,
    reader::{Field, Report, each_field},
    unsupported::Block,
};

/// Reads `proxies { trusted: [ { key } ] }`: public nkeys of proxies.
pub(crate) fn read(value: &Value, report: &mut Report) -> Result<Vec<String>, ConfigError> {
    let mut keys = Vec::new();
    each_field(
        Block::Proxies,
        value.map()?,
        report,
        |name, value, report| {
            if name != "trusted" {
                return Ok(Field::Unknown);
            }
            for entry in value.array()? {
                each_field(Block::Proxies, entry.map()?, report, |name, value, _| {
                    if !matches!(name, "key" | "public_key") {
                        return Ok(Field::Unknown);
                    }
                    let key = value.owned()?;
                    if !jetsled_auth::is_any_public_nkey(&key) {
                        return Err(value.error(format!("invalid proxy key {key:?}")));
                    }
                    keys.push(key);
                    Ok(Field::Read)
                });
            }
            Ok(Field::Read)
        },
    );
    Ok(keys)
}
