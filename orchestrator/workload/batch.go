package workload

import "golang.org/x/sync/errgroup"

// SlowStart calls do count times: first once, then in batches of 2, 4, 8 and so
// on at the same time, for as long as all of a batch succeed. When all would
// fail for the same reason, a quota for example, one fails and not hundreds.
// It returns how many calls succeeded, and the error of one that did not.
func SlowStart(count int, do func() error) (succeeded int, err error) {
	for size := 1; count > 0; size *= 2 {
		size = min(size, count)
		failed, err := together(size, do)
		succeeded += size - failed
		if err != nil {
			return succeeded, err
		}
		count -= size
	}
	return succeeded, nil
}

// together calls do n times at once and returns when all have ended.
func together(n int, do func() error) (failed int, first error) {
	errs := make([]error, n)
	var group errgroup.Group
	for i := range errs {
		group.Go(func() error { errs[i] = do(); return errs[i] })
	}
	first = group.Wait()
	for _, err := range errs {
		if err != nil {
			failed++
		}
	}
	return failed, first
}
