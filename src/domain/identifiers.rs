//! Check digits of child identifiers.
//!
//! Takes an identifier's text; says whether its check digit fits. A failed check never refuses
//! anything, and a passed one is not evidence of identity: with two rules in use about one typing
//! error in ten still passes.
//! Holds: I13.
//! Knows: nothing.

/// Whether a CHI number's check digit is right by Modulus 11 or by Modulus 10.
///
/// A CHI number is ten ASCII digits (leading zeros count), the last of which is the check digit.
/// Numbers issued from 2026 may follow Modulus 10, and either rule makes a number valid (Public
/// Health Scotland).
#[must_use]
pub fn chi_check(value: &str) -> bool {
    let Ok(digits) = <[u8; 10]>::try_from(value.as_bytes()) else {
        return false;
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let digits = digits.map(|digit| u32::from(digit - b'0'));
    modulus_11(&digits) || modulus_10(&digits)
}

/// The first nine digits weighted 10 to 2; a check value of 10 is never issued.
fn modulus_11(digits: &[u32; 10]) -> bool {
    let sum: u32 =
        digits[..9].iter().zip((2..=10).rev()).map(|(digit, weight)| digit * weight).sum();
    // 11 stands for 0, and 10 equals no digit.
    (11 - sum % 11) % 11 == digits[9]
}

/// Every other digit from the first doubled, less 9 if more than 9.
fn modulus_10(digits: &[u32; 10]) -> bool {
    let sum: u32 = digits[..9]
        .iter()
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, doubled) if doubled > 9 => doubled - 9,
            (0, doubled) => doubled,
            _ => *digit,
        })
        .sum();
    (10 - sum % 10) % 10 == digits[9]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(value: &str) -> (bool, bool) {
        let digits: Vec<u32> = value.bytes().map(|digit| u32::from(digit - b'0')).collect();
        let digits = digits.try_into().unwrap();
        (modulus_11(&digits), modulus_10(&digits))
    }

    #[test]
    fn known_numbers_pass_by_the_rule_they_were_made_for() {
        assert_eq!(passes("0101011237"), (true, true));
        assert_eq!(passes("0211165794"), (true, false));
        assert_eq!(passes("2902240056"), (false, true));
        assert_eq!(passes("2902240058"), (true, false));
        assert_eq!(passes("2902240049"), (false, true));
        assert_eq!(passes("0101010000"), (false, false));
    }

    #[test]
    fn either_rule_makes_a_number_valid() {
        for value in ["0101011237", "0211165794", "2902240056", "2902240058", "2902240049"] {
            assert!(chi_check(value), "{value}");
        }
        assert!(!chi_check("0101010000"));
    }

    #[test]
    fn a_stem_with_no_modulus_11_digit_passes_only_by_modulus_10() {
        for last in 0..10 {
            assert!(!passes(&format!("290224004{last}")).0);
            assert_eq!(chi_check(&format!("290224004{last}")), last == 9);
        }
    }

    #[test]
    fn anything_but_ten_ascii_digits_fails() {
        let long = "0101011237".repeat(1_000);
        for value in [
            "",
            "010101123",
            "01010112370",
            " 0101011237",
            "010101 1237",
            "010101123x",
            "٠١٠١٠",
            &long,
        ] {
            assert!(!chi_check(value), "{value}");
        }
    }
}
