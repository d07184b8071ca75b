package groupbuy

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// progress of a campaign, for those who watch it fill.
type progress struct {
	ID                 string    `json:"id" format:"uuid"`
	Status             string    `json:"status" enum:"scheduled,active,successful,expired,cancelled"`
	ActualParticipants int64     `json:"actualParticipants"`
	MinParticipants    int64     `json:"minParticipants"`
	MaxParticipants    int64     `json:"maxParticipants"`
	EndTime            time.Time `json:"endTime"`
}

func progressOf(c campaign) progress {
	return progress{c.ID.String(), string(c.Status), c.Joined, c.Min, c.Max, c.End}
}

const (
	// calm is between two looks at the campaigns of a merchant, however fast people join.
	calm = 100 * time.Millisecond
	// trouble is the pause after one that failed.
	trouble = time.Second
)

// feeds tells those who follow campaigns how they go: for each merchant one query for all
// of them when something may have changed, and none when nobody listens.
type feeds struct {
	db    *db.DB
	store store

	mu        sync.Mutex
	audiences map[uuid.UUID]*audience
}

// audience are the listeners of one merchant.
type audience struct {
	listeners map[*listener]bool
	wake      chan struct{}
	stop      context.CancelFunc
}

// listener follows one campaign.
type listener struct {
	campaign uuid.UUID
	seen     int64 // version of the campaign; 0: none yet
	events   chan httpx.Event[progress]
}

func newFeeds(d *db.DB) *feeds { return &feeds{db: d, audiences: map[uuid.UUID]*audience{}} }

// follow adds a listener. From here on no change of the campaign is missed.
func (f *feeds) follow(ctx context.Context, tenant, campaign uuid.UUID) (*listener, func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.audiences[tenant]
	if a == nil {
		// The first listener may leave before the others.
		watching, stop := context.WithCancel(context.WithoutCancel(ctx))
		a = &audience{listeners: map[*listener]bool{}, wake: make(chan struct{}, 1), stop: stop}
		f.audiences[tenant] = a
		go f.watch(identity.With(watching, identity.Identity{Tenant: tenant, Actor: "system:groupbuy.feed"}), a)
	}
	l := &listener{campaign: campaign, events: make(chan httpx.Event[progress], 1)}
	a.listeners[l] = true
	return l, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(a.listeners, l)
		if len(a.listeners) == 0 {
			a.stop()
			delete(f.audiences, tenant)
		}
	}
}

// tenants who have an audience.
func (f *feeds) tenants() []uuid.UUID {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := make([]uuid.UUID, 0, len(f.audiences))
	for id := range f.audiences {
		ids = append(ids, id)
	}
	return ids
}

// changed says that something about a merchant's campaigns may have.
func (f *feeds) changed(tenant uuid.UUID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a := f.audiences[tenant]; a != nil {
		select {
		case a.wake <- struct{}{}:
		default: // it is going to look anyway
		}
	}
}

// watch looks when it is woken. While the database is away, everybody keeps what they have.
func (f *feeds) watch(ctx context.Context, a *audience) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		}
		pause.Reset(calm)
		if err := f.look(ctx, a); err != nil {
			pause.Reset(trouble)
			select {
			case a.wake <- struct{}{}:
			default:
			}
		}
	}
}

func (f *feeds) look(ctx context.Context, a *audience) error {
	ids := f.followed(a)
	var list []campaign
	if err := f.db.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = f.store.findAll(ctx, tx, ids)
		return err
	}); err != nil {
		return err
	}
	byID := make(map[uuid.UUID]campaign, len(list))
	for _, c := range list {
		byID[c.ID] = c
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range a.listeners {
		if c, ok := byID[l.campaign]; ok {
			l.tell(c)
		}
	}
	return nil
}

func (f *feeds) followed(a *audience) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := map[uuid.UUID]bool{}
	ids := []string{}
	for l := range a.listeners {
		if !seen[l.campaign] {
			seen[l.campaign] = true
			ids = append(ids, l.campaign.String())
		}
	}
	return ids
}

// begin tells a listener how the campaign is, unless it has heard that it is further.
func (f *feeds) begin(l *listener, c campaign) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l.tell(c)
}

// tell replaces what a slow listener has not taken yet. It is called under the lock of the
// feeds: never does anybody hear of an older version after a newer one.
func (l *listener) tell(c campaign) {
	if c.Version <= l.seen {
		return
	}
	name := "campaign"
	if l.seen == 0 {
		name = "snapshot"
	}
	l.seen = c.Version
	select {
	case missed := <-l.events:
		name = missed.Name
	default:
	}
	l.events <- httpx.Event[progress]{ID: strconv.FormatInt(c.Version, 10), Name: name, Data: progressOf(c)}
}

func (s *service) handleFollow(ctx context.Context, in *byID) (httpx.Feed[progress], error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return httpx.Feed[progress]{}, err
	}
	who, err := identity.From(ctx)
	if err != nil {
		return httpx.Feed[progress]{}, err
	}
	// Before it is read: what changes from here on is heard of.
	l, leave := s.feeds.follow(ctx, who.Tenant, id)
	c, err := s.get(ctx, id)
	if err != nil {
		leave()
		return httpx.Feed[progress]{}, err
	}
	s.feeds.begin(l, c)
	return httpx.Feed[progress]{Events: l.events, Close: leave}, nil
}
