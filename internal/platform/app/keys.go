package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/apikey"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
)

type createKeyBody struct {
	Name              string     `json:"name" minLength:"1" maxLength:"100" doc:"What the key is for" example:"Warehouse"`
	Kind              string     `json:"kind,omitempty" enum:"secret,publishable" default:"secret" doc:"A publishable key may stand in pages that anybody can read: it may shop and check out"`
	Permissions       []string   `json:"permissions,omitempty" maxItems:"100" doc:"Of a secret key, none that you do not hold; those of a publishable one are fixed" example:"[\"orders:read\"]"`
	Origins           []string   `json:"origins,omitempty" maxItems:"20" doc:"Of a publishable key: of the pages that use it in a browser" example:"[\"https://shop.example\"]"`
	AllowedIPs        []string   `json:"allowedIps,omitempty" maxItems:"50" doc:"Addresses and networks that the key is good from; everywhere when there are none" example:"[\"203.0.113.0/24\"]"`
	RequestsPerMinute *int       `json:"requestsPerMinute,omitempty" minimum:"1" maximum:"1000000" doc:"A limit of its own, instead of the shop's; no more than all callers of the shop may have together"`
	ExpiresAt         *time.Time `json:"expiresAt,omitempty"`
}

// Check finds what the schema cannot say.
func (b *createKeyBody) Check() []fault.Field {
	_, fields := b.networks()
	fields = append(fields, httpx.Line("/name", b.Name)...)
	if b.Kind == string(apikey.Publishable) {
		if len(b.Permissions) > 0 {
			fields = append(fields, fault.Field{Pointer: "/permissions", Code: "publishable", Detail: "those of a publishable key are fixed: leave them out"})
		}
	} else {
		if len(b.Permissions) == 0 {
			fields = append(fields, fault.Field{Pointer: "/permissions", Code: "required", Detail: "must have at least one"})
		}
		if len(b.Origins) > 0 {
			fields = append(fields, fault.Field{Pointer: "/origins", Code: "secret", Detail: "a secret key has no business in a page: leave them out"})
		}
	}
	for i, o := range b.Origins {
		if !apikey.IsOrigin(o) {
			fields = append(fields, fault.Field{Pointer: fmt.Sprintf("/origins/%d", i), Code: "origin", Detail: "must be an origin as browsers write it, such as https://shop.example"})
		}
	}
	return fields
}

// networks are the addresses that the key is good from.
func (b *createKeyBody) networks() (list []netip.Prefix, fields []fault.Field) {
	for i, text := range b.AllowedIPs {
		network, err := apikey.ParseNetwork(text)
		if err != nil {
			fields = append(fields, fault.Field{Pointer: fmt.Sprintf("/allowedIps/%d", i), Code: "network", Detail: "must be an address or a network such as 203.0.113.0/24"})
			continue
		}
		list = append(list, network)
	}
	return list, fields
}

// CheckFor finds a limit that would promise more than the operator lets the shop have.
func (b *createKeyBody) CheckFor(ctx context.Context) []fault.Field {
	quota := tenant.Of(ctx).Quotas.RequestsPerMinute
	if quota == nil || b.RequestsPerMinute == nil || int64(*b.RequestsPerMinute) <= *quota {
		return nil
	}
	return []fault.Field{{Pointer: "/requestsPerMinute", Code: "maximum", Detail: fmt.Sprintf("must be at most %d, which all callers of the shop share", *quota)}}
}

type createKeyInput struct{ httpx.JSON[createKeyBody] }

type keyResponse struct {
	ID                string     `json:"id" format:"uuid"`
	Name              string     `json:"name"`
	Kind              string     `json:"kind" enum:"secret,publishable"`
	Prefix            string     `json:"prefix" doc:"How the key begins" example:"fc_sk_Qx7R"`
	Key               string     `json:"key,omitempty" secret:"true" doc:"The key itself, in the answer to who makes or rotates it only"`
	Permissions       []string   `json:"permissions"`
	Origins           []string   `json:"origins"`
	AllowedIPs        []string   `json:"allowedIps"`
	RequestsPerMinute *int       `json:"requestsPerMinute,omitempty"`
	ExpiresAt         *time.Time `json:"expiresAt,omitempty"`
	PreviousUntil     *time.Time `json:"previousUntil,omitempty" doc:"Until when the secret before the last rotation is good"`
	LastUsedAt        *time.Time `json:"lastUsedAt,omitempty" doc:"Some minutes late"`
	CreatedAt         time.Time  `json:"createdAt"`
	RevokedAt         *time.Time `json:"revokedAt,omitempty"`
}

