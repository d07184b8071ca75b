// Package audit keeps the log of who changed what: a row for each call that changes
// something, in the transaction of the change, and one for each security event.
//
// Rows are only added. A chain of hashes for each merchant, made shortly after the rows,
// shows whether somebody has changed, removed or slipped in one past the program; its head,
// kept elsewhere, shows whether the end was cut off or all of it made anew.
package audit

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// Entry is what happened. Who did it, from where and in which request are taken from the
// context.
type Entry struct {
	Action   string // id of the operation, or a security event: "login.failed"
	Entity   string // kind of what it happened to: "order"
	EntityID string
	// Before and After are shown as JSON. Of fields tagged personal:"true" or secret:"true"
	// only that they were there is kept: what is here cannot be erased.
	Before, After any
	Reason        string
	Status        int // of the answer, if it was a request
	// Actor is who did it where the context does not know; empty: who acts.
	Actor      string
	OnBehalfOf string // whose place the actor took
}

// Origin is where a request came from.
type Origin struct {
	IP        netip.Addr
	UserAgent string
	RequestID string
}

// request is what is known of the request at hand.
type request struct {
	Origin

	before           any
	reason           string
	entity, entityID string
}

type requestKey struct{}

// WithOrigin returns a context whose entries came from o.
func WithOrigin(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, requestKey{}, &request{Origin: o})
}

func requestOf(ctx context.Context) *request {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r
	}
	return &request{}
}

// Before notes what a command is about to change, as it is now. The command's own entry
// shows it. v should be of the type that the command answers with.
func Before(ctx context.Context, v any) { requestOf(ctx).before = v }

// Because notes why a command is carried out.
func Because(ctx context.Context, reason string) { requestOf(ctx).reason = reason }

// About notes what a command happens to, where its path does not say it.
func About(ctx context.Context, entity, id string) {
	r := requestOf(ctx)
	r.entity, r.entityID = entity, id
}

// Subject is what About has said in this request; empty when it has said nothing.
func Subject(ctx context.Context) (entity, id string) {
	r := requestOf(ctx)
	return r.entity, r.entityID
}

// Noted is what Before and Because have said in this request, and forgets it.
func Noted(ctx context.Context) (before any, reason string) {
	r := requestOf(ctx)
	before, reason = r.before, r.reason
	r.before, r.reason = nil, ""
	return before, reason
}

// Record writes an entry of the merchant of the transaction, in it. What a command does is
// recorded by itself; this is for security events, and for commands that are no requests.
func Record(ctx context.Context, tx *db.Tx, e Entry) error {
	args, err := e.args(ctx)
	if err != nil {
		return err
	}
	db.Last[entries](tx).add(args)
	return nil
}

// RecordAlone is Record where nothing else is written: one round trip, and a transaction of
// its own. A connection that breaks meanwhile can leave two entries, never none.
func RecordAlone(ctx context.Context, d *db.DB, e Entry) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	args, err := e.args(ctx)
	if err != nil {
		return err
	}
	if _, err := db.Query[string](ctx, d, db.Keep+writeAlone, append(args, id.Tenant.String())...); err != nil {
		return fmt.Errorf("record %s: %w", e.Action, err)
	}
	return nil
}

// writeAlone acts for the merchant of the last argument, up to its own end: the row gets the
// merchant from where that is set, and is looked at by the policies after it.
const writeAlone = `
with merchant as materialized (select set_config('app.tenant_id', $14, true)::uuid id),
` + fence + `
insert into platform.audit (tenant_id, ` + written + `)
select merchant.id, ` + writtenFrom + ` from merchant, audit_fence`

const (
	fence       = `audit_fence as materialized (select platform.audit_fence())`
	written     = `id, actor, on_behalf_of, action, entity, entity_id, before, after, reason, status, ip, user_agent, request_id`
	writtenFrom = `$1::uuid, $2, $3, $4, $5, $6, $7::json, $8::json, $9, $10::smallint, $11, $12, $13`
	// columns is how many of them there are.
	columns = 13
)

// entries are those that a transaction has recorded.
type entries struct {
	args []any
}

func (e *entries) add(args []any) { e.args = append(e.args, args...) }

// Expressions write the entries in their order. The fence is taken before the first seq is
// drawn: see platform.audit_fence().
func (e *entries) Expressions() (list string, args []any) {
	rows := []string{alone}
	for n := 1; n < len(e.args)/columns; n++ {
		rows = append(rows, row(n))
	}
	return `audit_fence as materialized (select platform.audit_fence() ` + db.OnceWritten + `),
audited as (
    insert into platform.audit (` + written + `)
    select ` + written + ` from audit_fence, (values ` + strings.Join(rows, ", ") + `) e(` + written + `, position) order by position
)`, e.args
}

// alone is the row of an entry that is alone, as most are.
var alone = row(0)

// row is the n-th entry, with its position.
func row(n int) string {
	cells := make([]string, columns)
	for i := range cells {
		cells[i] = "$" + strconv.Itoa(n*columns+i+1) + "::" + typed[i]
	}
	return "(" + strings.Join(cells, ", ") + ", " + strconv.Itoa(n) + ")"
}

// typed are the types of the columns.
var typed = [columns]string{"uuid", "text", "text", "text", "text", "text", "json", "json", "text", "smallint", "text", "text", "text"}

// The longest that is kept of what callers choose freely.
const (
	maxUserAgent = 300
	maxReason    = 500
)

// args are the columns of the entry.
func (e Entry) args(ctx context.Context) ([]any, error) {
	before, err := Shown(e.Before)
	if err != nil {
		return nil, fmt.Errorf("record %s: what was before: %w", e.Action, err)
	}
	after, err := Shown(e.After)
	if err != nil {
		return nil, fmt.Errorf("record %s: what is after: %w", e.Action, err)
	}
	actor := e.Actor
	if actor == "" {
		id, err := identity.From(ctx)
		if err != nil {
			return nil, err
		}
		actor = id.Actor
	}
	from, ip := requestOf(ctx), ""
	if from.IP.IsValid() {
		ip = from.IP.Unmap().String()
	}
	return []any{
		clock.NewID(), db.Text(actor), db.Text(e.OnBehalfOf), e.Action, e.Entity, db.Text(e.EntityID), before, after,
		cut(e.Reason, maxReason), e.Status, ip, cut(from.UserAgent, maxUserAgent), from.RequestID,
	}, nil
}

// cut keeps the beginning of a text, in characters.
func cut(s string, most int) string {
	s = db.Text(s)
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return strings.TrimSpace(string([]rune(s)[:most-1])) + "…"
}
