// Package store keeps the desired and the observed state: every object with
// its versions, in memory to be read and in one SQLite file to survive.
//
// # Writes
//
// Commit is the only way in. The caller's goroutine copies and encodes the
// object; one writer (Run) checks the expected revisions, writes all commits that
// are waiting in one SQLite transaction (group commit), and only when that is
// durable (WAL, synchronous=FULL) makes it visible and answers. A commit that is
// refused touches nothing and does not disturb the others of its transaction.
//
// # Reads
//
// Reads never touch the disk. What readers see is one immutable view: per
// resource a copy-on-write tree of the objects and one for each index. The
// writer builds the next view beside it and swaps a pointer, so a view is always
// the outcome of whole commits, and taking a Snapshot costs nothing.
//
// # Revisions
//
// One counter for the whole store; each single change has its own number, also
// within one commit, so a watcher can resume behind any event it has seen. The
// counter survives restarts and deletes. It starts at 1, because clients read
// resourceVersion "0" as "any".
//
// # Watches
//
// Events are kept per resource, in the order of their revisions; a Watch is a
// cursor in them. Slow watchers lose their place (ErrExpired), they never hold up
// the writer. View and events are swapped under one lock, which is why nothing
// gets lost between a snapshot and the watch that continues it.
//
// # On disk
//
// One table `objects`, one row an object, with the object's JSON as text:
//
//	sqlite3 skiff.db "select namespace, name, object from objects where resource = 'pods'"
//
// metadata.resourceVersion is not part of the JSON, it is the column `revision`:
// the number is known only when the writer has the transaction open, and
// encoding is the callers' work, not the writer's.
package store