// madeResponse also says where the key can be read about.
type madeResponse struct{ keyResponse }

// Location of the key.
func (r madeResponse) Location() string { return "/v1/keys/" + r.ID }

func presentKey(k apikey.Key, secret string) keyResponse {
	return keyResponse{
		ID: k.ID.String(), Name: k.Name, Kind: string(k.Kind), Prefix: k.Prefix, Key: secret,
		Permissions: k.Permissions, Origins: k.Origins, AllowedIPs: k.AllowedIPs, RequestsPerMinute: k.RequestsPerMinute,
		ExpiresAt: utc(k.ExpiresAt), PreviousUntil: utc(k.PreviousUntil), LastUsedAt: utc(k.LastUsedAt), CreatedAt: k.CreatedAt.UTC(), RevokedAt: utc(k.RevokedAt),
	}
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

// keyDesk makes keys and ends them.
type keyDesk struct {
	db  *db.DB
	api *httpx.API
}

// keyRoutes are how people with the right to do so make keys for others.
func keyRoutes(api *httpx.API, d *db.DB) {
	const read, write = "keys:read", "keys:write"
	desk := keyDesk{d, api}
	api = api.Group("API keys")
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/keys", ID: "createKey", Summary: "Make an API key", Permission: write, Status: http.StatusCreated, Once: true,
		Description: "The answer holds the key, this once: who repeats the request hears only where it is. Nobody makes a key that may do what they may not, and a key makes none that is good for longer, from elsewhere or more often than itself.",
		Refusals:    []*fault.Error{httpx.ErrUnknownPermission, identity.ErrBeyond, apikey.ErrWider},
	}, desk.create)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/keys", ID: "listKeys", Summary: "List API keys", Permission: read, Description: "Oldest first, with those that were revoked.",
	}, desk.list)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/keys/{id}", ID: "getKey", Summary: "Read about an API key", Permission: read,
	}, desk.get)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/keys/{id}/rotate", ID: "rotateKey", Summary: "Give an API key a new secret", Permission: write, Once: true,
		Description: "The answer holds the new one, this once. The one before is good for as long as you say, so that nobody is cut off while it is put in place; one from a rotation before that ends at once.",
		Refusals:    []*fault.Error{apikey.ErrEnded, identity.ErrBeyond, apikey.ErrWider},
	}, desk.rotate)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodDelete, Path: "/v1/keys/{id}", ID: "revokeKey", Summary: "Revoke an API key", Permission: write, Status: http.StatusNoContent,
		Description: "It is refused within two seconds. Revoking a key that was revoked changes nothing.",
	}, desk.revoke)
}

func (k keyDesk) create(ctx context.Context, in *createKeyInput) (madeResponse, error) {
	b := in.Body
	networks, _ := b.networks()
	t := apikey.Terms{
		Name: b.Name, Kind: apikey.Kind(b.Kind), Permissions: slices.Compact(slices.Sorted(slices.Values(b.Permissions))), Origins: b.Origins,
		AllowedIPs: networks, RequestsPerMinute: b.RequestsPerMinute,
	}
	if b.ExpiresAt != nil {
		at := b.ExpiresAt.UTC().Truncate(time.Microsecond)
		t.ExpiresAt = &at
	}
	if err := k.mayMake(ctx, t); err != nil {
		return madeResponse{}, err
	}
	return httpx.Command(ctx, k.db, func(tx *db.Tx) (madeResponse, error) {
		if t.ExpiresAt != nil && !t.ExpiresAt.After(tx.Now) {
			return madeResponse{}, httpx.ErrValidation(fault.Field{Pointer: "/expiresAt", Code: "in_past", Detail: "must be in the future"})
		}
		if err := apikey.MayMake(ctx, tx, t); err != nil {
			return madeResponse{}, err
		}
		made, secret, err := apikey.Add(ctx, tx, t)
		return madeResponse{presentKey(made, secret)}, err
	})
}

