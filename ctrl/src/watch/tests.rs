use std::fs::{create_dir, read_to_string, remove_dir_all, remove_file, rename, write};
use std::os::unix::fs::symlink;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);
const A_WHILE: Duration = Duration::from_millis(400);

/// A directory, and a path in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

async fn changed(watch: &mut ConfigWatch) {
    let changed = tokio::time::timeout(PATIENCE, watch.changed()).await;
    changed.expect("no change was told").unwrap();
}

async fn assert_unchanged(watch: &mut ConfigWatch) {
    assert!(tokio::time::timeout(A_WHILE, watch.changed()).await.is_err(), "a change was told");
}

#[tokio::test]
async fn a_file_written_in_place_has_changed_once_all_is_written() {
    let place = Place::new();
    write(place.at("c.toml"), "one").unwrap();
    let mut watch = ConfigWatch::new(&place.at("c.toml")).unwrap();
    let path = place.at("c.toml");
    let writer = async {
        for part in ["t", "tw", "two"] {
            write(&path, part).unwrap();
            tokio::time::sleep(QUIET / 5).await;
        }
    };
    tokio::join!(writer, async {
        changed(&mut watch).await;
        assert_eq!(read_to_string(&path).unwrap(), "two");
    });
    assert_unchanged(&mut watch).await;
}

#[tokio::test]
async fn a_file_replaced_by_rename_has_changed_each_time() {
    let place = Place::new();
    write(place.at("c.toml"), "one").unwrap();
    let mut watch = ConfigWatch::new(&place.at("c.toml")).unwrap();
    for text in ["two", "six"] {
        write(place.at(".c.toml.swp"), text).unwrap();
        rename(place.at(".c.toml.swp"), place.at("c.toml")).unwrap();
        changed(&mut watch).await;
    }
    // The new file is watched as the old one was.
    write(place.at("c.toml"), "ten").unwrap();
    changed(&mut watch).await;
}

#[tokio::test]
async fn a_file_deleted_and_made_again_has_changed_both_times() {
    let place = Place::new();
    write(place.at("c.toml"), "one").unwrap();
    let mut watch = ConfigWatch::new(&place.at("c.toml")).unwrap();
    remove_file(place.at("c.toml")).unwrap();
    changed(&mut watch).await;
    write(place.at("c.toml"), "one").unwrap();
    changed(&mut watch).await;
}

#[tokio::test]
async fn a_config_map_that_is_switched_over_has_changed() {
    let place = Place::new();
    for (version, text) in [("..v1", "one"), ("..v2", "two"), ("..v3", "six")] {
        create_dir(place.at(version)).unwrap();
        write(place.at(version).join("c.toml"), text).unwrap();
    }
    symlink("..v1", place.at("..data")).unwrap();
    symlink("..data/c.toml", place.at("c.toml")).unwrap();
    let mut watch = ConfigWatch::new(&place.at("c.toml")).unwrap();
    for (old, new) in [("..v1", "..v2"), ("..v2", "..v3")] {
        symlink(new, place.at("..data_tmp")).unwrap();
        rename(place.at("..data_tmp"), place.at("..data")).unwrap();
        remove_dir_all(place.at(old)).unwrap();
        changed(&mut watch).await;
    }
    assert_eq!(read_to_string(place.at("c.toml")).unwrap(), "six");
    assert_unchanged(&mut watch).await;
}

#[tokio::test]
async fn a_symlink_in_the_middle_of_the_path_is_followed() {
    let place = Place::new();
    for version in ["v1", "v2"] {
        create_dir(place.at(version)).unwrap();
        write(place.at(version).join("c.toml"), version).unwrap();
    }
    symlink(place.at("v1"), place.at("current")).unwrap();
    let mut watch = ConfigWatch::new(&place.at("current/c.toml")).unwrap();
    symlink("v2", place.at("next")).unwrap();
    rename(place.at("next"), place.at("current")).unwrap();
    changed(&mut watch).await;
    write(place.at("v1/c.toml"), "nobody looks here any more").unwrap();
    assert_unchanged(&mut watch).await;
    write(place.at("v2/c.toml"), "but here").unwrap();
    changed(&mut watch).await;
}

#[tokio::test]
async fn a_directory_that_goes_and_comes_back_is_waited_for() {
    let place = Place::new();
    create_dir(place.at("etc")).unwrap();
    write(place.at("etc/c.toml"), "one").unwrap();
    let mut watch = ConfigWatch::new(&place.at("etc/c.toml")).unwrap();
    remove_dir_all(place.at("etc")).unwrap();
    changed(&mut watch).await;
    create_dir(place.at("etc")).unwrap();
    assert_unchanged(&mut watch).await;
    write(place.at("etc/c.toml"), "two").unwrap();
    changed(&mut watch).await;
}

#[tokio::test]
async fn other_files_and_readers_are_no_change() {
    let place = Place::new();
    write(place.at("c.toml"), "one").unwrap();
    let mut watch = ConfigWatch::new(&place.at("c.toml")).unwrap();
    write(place.at("d.toml"), "two").unwrap();
    read_to_string(place.at("c.toml")).unwrap();
    assert_unchanged(&mut watch).await;
}

#[tokio::test]
async fn a_future_that_is_dropped_again_and_again_loses_nothing() {
    let place = Place::new();
    write(place.at("c.toml"), "one").unwrap();
    let mut watch = ConfigWatch::new(&place.at("c.toml")).unwrap();
    write(place.at("c.toml"), "two").unwrap();
    let dropped =
        async { while tokio::time::timeout(QUIET / 10, watch.changed()).await.is_err() {} };
    tokio::time::timeout(PATIENCE, dropped).await.unwrap();
}

#[tokio::test]
async fn a_file_that_never_rests_is_told_of_all_the_same() {
    let place = Place::new();
    write(place.at("c.toml"), "one").unwrap();
    let mut watch = ConfigWatch::new(&place.at("c.toml")).unwrap();
    let path = place.at("c.toml");
    tokio::select! {
        () = changed(&mut watch) => {}
        () = async {
            loop {
                write(&path, "more").unwrap();
                tokio::time::sleep(QUIET / 10).await;
            }
        } => {}
    }
}
