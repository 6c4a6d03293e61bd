package store

import "database/sql/driver"

// connection is what the store needs of a driver's connection. There are two drivers: SQLite itself,
// in C, and for builds without cgo the same translated to Go. Both read and write the same files.
type connection interface {
	// Exec runs statements that are separated by semicolons.
	Exec(sql string, args []driver.Value) (driver.Result, error)
	Query(sql string, args []driver.Value) (driver.Rows, error)
	Prepare(sql string) (driver.Stmt, error)
	Begin() (driver.Tx, error)
	Close() error
}

// statement is what the store needs of a driver's prepared statement.
type statement interface {
	Exec(args []driver.Value) (driver.Result, error)
	Query(args []driver.Value) (driver.Rows, error)
	Close() error
}

// SQLite's result codes that mean something to the store (https://sqlite.org/rescode.html). The
// primary code is the lowest byte of an extended one.
const (
	primary = 0xff

	codeCorrupt      = 11
	codeFull         = 13
	codeNotADatabase = 26

	codeIO      = 10
	codeWrite   = codeIO | 3<<8
	codeShmOpen = codeIO | 18<<8
	codeShmSize = codeIO | 19<<8
	codeShmMap  = codeIO | 21<<8
)
