package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/google/uuid"

	"github.com/bgce/archive/platform/directory"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/fault"
	"github.com/bgce/archive/platform/rest/problem"
)

var (
	errUnknownHost    = fault.New(fault.Misdirected, "rest.unknown_host", "no tenant answers on this host")
	errTenantInactive = fault.New(fault.Forbidden, "rest.tenant_inactive", "this tenant is not active")
	errUnauthorized   = fault.New(fault.Unauthorized, "rest.unauthorized", "log in and send the token as Authorization: Bearer …")
	errBadToken       = fault.New(fault.Unauthorized, "rest.invalid_token", "the token is not valid (any more); log in again")
	errWrongTenant    = fault.New(fault.Forbidden, "rest.wrong_tenant", "this token belongs to another tenant; use that tenant's host")
	errReason         = fault.New(fault.Invalid, "rest.reason_required", "acting in another tenant needs Archive-Reason: say why, in 1 to 500 characters")
	errNoTenant       = fault.New(fault.Invalid, "rest.unknown_tenant", "Archive-Tenant names no tenant")
	errDirectoryLag   = fault.New(fault.Unavailable, "rest.directory_lagging", "who may do what is more than 30 s behind the log; commands wait until it has caught up").RetryAfter(5)
	errStarting       = fault.New(fault.Unavailable, "rest.starting", "no tenants yet: the first start has not finished").RetryAfter(1)
)

// tokenReuse is how long a checked token is not checked again; suspension, role loss and log-out bite through the directory meanwhile.
const tokenReuse = 10 * time.Second

// guard is the huma middleware that lets a request through to its operation, or answers.
func (a *API) guard(rt *route) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humachi.Unwrap(ctx)
		req := requestOf(r.Context())
		if err := req.admit(w, r, rt); err != nil {
			req.refuse(w, err)
			return
		}
		next(ctx)
	}
}

// admit checks in this order: readable, limits per address, tenant, token, limits per account, permission, directory, body.
func (req *request) admit(w http.ResponseWriter, r *http.Request, rt *route) error {
	req.http, req.route = r, rt
	c := &req.caller
	c.Kernel, c.Now, c.route, c.Operation = req.api.cfg.Kernel, time.Now().UTC().Truncate(time.Microsecond), rt, rt.id
	c.IP, c.UserAgent, c.Correlation = req.ip, r.UserAgent(), req.traceID
	if err := readable(r); err != nil {
		return err
	}
	operator, _ := r.Context().Value(operatorKey{}).(string)
	if operator == "" {
		if err := req.api.limits.Address(w, rt.class, req.ip); err != nil {
			return err
		}
	}
	if rt.tenantless {
		req.allowed = public
		return req.read(w, r)
	}
	if err := req.enter(r, operator); err != nil {
		return err
	}
	if id := c.Account(); id != uuid.Nil {
		if err := req.api.limits.Account(w, rt.class, id); err != nil {
			return err
		}
	}
	if req.allowed = c.has() & rt.words; req.allowed == 0 {
		switch {
		case c.Actor == "":
			return errUnauthorized
		case rt.words&owner == 0 || c.Account() == uuid.Nil:
			return es.ErrForbidden.Withf("you may not do this; it takes: %s", strings.ReplaceAll(rt.who, "|", " or "))
		}
	}
	if rt.writes && req.api.cfg.Directory != nil && req.api.cfg.Directory.Lag() > directory.MaxLag {
		return errDirectoryLag
	}
	return req.read(w, r)
}

// readable refuses text that is no text wherever huma would take it.
func readable(r *http.Request) error {
	if !legible(r.URL.Path) {
		return problem.ErrMalformed.WithField("path", "not valid UTF-8, or contains NUL")
	}
	if r.URL.RawQuery != "" {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return problem.ErrMalformed.WithField("query", "not a readable query string")
		}
		for name, values := range query {
			for _, v := range append(values, name) {
				if !legible(v) {
					return problem.ErrMalformed.WithField("query."+strings.ToValidUTF8(strings.ReplaceAll(name, "\x00", "?"), "?"), "not valid UTF-8, or contains NUL")
				}
			}
		}
	}
	for _, name := range [...]string{"Archive-Reason", "Idempotency-Key", "If-Match", "At-Least"} {
		if !legible(r.Header.Get(name)) {
			return problem.ErrMalformed.WithField("header."+name, "not valid UTF-8, or contains NUL")
		}
	}
	return nil
}

