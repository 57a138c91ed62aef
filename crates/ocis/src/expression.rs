//! `${NAME}` and `${NAME|default}` in the texts of a file.

/// Puts variables in the place of the expressions in a text. A variable that is empty or not set gives the default, else
/// nothing; blanks around name and default do not count.
///
/// # Errors
/// `${NAME|?text}` is an error with that text where the variable is empty or not set.
pub(crate) fn expand(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find("${") {
        let (before, expression) = rest.split_at(begin);
        // At least one character stands between the braces (observed oCIS 7.0.0).
        let Some(end) = expression
            .char_indices()
            .skip(3)
            .find_map(|(at, char)| (char == '}').then_some(at))
        else {
            break;
        };
        expanded.push_str(before);
        expanded.push_str(&value(
            expression.get(2..end).unwrap_or_default(),
            variable,
        )?);
        rest = expression.get(end + 1..).unwrap_or_default();
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn value(expression: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let (name, default) = expression.split_once('|').unwrap_or((expression, ""));
    let (name, default) = (name.trim(), default.trim());
    match variable(name).filter(|value| !value.is_empty()) {
        Some(value) => Ok(value),
        None => match default.strip_prefix('?') {
            None => Ok(default.to_owned()),
            Some("") => Err(format!("value is required for var: {name}")),
            Some(text) => Err(text.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, String> {
        expand(text, &|name| match name {
            "HOST" => Some("example.org".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn variables_take_the_place_of_expressions() {
        let cases = [
            ("plain", "plain"),
            ("${HOST}", "example.org"),
            ("${ HOST }", "example.org"),
            ("${HOST|other}", "example.org"),
            ("${NONE|other}", "other"),
            ("${NONE | other }", "other"),
            ("${EMPTY|other}", "other"),
            ("${NONE}", ""),
            ("${EMPTY}", ""),
            ("a ${HOST} b ${NONE|c} d", "a example.org b c d"),
            ("${NONE|a|b}", "a|b"),
            ("${NONE|ä}", "ä"),
            ("${HOST", "${HOST"),
            ("$HOST", "$HOST"),
            ("${}", "${}"),
            ("{HOST}", "{HOST}"),
        ];
        for (text, expected) in cases {
            assert_eq!(expanded(text).as_deref(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn a_required_variable_must_not_be_empty() {
        assert_eq!(expanded("${HOST|?no host}").as_deref(), Ok("example.org"));
        assert_eq!(expanded("${NONE|?no host}"), Err("no host".to_owned()));
        let standard = "value is required for var: EMPTY".to_owned();
        assert_eq!(expanded("${EMPTY|?}"), Err(standard));
    }

    proptest::proptest! {
        #[test]
        fn any_text_can_be_expanded(text in "[${}|? A-Zä]{0,20}") {
            drop(expanded(&text));
        }
    }
}
