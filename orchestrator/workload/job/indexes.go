package job

import (
	"slices"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// span is the completion indexes from first to last.
type span struct{ first, last int }

func (s span) size() int { return s.last - s.first + 1 }

// indexes is a set of completion indexes: spans in order, none touching the next.
type indexes []span

// indexesOf makes a set of single indexes.
func indexesOf(list []int) indexes {
	slices.Sort(list)
	var s indexes
	for _, i := range list {
		s = s.append(span{i, i})
	}
	return s
}

// parseIndexes reads what String writes. What is not below completions is left
// out, and so is what can not be read.
func parseIndexes(text string, completions int) indexes {
	var s indexes
	for part := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(part, "-")
		first, err := strconv.Atoi(low)
		if err != nil || first >= completions {
			continue
		}
		last := first
		if isRange {
			if last, err = strconv.Atoi(high); err != nil {
				continue
			}
		}
		s = s.append(span{first, min(last, completions-1)})
	}
	return s
}

// append adds a span that begins no earlier than the last of s.
func (s indexes) append(next span) indexes {
	if n := len(s); n > 0 && next.first <= s[n-1].last+1 {
		s[n-1].last = max(s[n-1].last, next.last)
		return s
	}
	return append(s, next)
}

// with are the indexes of both.
func (s indexes) with(other indexes) indexes {
	all := slices.Concat(s, other)
	slices.SortFunc(all, func(a, b span) int { return a.first - b.first })
	var merged indexes
	for _, next := range all {
		merged = merged.append(next)
	}
	return merged
}

func (s indexes) has(i int) bool {
	at, found := slices.BinarySearchFunc(s, i, func(p span, i int) int { return p.first - i })
	return found || at > 0 && s[at-1].last >= i
}

func (s indexes) count() int {
	n := 0
	for _, p := range s {
		n += p.size()
	}
	return n
}

// common is how many indexes are in both.
func (s indexes) common(other indexes) int {
	n := 0
	for i, j := 0, 0; i < len(s) && j < len(other); {
		n += max(0, min(s[i].last, other[j].last)-max(s[i].first, other[j].first)+1)
		if s[i].last < other[j].last {
			i++
		} else {
			j++
		}
	}
	return n
}

// missing are the first n indexes below completions that are not in s.
func (s indexes) missing(n, completions int) []int {
	var free []int
	next := 0
	for _, p := range append(slices.Clone(s), span{completions, completions}) {
		for ; next < min(p.first, completions) && len(free) < n; next++ {
			free = append(free, next)
		}
		next = max(next, p.last+1)
	}
	return free
}

// String is the set as it stands in a job's status: 1,3-5,7,8.
func (s indexes) String() string {
	var parts []string
	for _, p := range s {
		switch p.size() {
		case 1:
			parts = append(parts, strconv.Itoa(p.first))
		case 2:
			parts = append(parts, strconv.Itoa(p.first), strconv.Itoa(p.last))
		default:
			parts = append(parts, strconv.Itoa(p.first)+"-"+strconv.Itoa(p.last))
		}
	}
	return strings.Join(parts, ",")
}

// noIndex is the index of a pod that has none.
const noIndex = -1

// indexOf is a pod's completion index.
func indexOf(p *corev1.Pod) int {
	i, err := strconv.Atoi(p.Annotations[batchv1.JobCompletionIndexAnnotation])
	if err != nil || i < 0 {
		return noIndex
	}
	return i
}
