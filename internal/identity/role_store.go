package identity

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

// roleStore is the SQL of the roles that a shop has made.
type roleStore struct{}

// roleColumns: names of permissions hold no comma.
const roleColumns = `name, description, array_to_string(permissions, ',') permissions, version, created_at, updated_at`

type roleRow struct {
	Name        string    `db:"name"`
	Description string    `db:"description"`
	Permissions string    `db:"permissions"`
	Version     int64     `db:"version"`
	CreatedAt   time.Time `db:"created_at"`
	UpdatedAt   time.Time `db:"updated_at"`
}

func (r roleRow) domain() role {
	created, updated := r.CreatedAt.UTC(), r.UpdatedAt.UTC()
	return role{Name: r.Name, Description: r.Description, Permissions: strings.Split(r.Permissions, ","), Version: r.Version, CreatedAt: &created, UpdatedAt: &updated}
}

func (roleStore) all(ctx context.Context, tx *db.Tx) ([]role, error) {
	var rows []roleRow
	if err := tx.Select(ctx, &rows, `select `+roleColumns+` from identity.role order by name`); err != nil {
		return nil, fmt.Errorf("list roles: %w", err)
	}
	roles := make([]role, len(rows))
	for i, r := range rows {
		roles[i] = r.domain()
	}
	return roles, nil
}

func (s roleStore) find(ctx context.Context, tx *db.Tx, name string) (role, error) {
	return s.one(ctx, tx, `select `+roleColumns+` from identity.role where name = $1`, name)
}

// lock reads a role that this transaction is about to change. Who gives it to somebody
// waits, and finds what has become of it.
func (s roleStore) lock(ctx context.Context, tx *db.Tx, name string) (role, error) {
	return s.one(ctx, tx, `select `+roleColumns+` from identity.role where name = $1 for update`, name)
}

func (roleStore) one(ctx context.Context, tx *db.Tx, query, name string) (role, error) {
	var r roleRow
	err := tx.Get(ctx, &r, query, name)
	if db.IsNoRows(err) {
		return role{}, httpx.ErrNotFound
	}
	if err != nil {
		return role{}, fmt.Errorf("find role: %w", err)
	}
	return r.domain(), nil
}

// maxRoles of a shop's own: more than a person can tell apart.
const maxRoles = 100

func (roleStore) insert(ctx context.Context, tx *db.Tx, r role) error {
	n, err := tx.Exec(ctx, `
		insert into identity.role (name, description, permissions, version, created_at, updated_at)
		select $1, $2, $3, $4, $5, $5 where (select count(*) from identity.role) < $6`,
		r.Name, r.Description, db.Array(r.Permissions), r.Version, r.CreatedAt, maxRoles)
	switch {
	case db.Violates(err, "role_pkey"):
		return errRoleTaken.At("/name", errRoleTaken.Code, "is the name of another role")
	case err != nil:
		return fmt.Errorf("insert role: %w", err)
	case n == 0:
		return errManyRoles
	}
	return nil
}

func (roleStore) save(ctx context.Context, tx *db.Tx, r role) error {
	_, err := tx.Exec(ctx, `update identity.role set description = $2, permissions = $3, version = $4, updated_at = $5 where name = $1`,
		r.Name, r.Description, db.Array(r.Permissions), r.Version, r.UpdatedAt)
	if err != nil {
		return fmt.Errorf("save role: %w", err)
	}
	return nil
}

// remove deletes a role that is locked, unless somebody has it.
func (roleStore) remove(ctx context.Context, tx *db.Tx, name string) error {
	n, err := tx.Exec(ctx, `delete from identity.role where name = $1 and not exists (select from identity.account where $1 = any(roles))`, name)
	if err != nil {
		return fmt.Errorf("delete role: %w", err)
	}
	if n == 0 {
		return errRoleInUse
	}
	return nil
}

// permissions of some of the shop's own roles together. Names of others give none. Until
// the transaction is over, none of the roles can be deleted.
func (roleStore) permissions(ctx context.Context, tx *db.Tx, names []string) (known map[string][]string, err error) {
	var rows []roleRow
	if err := tx.Select(ctx, &rows, `select `+roleColumns+` from identity.role where name = any($1) order by name for share`, db.Array(names)); err != nil {
		return nil, fmt.Errorf("read roles: %w", err)
	}
	known = make(map[string][]string, len(rows))
	for _, r := range rows {
		known[r.Name] = r.domain().Permissions
	}
	return known, nil
}
