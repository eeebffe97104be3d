package problem_test

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"

	"github.com/bgce/archive/platform/fault"
	"github.com/bgce/archive/platform/rest/problem"
)

// A connection that breaks under a request is worth a repeat; what else went wrong stays hidden.
func TestABrokenConnectionAsksForARepeat(t *testing.T) {
	broken := fmt.Errorf("write failed: %w", &net.OpError{Op: "write", Net: "unix", Err: syscall.EPIPE})
	for _, test := range []struct {
		err    error
		status int
		code   string
	}{
		{broken, 503, "rest.unavailable"},
		{fault.ErrInternal.WithCause(broken), 503, "rest.unavailable"},
		{errors.New("index out of range"), 500, "rest.internal"},
	} {
		p := problem.Of(problem.Fault(test.err))
		if p.Status != test.status || p.Code != test.code {
			t.Errorf("%v: %d %s, want %d %s", test.err, p.Status, p.Code, test.status, test.code)
		}
		if retry := p.GetHeaders().Get("Retry-After"); (retry != "") != (test.status == 503) {
			t.Errorf("%v: Retry-After %q", test.err, retry)
		}
	}
}
