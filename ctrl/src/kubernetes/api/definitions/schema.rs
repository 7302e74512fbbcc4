use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The schema of a type as an API server takes it ("structural"): no references, one type each, and
/// what Kubernetes says of lists besides.
pub fn of<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft07();
    settings.inline_subschemas = true;
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    make_structural(&mut schema);
    schema
}

fn make_structural(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    // Of use to readers of JSON schemas only. Defaults are ours, not the API server's to fill in.
    for name in ["$schema", "title", "default"] {
        fields.remove(name);
    }
    make_one_type(fields);
    list_variants(fields);
    make_plain_words(fields);
    for (name, inner) in
        fields.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten()
    {
        make_structural(inner);
        if name == "conditions" {
            make_conditions(inner);
        }
    }
    for name in ["items", "additionalProperties"] {
        fields.get_mut(name).into_iter().for_each(make_structural);
    }
}

/// What may be left out may also be null in a JSON schema; an API server takes null for left out.
fn make_one_type(fields: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = fields.get("type") {
        let kind = types.iter().find(|kind| *kind != "null").cloned().unwrap_or_default();
        fields.insert("type".to_owned(), kind);
    }
    let is_null = |schema: &Value| schema["type"] == "null";
    let Some(Value::Array(choices)) = fields.remove("anyOf") else { return };
    let choice = choices.into_iter().find(|choice| !is_null(choice));
    for (name, value) in choice.as_ref().and_then(Value::as_object).into_iter().flatten() {
        // What is said of the field is more to the point than what is said of its type.
        fields.entry(name.clone()).or_insert_with(|| value.clone());
    }
}

/// Variants that are described one by one become a list of words.
fn list_variants(fields: &mut Map<String, Value>) {
    let Some(Value::Array(variants)) = fields.remove("oneOf") else { return };
    let words: Vec<_> = variants.iter().map(|variant| variant["const"].clone()).collect();
    fields.insert("type".to_owned(), json!("string"));
    fields.insert("enum".to_owned(), json!(words));
}

/// Descriptions are for `kubectl explain`, where a link to other code means nothing.
fn make_plain_words(fields: &mut Map<String, Value>) {
    let Some(Value::String(text)) = fields.remove("description") else { return };
    if !text.contains("[`") {
        fields.insert("description".to_owned(), text.replace('\n', " ").into());
    }
}

/// An object has one condition of a type, and each writer owns its own. When one changed is for whoever
/// writes it to say, so our type has no field for that, but the object has.
fn make_conditions(list: &mut Value) {
    list["x-kubernetes-list-type"] = json!("map");
    list["x-kubernetes-list-map-keys"] = json!(["type"]);
    let condition = &mut list["items"];
    condition["properties"]["lastTransitionTime"] =
        json!({"type": "string", "format": "date-time"});
    condition["properties"]["observedGeneration"]["minimum"] = json!(0);
    condition["required"] = json!(["lastTransitionTime", "message", "reason", "status", "type"]);
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;
    use crate::kubernetes::api::condition::Truth;

    /// An outer thing, as in [`Inner`].
    #[derive(Serialize, JsonSchema)]
    #[serde(rename_all = "camelCase")]
    struct Outer {
        /// The one inside.
        an_inner: Option<Inner>,
        words: Vec<Option<Truth>>,
    }

    /// Something inside.
    #[derive(Serialize, JsonSchema)]
    struct Inner {
        size: Option<i64>,
    }

    #[test]
    fn a_schema_has_one_type_and_no_reference_anywhere() {
        let inner = json!({
            "type": "object", "description": "The one inside.",
            "properties": {"size": {"type": "integer", "format": "int64"}},
        });
        let word = json!({
            "type": "string", "enum": ["True", "False", "Unknown"],
            "description": "Whether a condition holds.",
        });
        let want = json!({
            "type": "object", "required": ["words"],
            "properties": {"anInner": inner, "words": {"type": "array", "items": word}},
        });
        assert_eq!(of::<Outer>(), want);
    }
}
