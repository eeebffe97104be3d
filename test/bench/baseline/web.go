package baseline

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// PostsSchema is a plain table of articles.
const PostsSchema = `CREATE TABLE IF NOT EXISTS posts (
	id         uuid PRIMARY KEY,
	tenant     uuid NOT NULL,
	owner      uuid NOT NULL,
	slug       text NOT NULL,
	title      text NOT NULL,
	body       text NOT NULL,
	status     text NOT NULL DEFAULT 'draft',
	created_at timestamptz NOT NULL,
	UNIQUE (tenant, slug)
)`

// Web is the two handlers: one INSERT, and one SELECT by id.
type Web struct {
	DB   *pgxpool.Pool
	Keys map[string]ed25519.PublicKey // by key id

	mu    sync.Mutex
	known map[string]known // tokens checked in the last 10 s, as the Archive keeps them
}

type known struct {
	claims claims
	until  time.Time
}

type claims struct {
	Tenant uuid.UUID `json:"tenant"`
	jwt.RegisteredClaims
}

type post struct {
	ID        uuid.UUID `json:"id"`
	Title     string    `json:"title"`
	Body      string    `json:"body"`
	Slug      string    `json:"slug"`
	Status    string    `json:"status"`
	Owner     uuid.UUID `json:"owner"`
	CreatedAt time.Time `json:"created_at"`
}

// Handler routes /posts.
func (s *Web) Handler() http.Handler {
	s.known = map[string]known{}
	r := chi.NewRouter()
	r.Post("/api/v1/posts", s.create)
	r.Get("/api/v1/posts/{id}", s.read)
	return r
}

// Key decodes one member of a JWKS.
func Key(x string) (ed25519.PublicKey, error) { return base64.RawURLEncoding.DecodeString(x) }

func (s *Web) check(r *http.Request) (claims, error) {
	text, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !found {
		return claims{}, errors.New("no token")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, ok := s.known[text]; ok && time.Now().Before(k.until) {
		return k.claims, nil
	}
	var c claims
	_, err := jwt.ParseWithClaims(text, &c, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		return s.Keys[kid], nil
	}, jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithIssuer("archive"), jwt.WithAudience("archive"), jwt.WithExpirationRequired())
	if err == nil {
		s.known[text] = known{c, time.Now().Add(10 * time.Second)}
	}
	return c, err
}

var slugs = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,199}$`)

func (p *post) valid() bool {
	n := utf8.RuneCountInString(p.Title)
	return strings.TrimSpace(p.Title) != "" && n <= 300 && len(p.Body) <= 1<<20 && slugs.MatchString(p.Slug)
}

func (s *Web) create(w http.ResponseWriter, r *http.Request) {
	c, err := s.check(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	var p post
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, 8<<20))
	body.DisallowUnknownFields()
	if body.Decode(&p) != nil || !p.valid() {
		http.Error(w, "not a post", http.StatusUnprocessableEntity)
		return
	}
	p.ID = uuid.Must(uuid.NewV7())
	_, err = s.DB.Exec(r.Context(), `INSERT INTO posts (id, tenant, owner, slug, title, body, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		[16]byte(p.ID), [16]byte(c.Tenant), c.Subject, p.Slug, p.Title, p.Body, time.Now().UTC())
	if err != nil {
		http.Error(w, "not stored", http.StatusInternalServerError)
		return
	}
	answer(w, http.StatusCreated, map[string]any{"id": p.ID})
}

func (s *Web) read(w http.ResponseWriter, r *http.Request) {
	c, err := s.check(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	var p post
	err = s.DB.QueryRow(r.Context(), `SELECT id, title, body, slug, status, owner, created_at FROM posts WHERE tenant = $1 AND id = $2`, [16]byte(c.Tenant), chi.URLParam(r, "id")).
		Scan((*[16]byte)(&p.ID), &p.Title, &p.Body, &p.Slug, &p.Status, (*[16]byte)(&p.Owner), &p.CreatedAt)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		http.Error(w, "no such post", http.StatusNotFound)
	case err != nil:
		http.Error(w, "not readable", http.StatusInternalServerError)
	default:
		answer(w, http.StatusOK, p)
	}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
