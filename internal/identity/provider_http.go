package identity

import (
	"context"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

type providerResponse struct {
	ID           string    `json:"id" format:"uuid"`
	Slug         string    `json:"slug" example:"acme"`
	Name         string    `json:"name" example:"Acme"`
	Kind         string    `json:"kind" enum:"staff,customer"`
	Issuer       string    `json:"issuer" example:"https://login.example.com"`
	ClientID     string    `json:"clientId"`
	HasSecret    bool      `json:"hasSecret" doc:"There is a client secret, which nobody can read back"`
	Domains      []string  `json:"domains"`
	Roles        []string  `json:"roles"`
	AcceptTokens bool      `json:"acceptTokens"`
	Audience     string    `json:"audience"`
	Enabled      bool      `json:"enabled"`
	CreatedAt    time.Time `json:"createdAt"`
	UpdatedAt    time.Time `json:"updatedAt"`

	version int64
}

// ETag is the provider's version.
func (r providerResponse) ETag() string { return httpx.VersionTag(r.version) }

func presentProvider(p provider) providerResponse {
	return providerResponse{
		ID: p.ID.String(), Slug: p.Slug, Name: p.Name, Kind: string(p.Kind), Issuer: p.Issuer, ClientID: p.ClientID, HasSecret: len(p.ClientSecret) > 0,
		Domains: p.Domains, Roles: p.Roles, AcceptTokens: p.AcceptTokens, Audience: p.Audience, Enabled: p.Enabled,
		CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt, version: p.Version,
	}
}

// madeProvider also says where the provider is.
type madeProvider struct{ providerResponse }

// Location of the provider.
func (r madeProvider) Location() string { return "/v1/auth/providers/" + r.ID }

type createProviderBody struct {
	Slug         string   `json:"slug" pattern:"^[a-z0-9][a-z0-9-]{0,62}$" doc:"Name in the addresses of its sign-in" example:"acme"`
	Name         string   `json:"name" minLength:"1" maxLength:"100" doc:"Name for people" example:"Acme"`
	Kind         string   `json:"kind" enum:"staff,customer" doc:"Who signs in there"`
	Issuer       string   `json:"issuer" minLength:"1" maxLength:"500" doc:"Where its discovery document is found" example:"https://login.example.com"`
	ClientID     string   `json:"clientId" minLength:"1" maxLength:"200" doc:"What it calls us"`
	ClientSecret string   `json:"clientSecret,omitempty" maxLength:"1000" doc:"Leave it out for a public client"`
	Domains      []string `json:"domains,omitempty" maxItems:"100" doc:"Of e-mail addresses that may come; all when there are none"`
	Roles        []string `json:"roles,omitempty" maxItems:"20" doc:"Of staff who come for the first time; without, only who was invited can sign in"`
	AcceptTokens bool     `json:"acceptTokens,omitempty" doc:"Its tokens for audience are credentials here, of whom it is linked to"`
	Audience     string   `json:"audience,omitempty" maxLength:"200" doc:"Of tokens that are credentials; another than clientId"`
	Enabled      *bool    `json:"enabled,omitempty" default:"true"`
}

// Check finds what the schema cannot say.
func (b *createProviderBody) Check() []fault.Field { return httpx.Line("/name", b.Name) }

type createProviderInput struct {
	httpx.JSON[createProviderBody]
}

func (s *service) handleCreateProvider(ctx context.Context, in *createProviderInput) (madeProvider, error) {
	b := in.Body
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (madeProvider, error) {
		p, err := s.addProvider(ctx, tx, provider{
			Slug: b.Slug, Name: b.Name, Kind: kind(b.Kind), Issuer: b.Issuer, ClientID: b.ClientID, Domains: some(b.Domains), Roles: some(b.Roles),
			AcceptTokens: b.AcceptTokens, Audience: b.Audience, Enabled: b.Enabled == nil || *b.Enabled,
		}, b.ClientSecret)
		return madeProvider{presentProvider(p)}, err
	})
}

// some is a list that may have been left out.
func some(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

type listProvidersInput struct{ httpx.Page }

type slugPosition struct {
	Slug string `json:"slug"`
}

func (s *service) handleProviders(ctx context.Context, in *listProvidersInput) (httpx.List[providerResponse], error) {
	var after slugPosition
	if err := in.After(&after); err != nil {
		return httpx.List[providerResponse]{}, err
	}
	var list []provider
	if err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = s.store.providers(ctx, tx, `where slug > $1 order by slug limit $2`, after.Slug, in.Limit+1)
		return err
	}); err != nil {
		return httpx.List[providerResponse]{}, err
	}
	return httpx.ListOf(in.Page, list, func(p provider) slugPosition { return slugPosition{p.Slug} }, presentProvider)
}

type providerByID struct {
	ID string `path:"id"`
}

func (s *service) handleProvider(ctx context.Context, in *providerByID) (providerResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return providerResponse{}, err
	}
	var p provider
	err = s.db.Read(ctx, func(tx *db.Tx) (err error) {
		p, err = s.store.provider(ctx, tx, id)
		return err
	})
	return presentProvider(p), err
}

type updateProviderBody struct {
	Name         *string   `json:"name,omitempty" minLength:"1" maxLength:"100"`
	Issuer       *string   `json:"issuer,omitempty" minLength:"1" maxLength:"500"`
	ClientID     *string   `json:"clientId,omitempty" minLength:"1" maxLength:"200"`
	ClientSecret *string   `json:"clientSecret,omitempty" maxLength:"1000" doc:"The new one; an empty one takes it away, and so does another issuer or clientId without a new one"`
	Domains      *[]string `json:"domains,omitempty" maxItems:"100"`
	Roles        *[]string `json:"roles,omitempty" maxItems:"20"`
	AcceptTokens *bool     `json:"acceptTokens,omitempty"`
	Audience     *string   `json:"audience,omitempty" maxLength:"200"`
	Enabled      *bool     `json:"enabled,omitempty"`
}

// Check finds what the schema cannot say.
func (b *updateProviderBody) Check() []fault.Field {
	if b.Name == nil {
		return nil
	}
	return httpx.Line("/name", *b.Name)
}

func (b *updateProviderBody) apply(p *provider) {
	take(&p.Name, b.Name)
	take(&p.Issuer, b.Issuer)
	take(&p.ClientID, b.ClientID)
	take(&p.Domains, b.Domains)
	take(&p.Roles, b.Roles)
	take(&p.AcceptTokens, b.AcceptTokens)
	take(&p.Audience, b.Audience)
	take(&p.Enabled, b.Enabled)
}

func take[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

type updateProviderInput struct {
	httpx.IfMatch
	httpx.JSON[updateProviderBody]
	ID string `path:"id"`
}

func (s *service) handleUpdateProvider(ctx context.Context, in *updateProviderInput) (providerResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return providerResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (providerResponse, error) {
		p, err := s.changeProvider(ctx, tx, id, in.IfMatch, in.Body.ClientSecret, in.Body.apply)
		return presentProvider(p), err
	})
}

type deleteProviderInput struct {
	httpx.IfMatch
	ID string `path:"id"`
}

func (s *service) handleDeleteProvider(ctx context.Context, in *deleteProviderInput) (httpx.None, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return httpx.None{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (httpx.None, error) {
		return httpx.None{}, s.removeProvider(ctx, tx, id, in.IfMatch)
	})
}
