package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"github.com/bgce/archive/platform/client"
)

const (
	maxImport     = 64 << 20 // bytes of a file
	maxImportRows = 50_000
	importers     = 8 // rows on their way at a time
)

// importOptions are the flags of archive import.
type importOptions struct {
	dryRun, asDrafts, suffix, all bool
}

func importCmd(a *app) *cobra.Command {
	var (
		opt       importOptions
		duplicate string
	)
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Bring articles in from a CSV file; repeat it as often as you like",
		Long: `Brings articles in from a CSV file (- reads standard input) with the header
  slug,title,summary,author,published_at,category,tags,status,body    and, if you have one, external_id

A row is found again by its external_id, or without that column by its slug and published_at: running it twice, or again after
it was interrupted, doubles nothing, and a row that changed becomes a new revision. tags are separated by |; missing ones are
created. status is draft, published or archived; a published row keeps its published_at (2024-05-31 or RFC 3339).
The report names row, column and what to do; as json and csv it lists every row, as a table those that need you (--all: every row).
Exit code 4 says that some rows did not come in.`,
		Example: `  archive import articles.csv --dry-run
  archive import articles.csv --on-duplicate-slug suffix -o csv > report.csv`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if duplicate != "report" && duplicate != "suffix" {
				return usage("--on-duplicate-slug %s is none of report, suffix", duplicate)
			}
			opt.suffix = duplicate == "suffix"
			return a.importFile(cmd.Context(), args[0], opt)
		},
	}
	cmd.Flags().BoolVar(&opt.dryRun, "dry-run", false, "say what would happen and change nothing")
	cmd.Flags().BoolVar(&opt.asDrafts, "as-drafts", false, "publish nothing; a later run without it does")
	cmd.Flags().BoolVar(&opt.all, "all", false, "report every row in the table too")
	cmd.Flags().StringVar(&duplicate, "on-duplicate-slug", "report", "rows that share a slug: report leaves them all out, suffix makes them slug-2, slug-3 …")
	return cmd
}

func (a *app) importFile(ctx context.Context, name string, opt importOptions) error {
	data, err := readImport(a.in, name)
	if err != nil {
		return err
	}
	rows, err := parseImport(data, opt)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if len(rows) > maxImportRows {
		return fmt.Errorf("%s has %d rows, at most %d come in at once; split it", name, len(rows), maxImportRows)
	}
	api, err := a.client()
	if err != nil {
		return err
	}
	l := &loader{api: api, importOptions: opt, taken: map[string]bool{}, tags: map[string]string{}}
	for _, r := range rows {
		l.taken[r.Slug] = true
	}
	created, err := l.prepareTags(ctx, rows)
	if err != nil {
		return err
	}
	if len(created) > 0 {
		fmt.Fprintf(a.err, "%s %d tags: %s\n", verb(opt.dryRun, "would create", "created"), len(created), strings.Join(created, ", "))
	}
	return a.report(rows, opt, l.landAll(ctx, rows, newProgress(a.err, len(rows))))
}

func verb(dry bool, would, did string) string {
	if dry {
		return would
	}
	return did
}

func readImport(in io.Reader, name string) ([]byte, error) {
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxImport+1))
	if err == nil && len(data) > maxImport {
		err = fmt.Errorf("%s is over 64 MiB; split it", name)
	}
	return data, err
}

// landAll brings every row in that is not refused yet. Its error is what stopped it; a single row's trouble is that row's result.
func (l *loader) landAll(ctx context.Context, rows []importRow, p *progress) error {
	defer p.done()
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(importers)
	for i := range rows {
		r := &rows[i]
		if r.Result != "" || within.Err() != nil {
			p.step()
			continue
		}
		g.Go(func() error {
			defer p.step()
			err := l.land(within, r)
			if err == nil {
				return nil
			}
			r.Result = ""
			var problem *client.Problem
			if errors.As(err, &problem) && problem.Status != 401 && problem.Status != 403 && problem.Status < 500 {
				r.refuse("", problem.Error())
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return l.shown(ctx)
}

// report prints what became of the rows, and says so in the exit code.
func (a *app) report(rows []importRow, opt importOptions, stopped error) error {
	var lines []importLine
	count := map[string]int{}
	for _, r := range rows {
		if r.Result == "" {
			r.Result = "not reached"
		}
		count[r.Result]++
		if opt.all || a.output != "table" || r.open() {
			lines = append(lines, r.importLine)
		}
	}
	if len(lines) > 0 || a.output != "table" {
		if err := a.show(lines); err != nil {
			return err
		}
	}
	var parts []string
	for _, result := range []string{created, revised, present, duplicate, refused, "not reached"} {
		if n := count[result]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, verb(opt.dryRun && (result == created || result == revised), "to be "+result, result)))
		}
	}
	fmt.Fprintf(a.err, "%d rows: %s\n", len(rows), strings.Join(parts, ", "))
	if errors.Is(stopped, context.Canceled) {
		stopped = errors.New("interrupted")
	}
	if stopped != nil {
		return fmt.Errorf("%w; run the same command again, nothing is doubled", stopped)
	}
	if open := count[duplicate] + count[refused]; open > 0 {
		return &findings{fmt.Errorf("%d rows did not come in; the report says what to do about each", open)}
	}
	return nil
}

// progress is a bar on a terminal and plain lines elsewhere.
type progress struct {
	mu    sync.Mutex
	out   io.Writer
	bar   *progressbar.ProgressBar
	n, of int
}

func newProgress(out io.Writer, of int) *progress {
	p := &progress{out: out, of: of}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions(of, progressbar.OptionSetWriter(out), progressbar.OptionShowCount(), progressbar.OptionSetDescription("rows"),
			progressbar.OptionClearOnFinish())
	}
	return p
}

func (p *progress) step() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	if p.bar != nil {
		_ = p.bar.Add(1) // a bar that cannot be drawn is no reason to stop
	} else if tenth := max(p.of/10, 1); p.n%tenth == 0 && p.of >= 20 {
		fmt.Fprintf(p.out, "%d of %d rows\n", p.n, p.of)
	}
}

func (p *progress) done() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
