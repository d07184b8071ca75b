package apikey

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// ErrWider refuses to a key what would outgrow it.
var ErrWider = fault.New(fault.Forbidden, "beyond_own_terms", "A key hands out no key that is good for longer, from elsewhere or more often than itself.")

// bounds are what a key is good for beside its permissions.
type bounds struct {
	until *time.Time
	from  []netip.Prefix // anywhere when there are none
	limit *int
}

// MayMake refuses terms that are wider than those of the key that acts in ctx: it would
// outlive its end through the other one. People and the bootstrap key have no such terms.
func MayMake(ctx context.Context, tx *db.Tx, t Terms) error {
	return within(ctx, tx, bounds{t.ExpiresAt, t.AllowedIPs, t.RequestsPerMinute})
}

// MayOutlive refuses to a key with bounds what has none: a person, or the owner of a tenant.
func MayOutlive(ctx context.Context, tx *db.Tx) error {
	err := MayMake(ctx, tx, Terms{})
	if errors.Is(err, ErrWider) {
		return ErrWider.Saying("A key with an end, addresses or a limit of its own lets in nobody who has none of them.")
	}
	return err
}

// MayShow refuses to show the secret of a key to one with narrower terms.
func MayShow(ctx context.Context, tx *db.Tx, k Key) error {
	b, err := k.bounds()
	if err != nil {
		return err
	}
	return within(ctx, tx, b)
}

func (k Key) bounds() (bounds, error) {
	from, err := networks(k.ID, k.AllowedIPs)
	return bounds{k.ExpiresAt, from, k.RequestsPerMinute}, err
}

func networks(id uuid.UUID, texts []string) (list []netip.Prefix, err error) {
	for _, text := range texts {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("addresses of key %s: %w", id, err)
		}
		list = append(list, network)
	}
	return list, nil
}

func within(ctx context.Context, tx *db.Tx, wanted bounds) error {
	who, err := identity.From(ctx)
	if err != nil {
		return err
	}
	text, _ := strings.CutPrefix(who.Actor, actorPrefix)
	id, err := uuid.Parse(text)
	if err != nil {
		return nil //nolint:nilerr // no key of ours acts
	}
	maker, err := Find(ctx, tx, id)
	if err != nil {
		return fmt.Errorf("find the key that makes another: %w", err)
	}
	own, err := maker.bounds()
	if err != nil {
		return err
	}
	if fields := own.exceeded(wanted); len(fields) > 0 {
		return ErrWider.AtFields(fields...)
	}
	return nil
}

// exceeded names what is wider than b.
func (b bounds) exceeded(by bounds) (fields []fault.Field) {
	beyond := func(pointer, format string, args ...any) {
		fields = append(fields, fault.Field{Pointer: pointer, Code: ErrWider.Code, Detail: fmt.Sprintf(format, args...)})
	}
	if b.until != nil && (by.until == nil || by.until.After(*b.until)) {
		beyond("/expiresAt", "must be no later than %s", b.until.UTC().Format(time.RFC3339Nano))
	}
	if len(b.from) > 0 && len(by.from) == 0 {
		beyond("/allowedIps", "must be some of %s", list(b.from))
	}
	for i, n := range by.from {
		if len(b.from) > 0 && !slices.ContainsFunc(b.from, func(own netip.Prefix) bool { return own.Bits() <= n.Bits() && own.Contains(n.Addr()) }) {
			beyond(fmt.Sprintf("/allowedIps/%d", i), "must be within %s", list(b.from))
		}
	}
	if b.limit != nil && (by.limit == nil || *by.limit > *b.limit) {
		beyond("/requestsPerMinute", "must be at most %d", *b.limit)
	}
	return fields
}

func list(networks []netip.Prefix) string {
	var texts []string
	for _, n := range networks {
		texts = append(texts, n.String())
	}
	return strings.Join(texts, ", ")
}
