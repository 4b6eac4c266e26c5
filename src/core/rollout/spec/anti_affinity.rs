//! `antiAffinity` of both strategies.

use super::AntiAffinity;
use super::reader::Reader;
use serde_json::Value;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn read(reader: &mut Reader, field: &str, value: Option<&Value>) -> Option<AntiAffinity> {
    let value = value.filter(|v| !v.is_null())?;
    let given = |key: &str| value.get(key).filter(|v| !v.is_null());
    let unknown = value.as_object().into_iter().flatten().find(|(key, _)| *key != REQUIRED && *key != PREFERRED);
    let one = format!("give exactly one of {REQUIRED}: {{}} and {PREFERRED}: {{weight: 1 to 100}}");
    if let Some((key, inner)) = unknown {
        reader.refuse(&format!("{field}.{key}"), inner, "it is not known", &one);
        return None;
    }
    match (given(REQUIRED), given(PREFERRED)) {
        (Some(_), None) => Some(AntiAffinity::Required),
        (None, Some(preferred)) => {
            let weight = preferred["weight"].as_u64().and_then(|w| u32::try_from(w).ok());
            let weight = weight.filter(|w| (1..=100).contains(w));
            if weight.is_none() {
                let field = format!("{field}.{PREFERRED}.weight");
                reader.refuse(&field, &preferred["weight"], "it is no weight", "give 1 to 100");
            }
            weight.map(AntiAffinity::Preferred)
        }
        _ => {
            reader.refuse(field, value, "it does not say how strictly", &one);
            None
        }
    }
}
