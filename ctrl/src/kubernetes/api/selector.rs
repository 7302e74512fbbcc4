use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::null;

/// Labels, by key.
pub type Labels = BTreeMap<String, String>;

/// Which labels are selected (`LabelSelector`): all of its requirements must hold, and an empty one
/// selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels with exactly these values.
    #[serde(deserialize_with = "null::as_empty")]
    pub match_labels: Labels,
    /// More than equality.
    #[serde(deserialize_with = "null::as_empty")]
    pub match_expressions: Vec<Requirement>,
}

/// What a selector asks of one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Requirement {
    /// Key of the label.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    // Text, because one object that we cannot read would keep all others of its kind from being read.
    #[cfg_attr(test, schemars(extend("enum" = ["In", "NotIn", "Exists", "DoesNotExist"])))]
    pub operator: String,
    /// The values that `In` and `NotIn` speak of.
    #[serde(default, deserialize_with = "null::as_empty")]
    pub values: Vec<String>,
}

/// Why a selector cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SelectorError {
    /// No such operator.
    #[error("operator '{operator}' of label '{key}' is none of In, NotIn, Exists, DoesNotExist")]
    Operator {
        /// Key of the label.
        key: String,
        /// What was written.
        operator: String,
    },
    /// `In` and `NotIn` need values.
    #[error("operator '{operator}' of label '{key}' needs values")]
    NoValues {
        /// Key of the label.
        key: String,
        /// What was written.
        operator: String,
    },
    /// `Exists` and `DoesNotExist` have none.
    #[error("operator '{operator}' of label '{key}' takes no values")]
    Values {
        /// Key of the label.
        key: String,
        /// What was written.
        operator: String,
    },
}

impl LabelSelector {
    /// Whether it selects an object with these labels.
    ///
    /// # Errors
    /// When a requirement makes no sense; then nothing can be said of any object.
    pub fn selects(&self, labels: &Labels) -> Result<bool, SelectorError> {
        let mut selects =
            self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value));
        for requirement in &self.match_expressions {
            selects &= requirement.holds(labels)?;
        }
        Ok(selects)
    }

    /// What keeps it from selecting an object with these labels, in words for people: nothing, if it
    /// selects it.
    ///
    /// # Errors
    /// As [`Self::selects`].
    pub fn obstacles(&self, labels: &Labels) -> Result<Vec<String>, SelectorError> {
        let differs =
            self.match_labels.iter().filter(|(key, value)| labels.get(*key) != Some(value));
        let mut obstacles: Vec<_> =
            differs.map(|(key, value)| lacks(labels, key, std::slice::from_ref(value))).collect();
        for requirement in &self.match_expressions {
            if !requirement.holds(labels)? {
                obstacles.push(requirement.obstacle(labels));
            }
        }
        Ok(obstacles)
    }
}

/// How a label differs from the values that are wanted; without any, it has to be there.
fn lacks(labels: &Labels, key: &str, wanted: &[String]) -> String {
    let wanted = wanted.join("' or '");
    match labels.get(key) {
        None if wanted.is_empty() => format!("label '{key}' is missing"),
        None => format!("label '{key}' is missing, '{wanted}' is wanted"),
        Some(value) => format!("label '{key}' is '{value}', '{wanted}' is wanted"),
    }
}

impl Requirement {
    fn obstacle(&self, labels: &Labels) -> String {
        let Self { key, operator, values } = self;
        let value = labels.get(key).map(String::as_str).unwrap_or_default();
        match operator.as_str() {
            "NotIn" => format!("label '{key}' is '{value}', which is not wanted"),
            "DoesNotExist" => format!("label '{key}' is there, which is not wanted"),
            _ => lacks(labels, key, values),
        }
    }

