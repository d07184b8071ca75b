package httpx

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// call is one request as the platform keeps track of it.
type call struct {
	requestID string
	method    string
	path      string
	instance  string    // the path as it goes into a URI
	key       string    // Idempotency-Key
	ticket    string    // what a guest shows
	body      [32]byte  // SHA-256 of the canonical body
	scope     string    // who asks for what: the key counts within it
	entered   uuid.UUID // the tenant that a token in the body names; zero: that of the caller
	route     Route
	query     string
	answer    *answer // rendered inside the transaction
	cost      db.Cost
	remote    Remote
	leave     func() // makes room for the next request
	tenants   Tenants
	sent      []*http.Cookie
	cookies   []*http.Cookie // that the answer sets

	began time.Time
	took  time.Duration   // until a feed began, for one that is a feed
	gone  <-chan struct{} // closed when the caller is
	conn  *http.ResponseController
}

// received says that the request is there as a whole. Huma gives a body five seconds, and
// gives them also to one that was read before, to recognise it: net/http takes the end of
// that time for the end of the connection, and cancels all requests that come on it.
func (c *call) received() {
	if c.conn != nil {
		_ = c.conn.SetReadDeadline(time.Time{}) // what is no connection has none
	}
}

// opened notes that the answer is a feed: how long somebody listens says nothing about
// how quick we are, and is no work.
func (c *call) opened() {
	c.took = time.Since(c.began)
	if c.leave != nil {
		c.leave()
	}
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{}
}

var (
	errKeyLength  = fault.New(fault.Malformed, "idempotency_key_invalid", "Send one Idempotency-Key, of 1 to 255 printable characters.")
	errKeyReused  = fault.New(fault.Invalid, "idempotency_key_reused", "This Idempotency-Key was used for another request. Use a new one for each new request.")
	errInFlight   = fault.New(fault.Conflict, "idempotency_in_flight", "The first request with this Idempotency-Key is still running. Ask again for its answer.").After(1)
	errShownOnce  = fault.New(fault.Conflict, "shown_once", "This was done. Its answer held a secret and is not shown again.")
	errNotDurable = errors.New("a command answered without a transaction")
)

// errAnsweredMeanwhile rolls a command back whose twin committed first.
var errAnsweredMeanwhile = errors.New("answered meanwhile")

// Command runs what changes something, in one transaction with its entry in the audit log
// and the record of its answer: a request repeated with the same Idempotency-Key is answered
// again and not executed again. Ask other modules before it; inside it touch only tx.
func Command[Out any](ctx context.Context, d *db.DB, fn func(tx *db.Tx) (Out, error)) (Out, error) {
	var out Out
	err := d.InTx(ctx, func(tx *db.Tx) (err error) {
		out, err = CommandIn(ctx, tx, fn)
		return err
	})
	return out, err
}

// CommandIn is Command in a transaction that there is already, for what turns out to be the
// whole of a command when something else has been found out in it.
func CommandIn[Out any](ctx context.Context, tx *db.Tx, fn func(tx *db.Tx) (Out, error)) (out Out, err error) {
	c := callOf(ctx)
	if c.key != "" {
		if err := c.lock(ctx, tx); err != nil {
			return out, err
		}
	}
	if out, err = fn(tx); err != nil || c.route.ID == "" {
		return out, err
	}
	ans, err := render(c.route.Status, out)
	if err != nil {
		return out, err
	}
	if err := c.keep(ctx, tx, ans, out); err != nil {
		return out, err
	}
	c.answer = ans
	return out, nil
}

// Once is an id for what a request begins before its answer is certain, as something that
// somebody remote is asked for: the same for each repetition with its Idempotency-Key, and a
// new one when there is no key.
func Once(ctx context.Context) (uuid.UUID, error) {
	c := callOf(ctx)
	if c.key == "" {
		return clock.NewID(), nil
	}
	id, err := identity.From(ctx)
	if err != nil {
		return uuid.Nil, err
	}
	sum := sha256.Sum256([]byte("once\x00" + id.Tenant.String() + "\x00" + c.scope + "\x00" + c.key))
	once := uuid.UUID(sum[:16])
	once[6], once[8] = once[6]&0x0f|0x80, once[8]&0x3f|0x80 // RFC 9562, 5.8
	return once, nil
}

// keep writes what stays of a command: its entry in the audit log, and its answer when it
// may be asked for again.
func (c *call) keep(ctx context.Context, tx *db.Tx, ans *answer, out any) error {
	if !c.route.Unrecorded {
		if err := audit.Record(ctx, tx, c.entry(ctx, ans, out)); err != nil {
			return err
		}
	}
	if c.key == "" {
		return nil
	}
	return c.remember(ctx, tx, ans, out)
}

// ticketHeader holds what opens something to who has no account.
const ticketHeader = "Cart-Token"

