package rest

import (
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"time"

	"github.com/go-chi/httprate"
	"github.com/google/uuid"

	"github.com/bgce/archive/platform/fault"
)

var errLimited = fault.New(fault.Limited, "rest.limited", "too many requests; wait as Retry-After says")

// Limits are requests a minute, per address and per account, counted in this process. 0 is the default, negative is no limit.
type Limits struct {
	Reads, Writes, Auth int
}

// The defaults: far above what people do, far below what hurts.
const (
	defaultReads  = 6000
	defaultWrites = 3000
	defaultAuth   = 60
)

type class int

const (
	read class = iota
	write
	auth
)

var classNames = [...]string{"read", "write", "auth"}

const window = time.Minute

// limiter counts in sliding windows: the current one, and the part of the last that still overlaps.
type limiter struct {
	quota     [3]int
	policy    [3]string
	addresses [3]httprate.LimitCounter
	accounts  [3]httprate.LimitCounter
}

func newLimiter(l Limits) *limiter {
	m := &limiter{quota: [3]int{or(l.Reads, defaultReads), or(l.Writes, defaultWrites), or(l.Auth, defaultAuth)}}
	for i := range m.quota {
		m.policy[i] = fmt.Sprintf(`"%s";q=%d;w=%d`, classNames[i], m.quota[i], int(window.Seconds()))
		m.addresses[i] = httprate.NewLocalLimitCounter(window)
		m.accounts[i] = httprate.NewLocalLimitCounter(window)
	}
	return m
}

func or(n, fallback int) int {
	if n == 0 {
		return fallback
	}
	return n
}

// address limits what one client address may do; IPv6 clients own a /64.
func (m *limiter) address(w http.ResponseWriter, req *request) error {
	if m.quota[req.route.class] < 0 {
		return nil
	}
	ip := req.ip
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			ip = p.Addr()
		}
	}
	return m.count(w, m.addresses[req.route.class], req.route.class, key(ip))
}

func key(ip netip.Addr) string { b := ip.As16(); return string(b[:]) }

// account limits what one account may do from all its addresses.
func (m *limiter) account(w http.ResponseWriter, req *request) error {
	id := req.caller.Account()
	if id == uuid.Nil || m.quota[req.route.class] < 0 {
		return nil
	}
	return m.count(w, m.accounts[req.route.class], req.route.class, string(id[:]))
}

func (m *limiter) count(w http.ResponseWriter, counter httprate.LimitCounter, c class, key string) error {
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
		return errLimited.RetryAfter(reset)
	}
	return counter.IncrementBy(key, current, 1)
}
