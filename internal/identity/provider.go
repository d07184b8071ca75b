package identity

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

var errSlugTaken = fault.New(fault.Conflict, "slug_taken", "Another provider has this slug.")

// provider is an identity provider at which people of a shop sign in.
type provider struct {
	ID           uuid.UUID
	Slug         string
	Name         string
	Kind         kind
	Issuer       string
	ClientID     string
	ClientSecret []byte // sealed; none for a public client
	Domains      []string
	Roles        []string
	AcceptTokens bool
	Audience     string
	Enabled      bool
	Version      int64
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// sealedFor is the purpose that the secrets of providers are sealed for.
const sealedFor = "oidc-client"

// flaws are what is wrong with a provider as a whole.
func (s *service) flaws(p provider) []fault.Field {
	fields := flawsOfRoles(p.Roles)
	if flaw := s.outbound.Flaw(p.Issuer); flaw != "" {
		fields = append(fields, fault.Field{Pointer: "/issuer", Code: "destination_not_allowed", Detail: flaw})
	} else if strings.Contains(p.Issuer, "?") {
		fields = append(fields, fault.Field{Pointer: "/issuer", Code: "url", Detail: "must not have a query"})
	}
	if p.Kind == customer && len(p.Roles) > 0 {
		fields = append(fields, fault.Field{Pointer: "/roles", Code: "not_allowed", Detail: "customers have no roles: leave them out"})
	}
	if p.Kind == staff && len(p.Roles) > 0 && len(p.Domains) == 0 {
		fields = append(fields, fault.Field{Pointer: "/domains", Code: "required", Detail: "is required beside roles: else everybody at the provider could work for the shop"})
	}
	switch {
	case p.AcceptTokens && p.Audience == "":
		fields = append(fields, fault.Field{Pointer: "/audience", Code: "required", Detail: "is required beside acceptTokens"})
	case p.AcceptTokens && p.Audience == p.ClientID:
		fields = append(fields, fault.Field{Pointer: "/audience", Code: "not_allowed", Detail: "must be another than clientId: what says who signed in is no credential"})
	}
	for i, d := range p.Domains {
		if d != strings.ToLower(d) || strings.ContainsAny(d, "@/:, ") || !strings.Contains(d, ".") {
			fields = append(fields, fault.Field{Pointer: "/domains/" + itoa(i), Code: "domain", Detail: "must be a domain in lower case, such as example.com"})
		}
	}
	return fields
}

// admits tells whether the provider is for people with such an address.
func (p provider) admits(email string) bool {
	_, domain, _ := strings.Cut(keyOf(email), "@")
	return len(p.Domains) == 0 || slices.Contains(p.Domains, domain)
}

// mayProvide lets owners only decide who vouches for staff: a provider could say of anybody
// that it is the owner who was invited.
func mayProvide(ctx context.Context, kinds ...kind) error {
	who, err := identity.From(ctx)
	if err == nil && slices.Contains(kinds, staff) && !who.Can(identity.Everything) {
		err = errBeyondOneself.Saying("Only an owner decides who vouches for the shop's staff.")
	}
	return err
}

func (s *service) addProvider(ctx context.Context, tx *db.Tx, p provider, secret string) (provider, error) {
	if err := mayProvide(ctx, p.Kind); err != nil {
		return provider{}, err
	}
	if fields := s.flaws(p); len(fields) > 0 {
		return provider{}, httpx.ErrValidation(fields...)
	}
	err := s.mayHandle(ctx, tx, p.Roles, nil)
	if err != nil {
		return provider{}, err
	}
	if p.ClientSecret, err = s.sealSecret(ctx, secret); err != nil {
		return provider{}, err
	}
	now, err := s.store.now(ctx, tx)
	if err != nil {
		return provider{}, err
	}
	p.ID, p.Version, p.CreatedAt, p.UpdatedAt = clock.NewID(), 1, now, now
	return p, s.store.insertProvider(ctx, tx, p)
}

func (s *service) sealSecret(ctx context.Context, secret string) ([]byte, error) {
	id, err := identity.From(ctx)
	if err != nil || secret == "" {
		return nil, err
	}
	return s.vault.Seal(id.Tenant, sealedFor, []byte(secret))
}

// changeProvider lets change alter a provider, whose result has to make sense again.
func (s *service) changeProvider(ctx context.Context, tx *db.Tx, id uuid.UUID, match httpx.IfMatch, secret *string, change func(*provider)) (provider, error) {
	before, err := s.store.lockProvider(ctx, tx, id)
	if err != nil {
		return provider{}, err
	}
	if err := match.Allows(before.Version); err != nil {
		return provider{}, err
	}
	audit.Before(ctx, presentProvider(before))
	p := before
	change(&p)
	if err := mayProvide(ctx, before.Kind, p.Kind); err != nil {
		return provider{}, err
	}
	if fields := s.flaws(p); len(fields) > 0 {
		return provider{}, httpx.ErrValidation(fields...)
	}
	if err := s.mayHandle(ctx, tx, p.Roles, before.Roles); err != nil {
		return provider{}, err
	}
	if p.Issuer != before.Issuer || p.ClientID != before.ClientID {
		p.ClientSecret = nil // or who may change the address would learn the secret there
	}
	if secret != nil {
		if p.ClientSecret, err = s.sealSecret(ctx, *secret); err != nil {
			return provider{}, err
		}
	}
	if p.UpdatedAt, err = s.store.now(ctx, tx); err != nil {
		return provider{}, err
	}
	p.Version++
	return p, s.store.saveProvider(ctx, tx, p)
}

func (s *service) removeProvider(ctx context.Context, tx *db.Tx, id uuid.UUID, match httpx.IfMatch) error {
	p, err := s.store.lockProvider(ctx, tx, id)
	if err != nil {
		return err
	}
	if err := match.Allows(p.Version); err != nil {
		return err
	}
	if err := mayProvide(ctx, p.Kind); err != nil {
		return err
	}
	audit.Before(ctx, presentProvider(p))
	return s.store.deleteProvider(ctx, tx, id)
}
