//! One writer, many readers. A reader picks up the newest snapshot once per burst: one relaxed
//! load when nothing changed. The writer keeps every retired snapshot until each reader has
//! moved on, so that the last reference to a large table is never dropped inside a burst.


