// Package groupbuy sells to groups: a campaign offers a product at a better price to
// enough people who join in time.
//
// Only Module, New and the interfaces that it needs are exported. Other modules see
// groupbuyapi.
package groupbuy

import (
	"context"
	"net/http"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/groupbuy/groupbuyapi"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

// Offers is what groupbuy needs from the catalog: what products are and cost now. A
// product that is not for sale is absent from the answer.
type Offers interface {
	OffersByProduct(ctx context.Context, ids []string) (map[string]catalogapi.Offer, error)
}

// Module is the campaigns.
type Module struct{ svc *service }

// New makes the campaigns.
func New(k app.Kit, offers Offers) *Module {
	return &Module{&service{db: k.DB, events: k.Events, timers: k.Timers, offers: offers, feeds: newFeeds(k.DB)}}
}

// Name of the module, its schema and its migrations.
func (*Module) Name() string { return "groupbuy" }

const (
	permissionRead  = "campaigns:read"
	permissionWrite = "campaigns:write"
)

// Mount declares routes and timers. Those who listen hear of the module's own facts, also
// when another replica recorded them.
func (m *Module) Mount(on app.Mount) {
	const write, join = permissionWrite, "campaigns:join"
	api := on.API.Group("Campaigns")
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/campaigns", ID: "createCampaign", Summary: "Start a campaign", Permission: write, Status: http.StatusCreated,
		Description: "Offers a product at a better price to a group: when `minParticipants` have joined, everybody who has joined, and everybody who still does, gets an order at that price, in which tax and sending are included. " +
			"The campaign is `active`, or `scheduled` before its startTime.",
		Refusals: []*fault.Error{errUnknownProduct, errCurrencyMismatch},
	}, m.svc.handleCreate)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/campaigns", ID: "listCampaigns", Summary: "List campaigns", Permission: httpx.Public,
	}, m.svc.handleList)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/campaigns/{id}", ID: "getCampaign", Summary: "Read a campaign", Permission: httpx.Public,
	}, m.svc.handleGet)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPatch, Path: "/v1/campaigns/{id}", ID: "updateCampaign", Summary: "Change a campaign", Permission: write,
		Description: "Changes what is sent and leaves the rest, as long as nobody has joined: what was promised to one stays.", Refusals: []*fault.Error{errLocked},
	}, m.svc.handleUpdate)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/campaigns/{id}/cancel", ID: "cancelCampaign", Summary: "Cancel a campaign", Permission: write,
		Description: "Nobody gets an order. Cancelling a cancelled campaign changes nothing.", Refusals: []*fault.Error{errNotCancellable},
	}, m.svc.handleCancel)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/campaigns/{id}/join", ID: "joinCampaign", Summary: "Join a campaign", Permission: join, Limit: httpx.LimitCheckout,
		Description: "For one user, once: customers join for themselves; who may join and nothing more, as a storefront's page, does so for guests. The join that makes `minParticipants` turns the campaign `successful`: orders follow within moments. " +
			"Joins go on until the campaign is full or over.",
		Refusals: []*fault.Error{errNotActive, errAlreadyJoined, errFull},
	}, m.svc.handleJoin)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/campaigns/{id}/participants", ID: "listParticipants", Summary: "List who joined a campaign", Permission: permissionRead, Own: true, Personal: true,
		Description: "In the order in which they joined. Customers see themselves only.",
	}, m.svc.handleParticipants)

	httpx.Stream(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/campaigns/{id}/events", ID: "followCampaign", Summary: "Follow a campaign", Permission: httpx.Public,
		Description: "For a live counter, as EventSource reads it: first an event `snapshot`, then an event `campaign` whenever the campaign has changed, at most ten a second. " +
			"Connect again when it ends.",
	}, m.svc.handleFollow)

	on.Bus.Watch([]string{
		groupbuyapi.CampaignUpdated{}.EventType(), groupbuyapi.CampaignJoined{}.EventType(), groupbuyapi.CampaignSuccessful{}.EventType(),
		groupbuyapi.CampaignExpired{}.EventType(), groupbuyapi.CampaignCancelled{}.EventType(),
	}, m.svc.feeds.tenants, m.svc.feeds.changed)
	m.svc.timers.On(timerStart, m.svc.onStart)
	m.svc.timers.On(timerEnd, m.svc.onEnd)
	m.svc.timers.On(timerOrder, m.svc.onOrder)
}
