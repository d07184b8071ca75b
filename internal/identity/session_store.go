package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

type session struct {
	ID         uuid.UUID
	Account    uuid.UUID
	Epoch      int64
	IP         string
	UserAgent  string
	Methods    []string
	CreatedAt  time.Time
	LastSeenAt time.Time
}

type sessionRow struct {
	ID         uuid.UUID `db:"id"`
	Account    uuid.UUID `db:"account_id"`
	Epoch      int64     `db:"epoch"`
	IP         string    `db:"ip"`
	UserAgent  string    `db:"user_agent"`
	Methods    string    `db:"amr"`
	CreatedAt  time.Time `db:"created_at"`
	LastSeenAt time.Time `db:"last_seen_at"`
}

const sessionColumns = `s.id, s.account_id, s.epoch, s.ip, s.user_agent, array_to_string(s.amr, ',') amr, s.created_at, s.last_seen_at`

// alive joins a session that is worth something with its account.
const alive = `identity.session s join identity.account a on a.id = s.account_id ` +
	`where s.ended_at is null and s.expires_at > statement_timestamp() and s.epoch = a.epoch and a.status = 'active'`

func (r sessionRow) domain() session {
	return session{
		ID: r.ID, Account: r.Account, Epoch: r.Epoch, IP: r.IP, UserAgent: r.UserAgent, Methods: listed(r.Methods),
		CreatedAt: r.CreatedAt.UTC(), LastSeenAt: r.LastSeenAt.UTC(),
	}
}

// insertSession opens a session that is good for so long.
func (store) insertSession(ctx context.Context, tx *db.Tx, s session, life time.Duration) error {
	_, err := tx.Exec(ctx, `
		insert into identity.session (id, account_id, epoch, ip, user_agent, amr, created_at, last_seen_at, expires_at)
		values ($1, $2, $3, $4, $5, $6, statement_timestamp(), statement_timestamp(), statement_timestamp() + $7 * interval '1 second')`,
		s.ID, s.Account, s.Epoch, s.IP, s.UserAgent, db.Array(s.Methods), int64(life.Seconds()))
	if err != nil {
		return fmt.Errorf("insert session: %w", err)
	}
	return nil
}

func (store) insertRefresh(ctx context.Context, tx *db.Tx, hash []byte, session uuid.UUID, life time.Duration) error {
	_, err := tx.Exec(ctx, `
		insert into identity.refresh_token (hash, session_id, expires_at) values ($1, $2, statement_timestamp() + $3 * interval '1 second')`,
		hash, session, int64(life.Seconds()))
	if err != nil {
		return fmt.Errorf("insert refresh token: %w", err)
	}
	return nil
}

// useRefresh takes a refresh token for the first and only time, if its session is alive.
func (store) useRefresh(ctx context.Context, tx *db.Tx, hash []byte) (s session, ok bool, err error) {
	var r sessionRow
	err = tx.Get(ctx, &r, `
		with used as (
			update identity.refresh_token set used_at = clock_timestamp()
			where hash = $1 and used_at is null and expires_at > statement_timestamp()
			returning session_id
		)
		select `+sessionColumns+` from used, `+alive+` and s.id = used.session_id`, hash)
	if db.IsNoRows(err) {
		return session{}, false, nil
	}
	if err != nil {
		return session{}, false, fmt.Errorf("use refresh token: %w", err)
	}
	return r.domain(), true, nil
}

// usedRefresh tells of which session a token is that cannot be used, and whether it was
// used, and that only a moment ago.
func (store) usedRefresh(ctx context.Context, tx *db.Tx, hash []byte) (r struct {
	Session uuid.UUID `db:"session_id"`
	Account uuid.UUID `db:"account_id"`
	Used    bool      `db:"used"`
	Lately  bool      `db:"lately"`
}, ok bool, err error,
) {
	err = tx.Get(ctx, &r, `
		select t.session_id, s.account_id, t.used_at is not null used, coalesce(t.used_at > clock_timestamp() - $2 * interval '1 second', false) lately
		from identity.refresh_token t, `+alive+` and s.id = t.session_id and t.hash = $1`, hash, int64(refreshGrace.Seconds()))
	if db.IsNoRows(err) {
		return r, false, nil
	}
	if err != nil {
		return r, false, fmt.Errorf("look up refresh token: %w", err)
	}
	return r, true, nil
}

