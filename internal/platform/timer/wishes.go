package timer

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// wishes are what becomes of timers when a transaction ends. Of two for one timer the later
// counts.
type wishes struct {
	of map[name]*time.Time // nil: it is forgotten
}

type name struct{ kind, subject string }

func (w *wishes) note(kind, subject string, at *time.Time) {
	if w.of == nil {
		w.of = map[name]*time.Time{}
	}
	w.of[name{kind, subject}] = at
}

// Waits are the expressions: whoever runs a timer has locked it.
func (w *wishes) Waits() (names []string) {
	var set, cleared bool
	for _, at := range w.of {
		set, cleared = set || at != nil, cleared || at == nil
	}
	if set {
		names = append(names, "timers")
	}
	if cleared {
		names = append(names, "cleared")
	}
	return names
}

// Expressions set the timers in the order of their names, so that transactions which have
// several in common lock them alike, and forget others.
func (w *wishes) Expressions() (list string, args []any) {
	var set, cleared []name
	for n, at := range w.of {
		if at == nil {
			cleared = append(cleared, n)
		} else {
			set = append(set, n)
		}
	}
	if len(set) > 0 {
		kinds, subjects := columns(set)
		due := make([]time.Time, len(set))
		for i := range set {
			due[i] = *w.of[name{kinds[i], subjects[i]}]
		}
		rows := `select kind, subject, due_at from unnest((select $1::text[]), (select $2::text[]), (select $3::timestamptz[])) s(kind, subject, due_at) order by kind, subject`
		args = []any{db.Array(kinds), db.Array(subjects), db.Array(due)}
		if len(set) == 1 { // most are alone, and are cheaper without lists
			rows, args = `values ($1, $2, $3)`, []any{kinds[0], subjects[0], due[0]}
		}
		list = `timers as (
    insert into platform.timer (kind, subject, due_at) ` + rows + `
    on conflict (tenant_id, kind, subject) do update set due_at = excluded.due_at, attempts = 0, last_error = null
    returning 1
)`
	}
	if len(cleared) > 0 {
		if list != "" {
			list += ", "
		}
		kinds, subjects := columns(cleared)
		first, second := "$"+strconv.Itoa(len(args)+1), "$"+strconv.Itoa(len(args)+2)
		if len(cleared) == 1 {
			list += `cleared as (delete from platform.timer where tenant_id = platform.current_tenant() and kind = ` + first + ` and subject = ` + second + ` returning 1)`
			return list, append(args, kinds[0], subjects[0])
		}
		list += `cleared as (
    delete from platform.timer t using unnest((select ` + first + `::text[]), (select ` + second + `::text[])) c(kind, subject)
    where t.tenant_id = platform.current_tenant() and t.kind = c.kind and t.subject = c.subject
    returning 1
)`
		args = append(args, db.Array(kinds), db.Array(subjects))
	}
	return list, args
}

func columns(names []name) (kinds, subjects []string) {
	slices.SortFunc(names, func(a, b name) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.subject, b.subject)) })
	for _, n := range names {
		kinds, subjects = append(kinds, n.kind), append(subjects, n.subject)
	}
	return kinds, subjects
}
