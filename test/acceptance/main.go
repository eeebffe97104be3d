// Command acceptance compares what an import left in a running server with the file it came from.
// It starts nothing and shares no code with the import: file and numbers are read here a second time, by other means.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bgce/archive/platform/client"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "acceptance:", err)
		os.Exit(1)
	}
}

func run() error {
	var opt client.Options
	corpus := flag.String("corpus", os.Getenv("CORPUS"), "directory with data/posts.csv")
	suffixed := flag.Bool("suffix", false, "the import ran with --on-duplicate-slug suffix")
	flag.StringVar(&opt.Server, "server", os.Getenv("ARCHIVE_SERVER"), "URL of the API")
	flag.StringVar(&opt.Token, "token", os.Getenv("ARCHIVE_TOKEN"), "bearer token of an editor")
	data := flag.String("data", os.Getenv("ARCHIVE_DATA"), "data directory of a server on this machine, instead of server and token")
	flag.StringVar(&opt.Host, "host", os.Getenv("ARCHIVE_HOST"), "domain of the tenant")
	flag.Parse()
	if *corpus == "" || opt.Server == "" && *data == "" {
		return errors.New("say where the file and the server are: CORPUS, and ARCHIVE_SERVER with ARCHIVE_TOKEN, or ARCHIVE_DATA")
	}
	if opt.Server == "" {
		opt.Socket = filepath.Join(*data, "archive.sock")
	}
	file, err := os.ReadFile(filepath.Join(*corpus, "data", "posts.csv"))
	if err != nil {
		return err
	}
	want, err := expect(string(file), *suffixed)
	if err != nil {
		return err
	}
	api, err := client.New(opt)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	return want.compare(ctx, api)
}

// post is what the API says of one; the members compared and no more.
type post struct {
	ID          string    `json:"id"`
	Slug        string    `json:"slug"`
	Title       string    `json:"title"`
	Summary     string    `json:"summary"`
	Author      string    `json:"author"`
	Category    string    `json:"category"`
	Tags        []string  `json:"tags"`
	Status      string    `json:"status"`
	Revision    int       `json:"revision"`
	PublishedAt time.Time `json:"published_at"`
	Body        string    `json:"body"`
}

func (e expected) compare(ctx context.Context, api *client.Client) error {
	listed, err := list[post](ctx, api, "/api/v1/posts?status=published&")
	if err != nil {
		return err
	}
	found := map[string]post{}
	var wrong []string
	for _, p := range listed {
		if _, twice := found[p.Slug]; twice {
			wrong = append(wrong, p.Slug+" is listed twice")
		}
		found[p.Slug] = p
	}
	for slug := range e.absent {
		if _, there := found[slug]; there {
			wrong = append(wrong, slug+" should not have come in")
		}
	}
	findings := make([][]string, len(e.posts))
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, w := range e.posts {
		p, there := found[w.Slug]
		if !there {
			findings[i] = []string{w.Slug + " is not listed"}
			continue
		}
		g.Go(func() (err error) {
			findings[i], err = check(within, api, w, p)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	wrong = append(wrong, slices.Concat(findings...)...)
	fmt.Printf("file: %d rows; %d to land; %d refused (no date); %d share %d slugs\n", e.rows, len(e.posts), e.dateless, e.sharing, e.shared)
	fmt.Printf("server: %d published posts listed, %d of them expected; text, list, slug and versions compared\n", len(listed), len(e.posts))
	if len(wrong) > 0 {
		return fmt.Errorf("%d differences:\n  %s", len(wrong), strings.Join(wrong[:min(len(wrong), 50)], "\n  "))
	}
	fmt.Println("everything agrees")
	return nil
}

// check compares one post as it is listed, read by slug, read by id, and its only version.
func check(ctx context.Context, api *client.Client, want, listed post) ([]string, error) {
	var wrong []string
	bySlug, byID, version := post{}, post{}, post{}
	paths := map[string]*post{
		"/api/v1/posts/slug/" + url.PathEscape(want.Slug): &bySlug,
		"/api/v1/posts/" + listed.ID:                      &byID,
		"/api/v1/posts/" + listed.ID + "/versions/1":      &version,
	}
	for path, into := range paths {
		if _, err := api.Do(ctx, http.MethodGet, path, nil, nil, into); err != nil {
			return nil, fmt.Errorf("GET %s: %w", path, err)
		}
	}
	versions, err := list[struct{ Version int }](ctx, api, "/api/v1/posts/"+listed.ID+"/versions?")
	if err != nil {
		return nil, err
	}
	if len(versions) != 1 || listed.Revision != 1 {
		wrong = append(wrong, fmt.Sprintf("%s has %d versions, revision %d; imported once it has 1", want.Slug, len(versions), listed.Revision))
	}
	listed.Body = want.Body // lists have none
	version.Status, version.PublishedAt, version.ID = want.Status, want.PublishedAt, listed.ID
	for where, got := range map[string]post{"in the list": listed, "by slug": bySlug, "by id": byID, "as version 1": version} {
		for member, differs := range map[string]bool{
			"slug": got.Slug != want.Slug, "title": got.Title != want.Title, "summary": got.Summary != want.Summary, "author": got.Author != want.Author,
			"category": got.Category != want.Category, "status": got.Status != want.Status, "published_at": !got.PublishedAt.Equal(want.PublishedAt),
			"body": got.Body != want.Body, "tags": !slices.Equal(got.Tags, want.Tags), "id": got.ID != listed.ID,
		} {
			if differs {
				wrong = append(wrong, fmt.Sprintf("%s: %s differs %s", want.Slug, member, where))
			}
		}
	}
	return wrong, nil
}

// list follows a list to its end.
func list[V any](ctx context.Context, api *client.Client, path string) ([]V, error) {
	var all []V
	for cursor := ""; ; {
		var page struct {
			Items []V
			Next  string
		}
		if _, err := api.Do(ctx, http.MethodGet, path+"limit=100"+cursor, nil, nil, &page); err != nil {
			return nil, fmt.Errorf("GET %s: %w", path, err)
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all, nil
		}
		cursor = "&cursor=" + url.QueryEscape(page.Next)
	}
}