// scopeTo says within what the key counts: caller, method, path, and the ticket that is shown,
// so that an answer is repeated to nobody who shows another one or none. Callers who have no
// identity of their own are told apart by where they are.
func (c *call) scopeTo(ctx context.Context) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	caller := id.Actor
	if id.IsAnonymous() || id.Publishable {
		caller += "@" + network(c.remote.IP)
	}
	c.scope = caller + " " + c.method + " " + c.path
	if c.ticket != "" {
		sum := sha256.Sum256([]byte(c.ticket))
		c.scope += " " + hex.EncodeToString(sum[:])
	}
	return nil
}

// recall finds the answer of an earlier request with the same key.
func (c *call) recall(ctx context.Context, d *db.DB) (*answer, error) {
	tenant := c.entered // where the answer was kept
	if tenant == uuid.Nil {
		id, err := identity.From(ctx)
		if err != nil {
			return nil, err
		}
		tenant = id.Tenant
	}
	c.cost.Add(1)
	rows, err := db.Query[struct {
		BodyHash []byte `db:"body_hash"`
		Status   int    `db:"status"`
		Headers  string `db:"headers"`
		Body     []byte `db:"body"`
	}](ctx, d, `select body_hash, status, headers, body from platform.find_answer($1, $2, $3)`, tenant, c.scope, c.key)
	if err != nil {
		return nil, fmt.Errorf("recall answer: %w", err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	r := rows[0]
	if string(r.BodyHash) != string(c.body[:]) {
		return nil, errKeyReused
	}
	ans := &answer{status: r.Status, body: r.Body, replayed: true}
	if err := json.Unmarshal([]byte(r.Headers), &ans.header); err != nil {
		return nil, fmt.Errorf("recall answer: %w", err)
	}
	switch {
	case c.route.Once:
		return nil, errShownOnce.With("location", ans.header["Location"])
	case c.route.Refill != nil:
		if ans.body, err = c.route.Refill(ctx, ans.body); err != nil {
			return nil, fmt.Errorf("recall answer: %w", err)
		}
	}
	return ans, nil
}

// lock keeps a second request with the key out while the first one runs. A lock, not
// a row: it is gone with the transaction, whatever ends it.
func (c *call) lock(ctx context.Context, tx *db.Tx) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	var mine bool
	if err := tx.Get(ctx, &mine, `select pg_try_advisory_xact_lock($1)`, lockKey(id.Tenant, c.scope, c.key)); err != nil {
		return fmt.Errorf("lock idempotency key: %w", err)
	}
	if !mine {
		return errInFlight
	}
	return nil
}

// lockKey keeps clear of the event log's fence, whose keys begin with 70<<48.
func lockKey(tenant uuid.UUID, scope, key string) int64 {
	sum := sha256.Sum256([]byte(tenant.String() + "\x00" + scope + "\x00" + key))
	return int64(binary.BigEndian.Uint64(sum[:8])) | -1<<62 //nolint:gosec // the bits are what counts
}

// Withheld results hold a secret. They are kept as they are without it, and the route's Refill
// says how it comes back.
type Withheld interface{ Withhold() any }

// kept is the body of an answer as it may be kept.
func (c *call) kept(ans *answer, out any) ([]byte, error) {
	if w, ok := out.(Withheld); ok {
		return Marshal(w.Withhold())
	}
	body := []byte{} // nil would be SQL's null
	if !c.route.Once {
		body = append(body, ans.body...)
	}
	return body, nil
}

// remember keeps the answer.
func (c *call) remember(ctx context.Context, tx *db.Tx, ans *answer, out any) error {
	headers, err := json.Marshal(ans.header)
	if err != nil {
		return fmt.Errorf("remember answer: %w", err)
	}
	body, err := c.kept(ans, out)
	if err != nil {
		return err
	}
	n, err := tx.Exec(ctx, remember, c.scope, c.key, c.body[:], ans.status, string(headers), body)
	if err != nil {
		return fmt.Errorf("remember answer: %w", err)
	}
	if n == 0 {
		return errAnsweredMeanwhile
	}
	return nil
}

const remember = db.Keep + `
	insert into platform.idempotency as old (scope, key, body_hash, status, headers, body) values ($1, $2, $3, $4, $5, $6)
	on conflict (tenant_id, scope, key) do update
	set body_hash = excluded.body_hash, status = excluded.status, headers = excluded.headers, body = excluded.body, created_at = now()
	where old.created_at <= now() - interval '24 hours'`

// canonical is the body without what JSON leaves free: blanks and the order of fields.
func canonical(data []byte) [32]byte {
	var tree any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&tree); err != nil {
		return sha256.Sum256(data) // it is going to be refused
	}
	body, err := json.Marshal(tree)
	if err != nil {
		return sha256.Sum256(data)
	}
	return sha256.Sum256(body)
}
