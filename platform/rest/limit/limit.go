// Package limit counts requests in sliding windows, in this process.
package limit

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"time"

	"github.com/go-chi/httprate"
	"github.com/google/uuid"

	"github.com/bgce/archive/platform/fault"
)

// ErrLimited asks to wait.
var ErrLimited = fault.New(fault.Limited, "rest.limited", "too many requests; wait as Retry-After says")

// Quota is requests a minute, per address and per account, counted in this process. 0 is the default, negative is no limit.
type Quota struct {
	Reads, Writes, Auth int
}

// The defaults: far above what people do, far below what hurts.
const (
	defaultReads  = 6000
	defaultWrites = 3000
	defaultAuth   = 60
)

// Class is what a request is counted as.
type Class int

// The classes.
const (
	Read Class = iota
	Write
	Auth
)

var classNames = [...]string{"read", "write", "auth"}

const window = time.Minute

// Limiter counts in sliding windows: the current one, and the part of the last that still overlaps.
type Limiter struct {
	quota     [3]int
	policy    [3]string
	addresses [3]httprate.LimitCounter
	accounts  [3]httprate.LimitCounter
}

// New makes a limiter with nothing counted.
func New(q Quota) *Limiter {
	m := &Limiter{quota: [3]int{cmp.Or(q.Reads, defaultReads), cmp.Or(q.Writes, defaultWrites), cmp.Or(q.Auth, defaultAuth)}}
	for i := range m.quota {
		m.policy[i] = fmt.Sprintf(`"%s";q=%d;w=%d`, classNames[i], m.quota[i], int(window.Seconds()))
		m.addresses[i] = httprate.NewLocalLimitCounter(window)
		m.accounts[i] = httprate.NewLocalLimitCounter(window)
	}
	return m
}

// Address counts a request of a client's address; IPv6 clients own a /64. A negative quota is none.
func (m *Limiter) Address(w http.ResponseWriter, c Class, ip netip.Addr) error {
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			ip = p.Addr()
		}
	}
	b := ip.As16()
	return m.count(w, m.addresses[c], c, b)
}

// Account counts a request of an account, from all its addresses.
func (m *Limiter) Account(w http.ResponseWriter, c Class, id uuid.UUID) error {
	return m.count(w, m.accounts[c], c, id)
}

func (m *Limiter) count(w http.ResponseWriter, counter httprate.LimitCounter, c Class, id [16]byte) error {
	if m.quota[c] < 0 {
		return nil
	}
	key := string(id[:])
	now := time.Now().UTC()
	current := now.Truncate(window)
	cur, prev, err := counter.Get(key, current, current.Add(-window))
	if err != nil {
		return err
	}
	into := now.Sub(current)
	used := float64(cur) + float64(prev)*float64(window-into)/float64(window)
	left := max(0, m.quota[c]-int(math.Ceil(used))-1)
	reset := int(math.Ceil((window - into).Seconds()))
	h := w.Header()
	h["Ratelimit-Policy"] = []string{m.policy[c]}
	h["Ratelimit"] = []string{fmt.Sprintf(`"%s";r=%d;t=%d`, classNames[c], left, reset)}
	if used+1 > float64(m.quota[c]) {
		return ErrLimited.RetryAfter(reset)
	}
	return counter.IncrementBy(key, current, 1)
}
