package store

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
)

// Store is the state, in memory and on disk. Its methods may be called by many
// goroutines.
type Store struct {
	codec   Codec
	clock   clock.WithTicker
	logger  *slog.Logger
	schemas map[string]*tableSchema
	others  []index // of resources that schemas does not name
	ttl     map[string]time.Duration
	window  int
	opened  uint64 // the revision found on disk; of earlier events nothing is known

	view     atomic.Pointer[view]
	retained retained
	// compacted is the revision before which nothing is told any more: that of some minutes ago.
	compacted atomic.Uint64

	// mu is held to swap the view together with what goes with it.
	mu       sync.RWMutex
	logs     map[string]*eventLog
	advanced chan struct{} // closed and replaced when the revision grows

	queue    chan *commit  // unbuffered: whoever is waiting to send has not begun
	stopped  chan struct{} // closed when no commit will be taken any more
	stopOnce sync.Once
	failure  atomic.Pointer[error] // of the last transaction, nil if it succeeded
	writing  sync.Mutex            // held by Run, and for good by Close; guards writer and its database
	writer   *writer
	close    func() error

	metrics *metrics
	watches atomic.Int64
}

// Open reads the database into memory, making it or migrating it first when
// needed. A file that is not to be trusted is looked at read-only and left exactly
// as it was: ErrCorrupt, ErrForeign, ErrNewerSchema, wrapped with what to do about
// it. (A row that cannot be decoded is found later, and is ErrCorrupt too: the
// content is then as it was, but the log may have been brought over into the file.)
// Commits wait until Run.
func Open(o Options) (*Store, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	db, err := openDatabase(o.Path, o.Clock.Now())
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", o.Path, err)
	}
	s := newStore(o)
	if err := s.load(db); err != nil {
		return nil, fmt.Errorf("open store %s: %w", o.Path, errors.Join(err, db.close()))
	}
	s.metrics, err = newMetrics(s, o)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", o.Path, errors.Join(err, db.close()))
	}
	s.writer = newWriter(s, db)
	s.close = sync.OnceValue(s.shut)
	return s, nil
}

func (o *Options) complete() error {
	if o.Path == "" || o.Codec == nil {
		return errors.New("options lack Path or Codec")
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Window <= 0 {
		o.Window = 10_000
	}
	for resource, age := range o.TTL {
		if age <= 0 {
			return fmt.Errorf("TTL of %s is %s, it must be positive", resource, age)
		}
	}
	return nil
}

func newStore(o Options) *Store {
	return &Store{
		codec:    o.Codec,
		clock:    o.Clock,
		logger:   o.Logger,
		schemas:  schemasOf(o.Indexes),
		others:   sorted(o.OtherIndexes),
		ttl:      o.TTL,
		window:   o.Window,
		retained: retained{snapshots: map[retainedKey]retainedSnapshot{}},
		logs:     map[string]*eventLog{},
		advanced: make(chan struct{}),
		queue:    make(chan *commit),
		stopped:  make(chan struct{}),
	}
}

// load fills the first view from disk.
func (s *Store) load(db *database) error {
	revision, err := db.revision()
	if err != nil {
		return err
	}
	s.opened = revision
	v := &view{revision: revision, tables: map[string]*table{}}
	err = db.rows(func(r row) error {
		e, err := s.decode(r, revision)
		if err != nil {
			return fmt.Errorf("%w: %s: %w: put it right or delete it with sqlite3; there is no other copy of it", ErrCorrupt, r.key, err)
		}
		if v.tables[r.key.Resource] == nil {
			v.tables[r.key.Resource] = newTable(s.schema(r.key.Resource))
		}
		v.tables[r.key.Resource].put(e)
		return nil
	})
	if err != nil {
		return err
	}
	s.view.Store(v)
	return nil
}

func (s *Store) decode(r row, newest uint64) (*entry, error) {
	object, err := s.codec.Decode(r.key.Resource, []byte(r.json))
	if err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	if object.GetNamespace() != r.key.Namespace || object.GetName() != r.key.Name {
		return nil, fmt.Errorf("its JSON says it is %q", object.GetNamespace()+"/"+object.GetName())
	}
	if r.revision > newest {
		return nil, fmt.Errorf("its revision %d is newer than the database's, %d", r.revision, newest)
	}
	object.SetResourceVersion(formatRevision(r.revision))
	return &entry{
		namespace: r.key.Namespace,
		name:      r.key.Name,
		object:    object,
		revision:  r.revision,
		updated:   r.updated.UnixMilli(),
	}, nil
}

// Close gives the file back. It waits for Run to end. What is in memory can still
// be read.
func (s *Store) Close() error {
	if err := s.close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

func (s *Store) shut() error {
	s.stop()
	s.writing.Lock() // for good: no Run any more
	s.metrics.unregister()
	return s.writer.db.close()
}

// stop makes Commit refuse and lets watchers go.
func (s *Store) stop() { s.stopOnce.Do(func() { close(s.stopped) }) }
