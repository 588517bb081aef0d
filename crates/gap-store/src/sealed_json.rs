//! JSON objects that carry a digest of themselves.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The key of the digest, the last of the object.
const DIGEST_KEY: &str = "digest";

/// Why a sealed object is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The text is not a JSON object, or lacks a key.
    #[error("it is damaged: {0}")]
    Malformed(String),
    /// The object has no digest.
    #[error("it has no digest")]
    Unsealed,
    /// The digest is that of another object.
    #[error("it is damaged: its digest differs")]
    WrongDigest,
}

/// The fields of `content` and a digest of them, as the text of a JSON object.
///
/// # Panics
///
/// If `content` is not written as a JSON object.
pub fn seal(content: &impl Serialize) -> String {
    let mut value = serde_json::to_value(content).expect("plain data");
    let digest = digest_of(&value);
    let object = value.as_object_mut().expect("an object");
    object.insert(DIGEST_KEY.to_owned(), Value::String(digest));
    serde_json::to_string_pretty(&value).expect("plain data") + "\n"
}

/// What [`seal`] wrote.
///
/// # Errors
///
/// [`SealError`] if any value differs from what was sealed.
pub fn unseal<T: DeserializeOwned>(text: &str) -> Result<T, SealError> {
    let malformed = |error: serde_json::Error| SealError::Malformed(error.to_string());
    let mut value: Value = serde_json::from_str(text).map_err(malformed)?;
    let object = value
        .as_object_mut()
        .ok_or_else(|| SealError::Malformed("not an object".to_owned()))?;
    let digest = object.shift_remove(DIGEST_KEY).ok_or(SealError::Unsealed)?;
    if digest != Value::String(digest_of(&value)) {
        return Err(SealError::WrongDigest);
    }
    serde_json::from_value(value).map_err(malformed)
}

fn digest_of(object: &Value) -> String {
    let bytes = serde_json::to_vec(object).expect("plain data");
    blake3::hash(&bytes).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn what_is_sealed_is_unsealed() {
        let content = BTreeMap::from([("a".to_owned(), 0.1), ("b".to_owned(), 1e-300)]);
        assert_eq!(unseal(&seal(&content)), Ok(content));
        assert_eq!(unseal::<Value>(r#"{"a": 1}"#), Err(SealError::Unsealed));
    }

    proptest! {
        #[test]
        fn a_changed_byte_is_noticed_or_changes_no_value(
            numbers in prop::collection::btree_map("[a-z]{1,5}", any::<u64>(), 1..5),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut bytes = seal(&numbers).into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(text) = String::from_utf8(bytes)
                && let Ok(read) = unseal::<BTreeMap<String, u64>>(&text)
            {
                prop_assert_eq!(read, numbers);
            }
        }
    }
}
