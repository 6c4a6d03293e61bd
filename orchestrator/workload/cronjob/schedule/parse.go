package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// macros are the named schedules. Their names are not folded to lower case.
var macros = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// Parse reads a schedule in Kubernetes' dialect, in a time zone. It accepts what
// upstream's validation of spec.schedule does: in particular no zone within the
// text (TZ=, CRON_TZ=).
func Parse(text string, zone *time.Location) (*Schedule, error) {
	if rest, ok := strings.CutPrefix(text, "@every "); ok {
		return parseEvery(rest)
	}
	if strings.HasPrefix(text, "@") {
		spelled, ok := macros[text]
		if !ok {
			return nil, fmt.Errorf("unknown macro %s", text)
		}
		text = spelled
	}
	words := strings.Fields(text)
	if len(words) != len(units) {
		return nil, fmt.Errorf("a schedule has 5 fields, minute, hour, day of month, month and day of week, but %q has %d", text, len(words))
	}
	f := &fields{}
	for i, word := range words {
		set, err := parseField(word, units[i])
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", units[i].name, word, err)
		}
		f[i] = set
	}
	if !f.possible() {
		return &Schedule{location: zone}, nil
	}
	return &Schedule{fields: f, expression: f.expression(), location: zone}, nil
}

// parseEvery reads the distance of @every: whole seconds, and at least one.
func parseEvery(text string) (*Schedule, error) {
	every, err := time.ParseDuration(text)
	if err != nil {
		return nil, fmt.Errorf("@every: %w", err)
	}
	return &Schedule{every: max(every.Truncate(time.Second), time.Second)}, nil
}

// parseField reads a list of ranges. Empty members are passed over, so that a
// lone comma is an empty field, which nothing matches.
func parseField(word string, u unit) (set, error) {
	var all set
	for member := range strings.SplitSeq(word, ",") {
		if member == "" {
			continue
		}
		s, err := parseRange(member, u)
		if err != nil {
			return all, err
		}
		all.values |= s.values
		all.star = all.star || s.star
	}
	return all, nil
}

// parseRange reads n, n-m, *, ? (which is the same), each with or without a
// /step. With a step, n alone is n to the end.
func parseRange(member string, u unit) (set, error) {
	span, stepText, stepped := strings.Cut(member, "/")
	if strings.Contains(stepText, "/") {
		return set{}, errors.New("more than one /")
	}
	low, high, star, err := parseSpan(span, u)
	if err != nil {
		return set{}, err
	}
	step := 1
	if stepped {
		if step, err = strconv.Atoi(stepText); err != nil {
			return set{}, fmt.Errorf("step %q is not a number", stepText)
		}
		if !strings.Contains(span, "-") {
			high = u.max
		}
	}
	switch {
	case step < 1:
		return set{}, fmt.Errorf("step %d is not positive", step)
	case low < u.min || high > u.max:
		return set{}, fmt.Errorf("not within %d to %d", u.min, u.max)
	case low > high:
		return set{}, errors.New("the range ends before it begins")
	}
	s := set{star: star && step == 1}
	for v := low; v <= high; v += min(step, u.max+1) {
		s.values |= 1 << v
	}
	return s, nil
}

// parseSpan reads n, n-m, * or ?. What follows the hyphen of *-n is passed over,
// as upstream does.
func parseSpan(span string, u unit) (low, high int, star bool, err error) {
	ends := strings.Split(span, "-")
	if ends[0] == "*" || ends[0] == "?" {
		return u.min, u.max, true, nil
	}
	if len(ends) > 2 {
		return 0, 0, false, errors.New("more than one hyphen")
	}
	if low, err = parseValue(ends[0], u); err != nil {
		return 0, 0, false, err
	}
	high = low
	if len(ends) == 2 {
		high, err = parseValue(ends[1], u)
	}
	return low, high, false, err
}

func parseValue(text string, u unit) (int, error) {
	if i, ok := u.names[strings.ToLower(text)]; ok {
		return i, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", text)
	}
	return n, nil
}
