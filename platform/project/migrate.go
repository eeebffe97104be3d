package project

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bgce/archive/platform/project/registry"
)

// migrating is the advisory lock under which registry and physical schemas are made, in every process.
const migrating = 0x70726f6a656374 // "project"

// Migrate brings the registry up to date, and for every view that is not there yet makes its tables and its stable SQL view. A view
// that is there in another version is left as it is. Safe to run at every start and in several processes.
func (e *Engine) Migrate(ctx context.Context) error {
	err := e.exclusively(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, registry.Schema, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("project: the registry: %w", err)
		}
		for _, v := range e.Views {
			if err := e.register(ctx, tx, v); err != nil {
				return fmt.Errorf("project: %s: %w", v.name, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, v := range e.Views {
		if err := e.publish(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) exclusively(ctx context.Context, f func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, e.DB, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrating)); err != nil {
			return err
		}
		return f(tx)
	})
}

func (e *Engine) register(ctx context.Context, tx pgx.Tx, v View) error {
	var physical string
	var version int
	err := tx.QueryRow(ctx, `SELECT physical, version FROM project.views WHERE name = $1`, v.name).Scan(&physical, &version)
	if err == nil {
		if version == v.version {
			return v.form.probe(ctx, tx, physical)
		}
		return nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	if physical, err = e.create(ctx, tx, v, Live); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO project.views (name, physical, version) VALUES ($1, $2, $3)`, v.name, physical, v.version)
	return err
}

// create makes the physical schema <room>_<plural>_v<version>, with a suffix when there is one already, and its checkpoint.
func (e *Engine) create(ctx context.Context, tx pgx.Tx, v View, state string) (physical string, err error) {
	base := fmt.Sprintf("%s_v%d", strings.ReplaceAll(v.name, ".", "_"), v.version)
	physical = base
	for n := 2; ; n++ {
		var taken bool
		if err = tx.QueryRow(ctx, `SELECT to_regnamespace($1) IS NOT NULL`, physical).Scan(&taken); err != nil {
			return "", err
		}
		if !taken {
			break
		}
		physical = fmt.Sprintf("%s_%d", base, n)
	}
	name := pgx.Identifier{physical}.Sanitize()
	ddl := fmt.Sprintf("CREATE SCHEMA %s; SET LOCAL search_path = %s, public;\n%s\n;SET LOCAL search_path = DEFAULT", name, name, v.ddl)
	if _, err = tx.Exec(ctx, ddl, pgx.QueryExecModeSimpleProtocol); err != nil {
		return "", fmt.Errorf("making its tables: %w", err)
	}
	if err = v.form.probe(ctx, tx, physical); err != nil {
		return "", err
	}
	_, err = tx.Exec(ctx, `INSERT INTO project.checkpoints (physical, view, version, state, log) VALUES ($1, $2, $3, $4, $5)`, physical, v.name, v.version, state, e.Store.LogID())
	return physical, err
}

// publish points the stable SQL view at the live table. Readers of the view are never made to wait long: short lock timeouts, retries.
func (e *Engine) publish(ctx context.Context, v View) error {
	for try := 1; ; try++ {
		err := e.exclusively(ctx, func(tx pgx.Tx) error { return replaceView(ctx, tx, v) })
		if err == nil || !transient(err) || try == 20 {
			if err != nil {
				err = fmt.Errorf("project: the SQL view %s: %w", v.name, err)
			}
			return err
		}
		if !sleep(ctx, time.Duration(try)*10*time.Millisecond) {
			return ctx.Err()
		}
	}
}

func replaceView(ctx context.Context, tx pgx.Tx, v View) error {
	room, table := pgx.Identifier{v.room()}.Sanitize(), pgx.Identifier{v.Table()}.Sanitize()
	var physical, points string
	err := tx.QueryRow(ctx, `SELECT physical, coalesce(pg_get_viewdef(to_regclass($2)), '') FROM project.views WHERE name = $1`, v.name, room+"."+table).Scan(&physical, &points)
	if err != nil || strings.Contains(points, physical+".") {
		return err
	}
	schema := "CREATE SCHEMA IF NOT EXISTS " + room
	query := "VIEW " + room + "." + table + " AS SELECT * FROM " + pgx.Identifier{physical, v.Table()}.Sanitize()
	if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '100ms'; "+schema, pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	replace, err := tx.Begin(ctx)
	if err != nil {
		return err
	}
	_, err = replace.Exec(ctx, "CREATE OR REPLACE "+query)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42P16" { // columns were moved or left out
		if err := replace.Rollback(ctx); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DROP VIEW "+room+"."+table+"; CREATE "+query, pgx.QueryExecModeSimpleProtocol)
		return err
	}
	if err != nil {
		return err
	}
	return replace.Commit(ctx)
}