// prolong notes that a session goes on.
func (store) prolong(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	if _, err := tx.Exec(ctx, `delete from identity.refresh_token where session_id = $1 and expires_at < statement_timestamp()`, id); err != nil {
		return fmt.Errorf("forget refresh tokens: %w", err)
	}
	_, err := tx.Exec(ctx, `
		update identity.session set last_seen_at = statement_timestamp(), expires_at = statement_timestamp() + $2 * interval '1 second' where id = $1`,
		id, int64(refreshLife.Seconds()))
	if err != nil {
		return fmt.Errorf("prolong session: %w", err)
	}
	return nil
}

// endSession reports whether there was a session to end.
func (store) endSession(ctx context.Context, tx *db.Tx, account, id uuid.UUID) (bool, error) {
	n, err := tx.Exec(ctx, `update identity.session set ended_at = statement_timestamp() where id = $1 and account_id = $2 and ended_at is null`, id, account)
	if err != nil {
		return false, fmt.Errorf("end session: %w", err)
	}
	return n == 1, nil
}

// endByRefresh ends the session that a refresh token is of, whether it was used or not. It
// answers whose it was, if there was one to end.
func (store) endByRefresh(ctx context.Context, tx *db.Tx, hash []byte) (owners []uuid.UUID, err error) {
	if err := tx.Select(ctx, &owners, `
		update identity.session s set ended_at = statement_timestamp() from identity.refresh_token t
		where t.hash = $1 and s.id = t.session_id and s.ended_at is null returning s.account_id`, hash); err != nil {
		return nil, fmt.Errorf("end session: %w", err)
	}
	return owners, nil
}

// endSessions ends all of an account's but one, which may be none.
func (store) endSessions(ctx context.Context, tx *db.Tx, account, but uuid.UUID) error {
	_, err := tx.Exec(ctx, `update identity.session set ended_at = statement_timestamp() where account_id = $1 and id <> $2 and ended_at is null`, account, but)
	if err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return nil
}

// keepSession takes a session along into the account's new epoch.
func (store) keepSession(ctx context.Context, tx *db.Tx, id uuid.UUID, epoch int64) error {
	if _, err := tx.Exec(ctx, `update identity.session set epoch = $2 where id = $1`, id, epoch); err != nil {
		return fmt.Errorf("keep session: %w", err)
	}
	return nil
}

// strengthen notes a further way in which the owner of a session proved to be it.
func (store) strengthen(ctx context.Context, tx *db.Tx, id uuid.UUID, method string) error {
	_, err := tx.Exec(ctx, `update identity.session set amr = array_append(amr, $2::text) where id = $1 and not $2::text = any(amr)`, id, method)
	if err != nil {
		return fmt.Errorf("strengthen session: %w", err)
	}
	return nil
}

// sessions are those of an account that are alive.
func (store) sessions(ctx context.Context, tx *db.Tx, account uuid.UUID, after *accountPosition, limit int) ([]session, error) {
	if after == nil {
		after = &accountPosition{}
	}
	var rows []sessionRow
	if err := tx.Select(ctx, &rows, `
		select `+sessionColumns+` from `+alive+` and s.account_id = $1 and (s.created_at, s.id) > ($2, $3) order by s.created_at, s.id limit $4`,
		account, after.CreatedAt, after.ID, limit); err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	list := make([]session, len(rows))
	for i, r := range rows {
		list[i] = r.domain()
	}
	return list, nil
}

// standing is what a session is worth now.
type standing struct {
	Kind     string    `db:"kind"`
	Customer uuid.UUID `db:"customer_id"`
	Roles    string    `db:"roles"`
	Granted  string    `db:"granted"` // permissions of those roles that are the shop's own
	Account  uuid.UUID `db:"account_id"`
	Methods  string    `db:"amr"`
}

// standing reads it; ok is false for a session that is over.
func (store) standing(ctx context.Context, tx *db.Tx, id uuid.UUID) (st standing, ok bool, err error) {
	err = tx.Get(ctx, &st, `
		select a.kind, coalesce(a.customer_id, '00000000-0000-0000-0000-000000000000') customer_id, array_to_string(a.roles, ',') roles, s.account_id,
		       coalesce((select string_agg(p, ',') from identity.role r, unnest(r.permissions) p where r.name = any(a.roles)), '') granted,
		       array_to_string(s.amr, ',') amr
		from `+alive+` and s.id = $1`, id)
	if db.IsNoRows(err) {
		return standing{}, false, nil
	}
	if err != nil {
		return standing{}, false, fmt.Errorf("read session: %w", err)
	}
	return st, true, nil
}
