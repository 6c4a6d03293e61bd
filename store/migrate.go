package store

import (
	"errors"
	"fmt"
	"time"
)

// applicationID marks the file as skiff's (PRAGMA application_id): "skif".
const applicationID = 0x736b6966

// migrations lead from each schema version to the next; the first makes the
// schema. One that has been released is never changed: add another.
//
// The SQL keeps to what old sqlite3 shells read as well, for the people who look.
var migrations = []string{
	`
CREATE TABLE meta (
	key   TEXT PRIMARY KEY NOT NULL,
	value NOT NULL
) WITHOUT ROWID;

INSERT INTO meta (key, value) VALUES ('schema', 1), ('revision', 1);

CREATE TABLE objects (
	resource   TEXT NOT NULL,    -- "pods", "replicasets.apps"
	namespace  TEXT NOT NULL,    -- "" when cluster-scoped
	name       TEXT NOT NULL,
	uid        TEXT NOT NULL,
	revision   INTEGER NOT NULL, -- the object's resourceVersion
	updated_at TEXT NOT NULL,    -- last write, UTC
	object     TEXT NOT NULL,    -- JSON, without metadata.resourceVersion
	PRIMARY KEY (resource, namespace, name)
);
`,
}

// migrate leads the schema from version to the newest, each step in a transaction
// of its own.
func migrate(conn connection, version int, now time.Time) error {
	for ; version < len(migrations); version++ {
		if err := step(conn, version+1, migrations[version], now); err != nil {
			return fmt.Errorf("migrate the schema from version %d to %d: %w", version, version+1, err)
		}
	}
	return nil
}

func step(conn connection, version int, sql string, now time.Time) error {
	tx, err := conn.Begin()
	if err != nil {
		return err
	}
	for _, sql := range []string{
		sql,
		fmt.Sprintf("UPDATE meta SET value = %d WHERE key = 'schema'", version),
		fmt.Sprintf("INSERT OR REPLACE INTO meta (key, value) VALUES ('migrated to schema %d at', '%s')", version, now.UTC().Format(timeFormat)),
		fmt.Sprintf("PRAGMA application_id = %d", applicationID),
		fmt.Sprintf("PRAGMA user_version = %d", version),
	} {
		if _, err := conn.Exec(sql, nil); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}
