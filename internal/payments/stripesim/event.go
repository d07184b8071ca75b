package stripesim

import (
	"encoding/json"
	"slices"
	"strings"
)

// apiVersion is what the objects look like.
const apiVersion = "2026-03-25.dahlia"

// event says what has happened, with the object as it was then.
type event struct {
	ID              string       `json:"id"`
	Object          string       `json:"object"`
	APIVersion      string       `json:"api_version"`
	Created         int64        `json:"created"`
	Data            eventData    `json:"data"`
	Livemode        bool         `json:"livemode"`
	PendingWebhooks int          `json:"pending_webhooks"`
	Request         eventRequest `json:"request"`
	Type            string       `json:"type"`
}

type eventData struct {
	Object json.RawMessage `json:"object"`
}

type eventRequest struct {
	ID             *string `json:"id"`
	IdempotencyKey *string `json:"idempotency_key"`
}

func (e *event) name() string    { return e.ID }
func (e *event) made() int64     { return e.Created }
func (e *event) view(expand) any { return *e }

// emit writes an event down, and sends it to whoever wants it.
func (c *call) emit(kind string, about object) {
	snapshot, err := json.Marshal(about.view(nil))
	if err != nil {
		c.sim.log.Error("an object cannot be written as JSON", "event", kind, "error", err)
		return
	}
	e := &event{
		ID: c.sim.dice.id("evt"), Object: "event", APIVersion: apiVersion, Created: seconds(c.sim.now()), Data: eventData{snapshot}, Type: kind,
		Request: eventRequest{optional(c.request), optional(c.key)},
	}
	c.acct.events.add(e)
	to := c.acct.endpointsFor(kind)
	if c.sim.opt.Webhook != "" {
		to = append(to, &endpoint{URL: c.sim.opt.Webhook, Secret: c.sim.opt.Secret})
	}
	e.PendingWebhooks = len(to)
	for _, to := range to {
		c.sent = append(c.sent, c.sim.post.take(e, to)...)
	}
}

func retrieveEvent(c *call) (any, error) {
	e, err := c.acct.events.find("event", c.id, "id")
	if err != nil {
		return nil, err
	}
	return e.view(nil), nil
}

func listEvents(c *call) (any, error) {
	kinds := c.many("types")
	if kind := c.text("type"); kind != "" {
		kinds = append(kinds, kind)
	}
	return list(c, &c.acct.events, "event", func(e *event) bool { return wants(kinds, e.Type) })
}

// wants tells whether a list of types ("charge.*" among them) names one; an empty one names all.
func wants(kinds []string, kind string) bool {
	return len(kinds) == 0 || slices.ContainsFunc(kinds, func(k string) bool {
		prefix, all := strings.CutSuffix(k, "*")
		return k == kind || all && strings.HasPrefix(kind, prefix)
	})
}
