package live

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
)

// Plan is how a row becomes a V: its columns, and where each goes.
type Plan struct {
	Columns []string
	fields  [][]int
	Version []int // of the field whose column is "version"
}

var plans sync.Map // reflect.Type → *Plan; as many as there are view types

// PlanOf reads db tags, else json names, else snake_case; embedded structs are flattened. A V that is no struct is one column.
func PlanOf(t reflect.Type) *Plan {
	if p, ok := plans.Load(t); ok {
		return p.(*Plan)
	}
	p := &Plan{}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() {
		p.fields = [][]int{nil}
	} else {
		p.add(t, nil)
	}
	plans.Store(t, p)
	return p
}

func (p *Plan) add(t reflect.Type, path []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(append([]int{}, path...), i)
		column := f.Tag.Get("db")
		if column == "" {
			column, _, _ = strings.Cut(f.Tag.Get("json"), ",")
		}
		switch {
		case f.Anonymous && column == "" && f.Type.Kind() == reflect.Struct:
			p.add(f.Type, index)
			continue
		case !f.IsExported() || f.Tag.Get("db") == "-":
			continue
		case column == "" || column == "-":
			column = snake(f.Name)
		}
		if column == "version" {
			p.Version = index
		}
		p.Columns = append(p.Columns, column)
		p.fields = append(p.fields, index)
	}
}

// Named is the plan for the columns as a query gives them.
func (p *Plan) Named(columns []pgconn.FieldDescription) (*Plan, error) {
	if p.Columns == nil {
		return p, nil
	}
	q := &Plan{Version: p.Version}
	for _, c := range columns {
		i := slices.Index(p.Columns, c.Name)
		if i < 0 {
			return nil, fmt.Errorf("live: the query gives a column %s that no field takes", c.Name)
		}
		q.Columns, q.fields = append(q.Columns, c.Name), append(q.fields, p.fields[i])
	}
	return q, nil
}

// Targets are the places rows.Scan writes to, followed by more.
func (p *Plan) Targets(v reflect.Value, more []any) []any {
	targets := make([]any, 0, len(p.fields)+len(more))
	for _, index := range p.fields {
		f := v
		if index != nil {
			f = v.FieldByIndex(index)
		}
		to := f.Addr().Interface()
		if id, ok := to.(*uuid.UUID); ok {
			to = (*[16]byte)(id) // as in Lean
		}
		targets = append(targets, to)
	}
	return append(targets, more...)
}

// snake writes CreatedAt as created_at.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if r >= 'A' && r <= 'Z' {
			if i > 0 && name[i-1] >= 'a' && name[i-1] <= 'z' {
				b.WriteByte('_')
			}
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}
