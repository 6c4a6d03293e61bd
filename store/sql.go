package store

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// row is an object as it lies on disk.
type row struct {
	key      Key
	revision uint64
	updated  time.Time
	json     string
}

// timeFormat of updated_at: UTC, so that text sorts as time does.
const timeFormat = "2006-01-02T15:04:05.000Z"

// rows gives all objects, by key.
func (db *database) rows(fn func(row) error) error {
	const all = "SELECT resource, namespace, name, revision, updated_at, object FROM objects ORDER BY resource, namespace, name"
	return query(db.conn, all, func(v []driver.Value) error {
		var r row
		var updated string
		if err := scan(v, &r.key.Resource, &r.key.Namespace, &r.key.Name, &r.revision, &updated, &r.json); err != nil {
			return fmt.Errorf("%w: row %v: %w", ErrCorrupt, v[:3], err)
		}
		var err error
		if r.updated, err = time.Parse(timeFormat, updated); err != nil {
			return fmt.Errorf("%w: %s: updated_at: %w", ErrCorrupt, r.key, err)
		}
		return fn(r)
	})
}

// execute runs a statement that must change so many rows.
func execute(stmt statement, rows int64, args ...driver.Value) error {
	result, err := stmt.Exec(args)
	if err != nil {
		return err
	}
	if rows == 0 {
		return nil
	}
	changed, err := result.RowsAffected()
	if err != nil {
		return err
	}
	if changed != rows {
		return errors.New("the database is not as skiff left it: has another program written to it? Restart skiff")
	}
	return nil
}

// query calls fn with each row, whose values are valid only in the call.
func query(conn connection, sql string, fn func([]driver.Value) error) error {
	rows, err := conn.Query(sql, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	if err := each(rows, fn); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

func each(rows driver.Rows, fn func([]driver.Value) error) error {
	values := make([]driver.Value, len(rows.Columns()))
	for {
		err := rows.Next(values)
		if errors.Is(err, io.EOF) {
			return rows.Close()
		}
		if err == nil {
			err = fn(values)
		}
		if err != nil {
			return errors.Join(err, rows.Close())
		}
	}
}

// one gives the first value of the last row; nil when there is none.
func one(rows driver.Rows, err error) (driver.Value, error) {
	if err != nil {
		return nil, err
	}
	var value driver.Value
	err = each(rows, func(v []driver.Value) error {
		if len(v) > 0 {
			value = v[0]
		}
		return nil
	})
	return value, err
}

func queryInt(conn connection, sql string) (int64, error) {
	value, err := one(conn.Query(sql, nil))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", sql, err)
	}
	n, ok := value.(int64)
	if !ok {
		return 0, fmt.Errorf("%s: %v is not a number", sql, value)
	}
	return n, nil
}

func queryText(conn connection, sql string) (string, error) {
	value, err := one(conn.Query(sql, nil))
	if err != nil {
		return "", fmt.Errorf("%s: %w", sql, err)
	}
	switch v := value.(type) {
	case nil:
		return "", nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case string:
		return v, nil
	default:
		return "", fmt.Errorf("%s: %v is not text", sql, value)
	}
}

// scan takes a row's values over into variables of their types.
func scan(values []driver.Value, to ...any) error {
	for i, v := range values {
		switch to := to[i].(type) {
		case *string:
			text, ok := v.(string)
			if !ok {
				return fmt.Errorf("column %d is not text", i)
			}
			*to = text
		case *uint64:
			n, ok := v.(int64)
			if !ok || n < 1 {
				return fmt.Errorf("column %d is not a positive number", i)
			}
			*to = uint64(n)
		}
	}
	return nil
}
