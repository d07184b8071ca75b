package identity

import (
	"strings"

	"github.com/google/uuid"
)

// ActorBootstrap is who shows the key of the configuration.
const ActorBootstrap = "key:bootstrap"

// Permissions of deployments that ask each other.
const (
	ReadOffers       = "offers:read"         // what things cost
	IntrospectTokens = "identity:introspect" // whom an access token belongs to
)

// ServiceCredential is what a deployment shows another one of the same shop: the key that
// they share, and the merchant on whose behalf it asks.
func ServiceCredential(key string, tenant uuid.UUID) string { return key + "@" + tenant.String() }

// service is the actor of other deployments.
const service = "service"

// Service is who shows such a credential. It may ask what the deployments ask each other,
// and change nothing.
func Service(tenant uuid.UUID) Identity {
	return Identity{Tenant: tenant, Actor: service, Permissions: []string{ReadOffers, IntrospectTokens}}
}

// CutServiceCredential takes a credential apart; ok is false when it is of another kind.
func CutServiceCredential(token string) (key string, tenant uuid.UUID, ok bool) {
	at := strings.LastIndexByte(token, '@')
	if at < 0 {
		return "", uuid.Nil, false
	}
	key, merchant := token[:at], token[at+1:]
	// Parse takes other ways to write an id, some of them with anything around it.
	tenant, err := uuid.Parse(merchant)
	if err != nil || tenant == uuid.Nil || tenant.String() != merchant {
		return "", uuid.Nil, false
	}
	return key, tenant, true
}

// IsService reports whether another deployment of the shop asks.
func (i Identity) IsService() bool { return i.Actor == service }
