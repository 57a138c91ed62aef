//! Decimal numbers that are counted on where they stand in a text.

/// Adds one to a decimal number; `false` if that takes another digit.
#[inline]
pub(crate) fn count_up(digits: &mut [u8]) -> bool {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return true;
        }
        *digit = b'0';
    }
    false
}

/// Takes one from a decimal number above zero; `false` if that takes a digit less.
#[inline]
pub(crate) fn count_down(digits: &mut [u8]) -> bool {
    for digit in digits.iter_mut().rev() {
        if *digit > b'0' {
            *digit -= 1;
            break;
        }
        *digit = b'9';
    }
    digits.len() == 1 || digits.first() != Some(&b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(count: impl Fn(&mut [u8]) -> bool, from: &str, to: Option<&str>) {
        let mut digits = from.as_bytes().to_vec();
        let fits = count(&mut digits);
        assert_eq!(
            fits.then_some(digits.as_slice()),
            to.map(str::as_bytes),
            "{from}"
        );
    }

    #[test]
    fn numbers_are_counted_as_long_as_they_keep_their_length() {
        check(count_up, "0", Some("1"));
        check(count_up, "1299", Some("1300"));
        check(count_up, "999", None);
        check(count_down, "1", Some("0"));
        check(count_down, "1300", Some("1299"));
        check(count_down, "100", None);
    }
}
