use serde_json::json;

use super::*;
use crate::kubernetes::api::pool::IpPool;

fn pool(name: &str, cidr: Value) -> DynamicObject {
    let object = json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumLoadBalancerIPPool",
        "metadata": {"name": name, "managedFields": [{"manager": "kubectl"}]},
        "spec": {"blocks": [{"cidr": cidr}]},
    });
    serde_json::from_value(object).unwrap()
}

fn changed(name: &str, cidr: Value) -> News {
    News::Changed(Box::new(pool(name, cidr)))
}

fn names(keys: &[Key]) -> Vec<&str> {
    keys.iter().map(|key| key.name.as_str()).collect()
}

fn cidr(pools: &Collection<IpPool>, name: &str) -> Option<String> {
    let key = Key { namespace: String::new(), name: name.to_owned() };
    pools.get(&key).and_then(|pool| pool.spec.blocks[0].cidr.clone())
}

#[test]
fn an_object_that_cannot_be_read_leaves_what_was_read_before() {
    let mut pools = Collection::<IpPool>::default();
    assert_eq!(names(&pools.take(changed("a", json!("10.0.0.0/24")))), ["a"]);
    assert_eq!(names(&pools.take(changed("a", json!(7)))), ["a"]);
    assert_eq!(cidr(&pools, "a").as_deref(), Some("10.0.0.0/24"));
    assert_eq!(pools.broken().len(), 1);
    // Said once, and taken back once it can be read.
    assert!(pools.take(changed("a", json!(7))).is_empty());
    assert_eq!(names(&pools.take(changed("a", json!("10.0.0.0/24")))), ["a"]);
    assert!(pools.broken().is_empty());
}

#[test]
fn one_broken_object_keeps_no_other_from_being_read() {
    let mut pools = Collection::<IpPool>::default();
    let all = vec![pool("bad", json!([])), pool("good", json!("10.0.0.0/24"))];
    pools.take(News::All(all, None));
    assert_eq!(cidr(&pools, "good").as_deref(), Some("10.0.0.0/24"));
    assert_eq!(pools.broken().keys().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["bad"]);
}

#[test]
fn a_list_touches_only_what_differs() {
    let mut pools = Collection::<IpPool>::default();
    let first = ["a", "b", "c"].map(|name| pool(name, json!("10.0.0.0/24")));
    assert_eq!(names(&pools.take(News::All(first.to_vec(), None))), ["a", "b", "c"]);
    assert!(pools.take(News::All(first.to_vec(), None)).is_empty(), "the same list again");
    let key = Key { namespace: String::new(), name: "b".to_owned() };
    let before = Arc::clone(pools.get(&key).unwrap());
    let next = vec![pool("a", json!("10.0.1.0/24")), pool("b", json!("10.0.0.0/24"))];
    assert_eq!(names(&pools.take(News::All(next, None))), ["c", "a"]);
    assert!(Arc::ptr_eq(&before, pools.get(&key).unwrap()));
}

#[test]
fn who_is_gone_is_gone_whether_it_could_be_read_or_not() {
    let mut pools = Collection::<IpPool>::default();
    pools.take(News::All(vec![pool("a", json!("10.0.0.0/24")), pool("b", json!(1))], None));
    for name in ["a", "b"] {
        let key = Key { namespace: String::new(), name: name.to_owned() };
        assert_eq!(names(&pools.take(News::Gone(key, None))), [name]);
    }
    assert_eq!((pools.iter().count(), pools.broken().len()), (0, 0));
}