// mayMake refuses a key with permissions that there are not, or that its maker lacks. One
// with a misspelt permission would look right and open nothing.
func (k keyDesk) mayMake(ctx context.Context, t apikey.Terms) error {
	if t.Kind == apikey.Publishable {
		return identity.MayGrant(ctx, identity.Storefront())
	}
	if err := k.api.KnowPermissions("/permissions", t.Permissions); err != nil {
		return err
	}
	return identity.MayGrant(ctx, t.Permissions)
}

func (k keyDesk) list(ctx context.Context, in *httpx.Page) (httpx.List[keyResponse], error) {
	var after apikey.Position
	if err := in.After(&after); err != nil {
		return httpx.List[keyResponse]{}, err
	}
	limit := in.Limit + 1
	var keys []apikey.Key
	if err := k.db.Read(ctx, func(tx *db.Tx) (err error) {
		keys, err = apikey.Page(ctx, tx, &after, &limit)
		return err
	}); err != nil {
		return httpx.List[keyResponse]{}, err
	}
	return httpx.ListOf(*in, keys, func(k apikey.Key) apikey.Position { return apikey.Position{CreatedAt: k.CreatedAt, ID: k.ID} },
		func(k apikey.Key) keyResponse { return presentKey(k, "") })
}

type keyByID struct {
	ID string `path:"id"`
}

func (k keyDesk) get(ctx context.Context, in *keyByID) (out keyResponse, err error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return out, err
	}
	err = k.db.Read(ctx, func(tx *db.Tx) error {
		key, err := findKey(ctx, tx, id)
		out = presentKey(key, "")
		return err
	})
	return out, err
}

// findKey answers about keys that there are not as about everything that there is not.
func findKey(ctx context.Context, tx *db.Tx, id uuid.UUID) (apikey.Key, error) {
	key, err := apikey.Find(ctx, tx, id)
	if errors.Is(err, apikey.ErrUnknown) {
		return key, httpx.ErrNotFound
	}
	return key, err
}

type rotateKeyBody struct {
	OverlapSeconds *int64 `json:"overlapSeconds,omitempty" minimum:"0" maximum:"2592000" doc:"How long the secret before is still good; a day when it is absent"`
}

// dayOverlap is for who does not say how long the secret before is good.
const dayOverlap = 24 * time.Hour

func (b rotateKeyBody) overlap() time.Duration {
	if b.OverlapSeconds == nil {
		return dayOverlap
	}
	return time.Duration(*b.OverlapSeconds) * time.Second
}

type rotateKeyInput struct {
	httpx.JSON[rotateKeyBody]
	ID string `path:"id"`
}

func (k keyDesk) rotate(ctx context.Context, in *rotateKeyInput) (keyResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return keyResponse{}, err
	}
	return httpx.Command(ctx, k.db, func(tx *db.Tx) (keyResponse, error) {
		key, err := findKey(ctx, tx, id)
		if err != nil {
			return keyResponse{}, err
		}
		// Who sees the new secret can do what the key can.
		if err := identity.MayGrant(ctx, key.Permissions); err != nil {
			return keyResponse{}, err
		}
		if err := apikey.MayShow(ctx, tx, key); err != nil {
			return keyResponse{}, err
		}
		audit.Before(ctx, presentKey(key, ""))
		key, secret, err := apikey.Rotate(ctx, tx, id, in.Body.overlap())
		return presentKey(key, secret), err
	})
}

func (k keyDesk) revoke(ctx context.Context, in *keyByID) (httpx.None, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return httpx.None{}, err
	}
	return httpx.Command(ctx, k.db, func(tx *db.Tx) (httpx.None, error) {
		key, err := findKey(ctx, tx, id)
		if err != nil || key.RevokedAt != nil {
			return httpx.None{}, err
		}
		audit.Before(ctx, presentKey(key, ""))
		if err := apikey.End(ctx, tx, id); !errors.Is(err, apikey.ErrUnknown) {
			return httpx.None{}, err
		}
		return httpx.None{}, nil // somebody else was quicker
	})
}