func legible(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// enter finds the tenant by host and the caller by token or socket.
func (req *request) enter(r *http.Request, operator string) error {
	if req.api.cfg.Directory == nil {
		return problem.ErrUnavailable
	}
	tenant, err := req.hostTenant(r.Context(), operator)
	if err != nil {
		return unavailable(err)
	}
	home := tenant
	switch token := bearer(r); {
	case operator != "":
		req.caller.Actor, req.caller.Roles = es.Actor("operator:"+operator), Roles(platform|admin|editor|viewer)
	case token != "":
		if err := req.authenticate(r.Context(), token, tenant.ID); err != nil {
			return unavailable(err)
		}
	case r.Header.Get("Authorization") != "":
		return errBadToken
	}
	if elsewhere := r.Header.Get("Archive-Tenant"); elsewhere != "" {
		if tenant, err = req.elsewhere(r, home, elsewhere, operator != ""); err != nil {
			return unavailable(err)
		}
	}
	if !tenant.Active() && words(req.caller.Roles)&platform == 0 {
		return errTenantInactive
	}
	c := &req.caller
	c.Tenant, c.TenantName, c.Domain, c.ClientURL, c.Root = tenant.ID, tenant.Name, tenant.Domain, tenant.ClientURL, tenant.Root
	if c.Root && words(c.Roles)&admin != 0 {
		c.Roles |= Roles(platform)
	}
	c.Meta, err = req.meta(r)
	return err
}

func (req *request) hostTenant(ctx context.Context, operator string) (directory.Tenant, error) {
	dir, cfg := req.api.cfg.Directory, &req.api.cfg
	if req.host != "" && legible(req.host) {
		if t, ok, err := dir.ByHost(ctx, req.host); ok || err != nil {
			return t, err
		}
	}
	if operator != "" || (cfg.Loopback && (req.host == "127.0.0.1" || req.host == "::1")) {
		t, ok, err := dir.Root(ctx)
		if err == nil && !ok {
			err = errStarting
		}
		return t, err
	}
	return directory.Tenant{}, errUnknownHost.Withf(
		"no tenant answers on %q; ARCHIVE_DOMAIN is %q, and a tenant's own domain must be verified first", strings.ToValidUTF8(req.host, "?"), cfg.Domain)
}

// authenticate checks the token, then what the directory says of account and session now.
func (req *request) authenticate(ctx context.Context, token string, tenant uuid.UUID) error {
	claims, err := req.api.verify(ctx, token)
	if err != nil {
		req.bad = true
		return err
	}
	if claims.Tenant != tenant {
		return errWrongTenant
	}
	req.claims = claims
	return req.stand(ctx)
}

// stand takes the caller's roles from the directory. A token fresh enough to be ahead of the directory stands on its own claims.
func (req *request) stand(ctx context.Context) error {
	claims, c := req.claims, &req.caller
	now := time.Now()
	if !claims.Expires.IsZero() && now.After(claims.Expires) {
		req.bad = true
		return errBadToken
	}
	s, err := req.api.cfg.Directory.Standing(ctx, claims.Tenant, claims.Subject, claims.Session)
	if err != nil {
		return err
	}
	fresh := !claims.IssuedAt.IsZero() && now.Sub(claims.IssuedAt) < directory.MaxLag
	started := claims.IssuedAt.Add(time.Second - 1) // tokens count whole seconds
	if s.SessionKnown {
		started = s.StartedAt
	}
	roles := s.Roles
	switch {
	case !s.Known && fresh:
		roles = claims.Roles
	case !s.Known, !s.Active, s.SessionEnded, claims.Session != uuid.Nil && !s.SessionKnown && !fresh, started.Before(s.ValidFrom):
		req.bad = true
		return errBadToken
	}
	c.Actor, c.Session, c.Roles = es.UserActor(claims.Subject), claims.Session, rolesOf(roles)
	return nil
}

func (a *API) verify(ctx context.Context, token string) (Claims, error) {
	if claims, ok := a.tokens.GetIfPresent(token); ok {
		return claims, nil
	}
	if a.cfg.Verifier == nil {
		return Claims{}, problem.ErrUnavailable
	}
	claims, err := a.cfg.Verifier.Verify(ctx, token)
	if err != nil {
		if f := new(fault.Fault); errors.As(err, &f) && (f.Kind == fault.Unavailable || f.Kind == fault.Unauthorized) {
			return Claims{}, err
		}
		return Claims{}, errBadToken.WithCause(err)
	}
	a.tokens.Set(token, claims)
	return claims, nil
}

// elsewhere lets the platform act in another tenant, for a stated reason.
func (req *request) elsewhere(r *http.Request, home directory.Tenant, name string, operator bool) (directory.Tenant, error) {
	if !operator && !(home.Root && req.caller.Roles.Has("admin")) {
		if req.caller.Actor == "" {
			return home, errUnauthorized
		}
		return home, es.ErrForbidden.Withf("only platform administrators may act in another tenant")
	}
	id, err := uuid.Parse(name)
	if err != nil {
		return home, errNoTenant.WithField("header.Archive-Tenant", "not a UUID")
	}
	reason := r.Header.Get("Archive-Reason")
	if n := utf8.RuneCountInString(reason); n > 500 || (n == 0 && !operator) {
		return home, errReason.WithField("header.Archive-Reason", "1 to 500 characters")
	}
	t, ok, err := req.api.cfg.Directory.ByID(r.Context(), id)
	if err == nil && !ok {
		err = errNoTenant
	}
	req.caller.Roles |= Roles(platform)
	return t, err
}

// meta is what is stored beside the events of this request.
func (req *request) meta(r *http.Request) ([]byte, error) {
	reason, other, correlation := r.Header.Get("Archive-Reason"), r.Header.Get("Archive-Tenant"), r.Header.Get("Correlation-Id")
	if correlation != "" {
		id, err := uuid.Parse(correlation)
		if err != nil {
			return nil, problem.ErrInvalid.WithField("header.Correlation-Id", "not a UUID")
		}
		req.caller.Correlation = id
	}
	if (reason == "" || words(req.caller.Roles)&platform == 0) && other == "" && req.parent == "" {
		return nil, nil
	}
	m := struct {
		Reason string `json:"reason,omitempty"`
		Tenant string `json:"archive_tenant,omitempty"`
		Trace  string `json:"traceparent,omitempty"`
	}{Tenant: other, Trace: req.parent}
	if words(req.caller.Roles)&platform != 0 {
		m.Reason = reason
	}
	return json.Marshal(m)
}

func bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// challenge is the WWW-Authenticate of a 401.
func (req *request) challenge() string {
	if req.bad {
		return `Bearer realm="archive", error="invalid_token"`
	}
	return `Bearer realm="archive"`
}

// unavailable keeps refusals and hides that a part did not answer behind a 503.
func unavailable(err error) error {
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		return f
	}
	return problem.ErrUnavailable.WithCause(err)
}
