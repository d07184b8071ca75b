package identity

import (
	"context"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/erasure"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/mail"
)

// customers is who buys, with an account or without one.
type customers struct {
	db       *db.DB
	events   *event.Log
	mail     *mail.Outbox
	erasures *erasure.Log
	holders  []Holder
	store    profileStore
}

// Groups are those that a customer belongs to. Whoever is no customer belongs to none.
func (m *Module) Groups(ctx context.Context, customer string) (names []string, err error) {
	id, err := httpx.ID(customer)
	if err != nil {
		return nil, nil //nolint:nilerr // a guest's name is no id
	}
	err = m.customers.db.Read(ctx, func(tx *db.Tx) error {
		names, err = m.customers.store.groupsOf(ctx, tx, id)
		return err
	})
	return names, err
}

// create notes a customer who has no account.
func (c *customers) create(ctx context.Context, tx *db.Tx, wanted profileChanges) (profile, error) {
	p := profile{ID: clock.NewID(), Groups: []string{}}
	if _, err := p.change(wanted, tx.Now); err != nil {
		return profile{}, err
	}
	p.Version, p.CreatedAt, p.UpdatedAt = 1, tx.Now, tx.Now
	return p, c.store.insert(ctx, tx, p)
}

func (c *customers) update(ctx context.Context, tx *db.Tx, p profile, wanted profileChanges) (profile, error) {
	changed, err := p.change(wanted, tx.Now)
	if err != nil || !changed {
		return p, err
	}
	return p, c.store.save(ctx, tx, p)
}

// registered makes the record of a customer who has just made an account.
func (c *customers) registered(ctx context.Context, tx *db.Tx, id uuid.UUID, email, name string) error {
	return c.store.insert(ctx, tx, profile{
		ID: id, Registered: true, Email: email, EmailKey: keyOf(email), Name: name, Groups: []string{}, Version: 1, CreatedAt: tx.Now, UpdatedAt: tx.Now,
	})
}

// renamed gives the record of a customer the name that they gave their account.
func (c *customers) renamed(ctx context.Context, tx *db.Tx, id uuid.UUID, name string) error {
	p, err := c.store.lock(ctx, tx, id)
	if err != nil {
		return err
	}
	_, err = c.update(ctx, tx, p, profileChanges{Name: &name})
	return err
}
