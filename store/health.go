package store

// Healthy returns nil while the store takes writes, and otherwise why the last transaction failed,
// or ErrClosed once Run has ended. Reads go on either way.
func (s *Store) Healthy() error {
	select {
	case <-s.stopped:
		return ErrClosed
	default:
	}
	if err := s.failure.Load(); err != nil {
		return *err
	}
	return nil
}
