package postgres

import (
	"strconv"

	"github.com/bgce/archive/platform/eventstore"
)

// A position is the event's number behind a letter for how many digits it has, so that tokens order as strings: 42 is "b42".
func token(n int64) eventstore.Position {
	if n <= 0 {
		return ""
	}
	digits := strconv.FormatInt(n, 10)
	return eventstore.Position(string(rune('a'+len(digits)-1)) + digits)
}

func number(p eventstore.Position) (int64, error) {
	if p == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(string(p[1:]), 10, 64)
	if err != nil || token(n) != p {
		return 0, &notAPosition{p}
	}
	return n, nil
}

type notAPosition struct{ p eventstore.Position }

func (e *notAPosition) Error() string {
	return "eventstore: " + strconv.Quote(string(e.p)) + " is not a position of this log"
}

func (e *notAPosition) Unwrap() error { return eventstore.ErrInvalid }