    fn holds(&self, labels: &Labels) -> Result<bool, SelectorError> {
        let (key, operator) = (self.key.clone(), self.operator.clone());
        let value = labels.get(&self.key);
        let listed = value.is_some_and(|value| self.values.contains(value));
        match self.operator.as_str() {
            "In" | "NotIn" if self.values.is_empty() => {
                Err(SelectorError::NoValues { key, operator })
            }
            "Exists" | "DoesNotExist" if !self.values.is_empty() => {
                Err(SelectorError::Values { key, operator })
            }
            "In" => Ok(listed),
            // An object without the label is not in the list either.
            "NotIn" => Ok(!listed),
            "Exists" => Ok(value.is_some()),
            "DoesNotExist" => Ok(value.is_none()),
            _ => Err(SelectorError::Operator { key, operator }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn asks(operator: &str, values: &[&str]) -> LabelSelector {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        let requirement =
            Requirement { key: "color".to_owned(), operator: operator.to_owned(), values };
        LabelSelector { match_expressions: vec![requirement], ..LabelSelector::default() }
    }

    #[test]
    fn every_operator_means_what_kubernetes_means() {
        let (blue, red, none) =
            (labels(&[("color", "blue")]), labels(&[("color", "red")]), labels(&[("x", "y")]));
        for (operator, values, expected) in [
            ("In", &["blue", "green"][..], [true, false, false]),
            ("NotIn", &["blue"], [false, true, true]),
            ("Exists", &[], [true, true, false]),
            ("DoesNotExist", &[], [false, false, true]),
        ] {
            let selector = asks(operator, values);
            let found = [&blue, &red, &none].map(|labels| selector.selects(labels).unwrap());
            assert_eq!(found, expected, "{operator}");
        }
    }

    #[test]
    fn obstacles_name_the_label() {
        let (red, none) = (labels(&[("color", "red")]), labels(&[]));
        let said = |selector: &LabelSelector, labels: &Labels| {
            let obstacles = selector.obstacles(labels).unwrap();
            assert_eq!(obstacles.is_empty(), selector.selects(labels).unwrap());
            obstacles.join("; ")
        };
        let plain =
            LabelSelector { match_labels: labels(&[("color", "blue")]), ..asks("Exists", &[]) };
        assert_eq!(
            said(&plain, &none),
            "label 'color' is missing, 'blue' is wanted; label 'color' is missing"
        );
        assert_eq!(said(&plain, &red), "label 'color' is 'red', 'blue' is wanted");
        assert_eq!(
            said(&asks("In", &["blue", "green"]), &none),
            "label 'color' is missing, 'blue' or 'green' is wanted"
        );
        assert_eq!(
            said(&asks("NotIn", &["red"]), &red),
            "label 'color' is 'red', which is not wanted"
        );
        assert_eq!(
            said(&asks("DoesNotExist", &[]), &red),
            "label 'color' is there, which is not wanted"
        );
        assert_eq!(said(&asks("DoesNotExist", &[]), &none), "");
    }

    #[test]
    fn nonsense_is_an_error_whatever_the_labels() {
        let none = Labels::new();
        assert!(matches!(asks("In", &[]).selects(&none), Err(SelectorError::NoValues { .. })));
        assert!(matches!(asks("Exists", &["x"]).selects(&none), Err(SelectorError::Values { .. })));
        let error = asks("Like", &["x"]).selects(&none).unwrap_err();
        assert!(error.to_string().contains("'Like' of label 'color'"), "{error}");
    }

    #[test]
    fn an_empty_selector_selects_everything() {
        assert!(LabelSelector::default().selects(&Labels::new()).unwrap());
        let read: LabelSelector = serde_json::from_str("{\"matchLabels\": null}").unwrap();
        assert_eq!(read, LabelSelector::default());
    }

    #[test]
    fn all_requirements_must_hold() {
        let mut selector = asks("Exists", &[]);
        selector.match_labels = labels(&[("tier", "web")]);
        assert!(!selector.selects(&labels(&[("color", "blue")])).unwrap());
        assert!(!selector.selects(&labels(&[("tier", "web")])).unwrap());
        assert!(selector.selects(&labels(&[("tier", "web"), ("color", "blue")])).unwrap());
    }
}
