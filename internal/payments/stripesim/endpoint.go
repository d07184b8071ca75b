package stripesim

import (
	"net/url"
	"strings"
)

// endpoint is an address that gets an account's events.
type endpoint struct {
	ID            string   `json:"id"`
	Object        string   `json:"object"`
	Created       int64    `json:"created"`
	EnabledEvents []string `json:"enabled_events"`
	Livemode      bool     `json:"livemode"`
	Secret        string   `json:"secret,omitempty"`
	Status        string   `json:"status"`
	URL           string   `json:"url"`
}

func (e *endpoint) name() string { return e.ID }
func (e *endpoint) made() int64  { return e.Created }

// view shows no secret: the answer to its creation is the only one that does.
func (e *endpoint) view(expand) any {
	v := *e
	v.Secret = ""
	return v
}

func (a *account) endpointsFor(kind string) (found []*endpoint) {
	for _, e := range a.endpoints.all {
		if wants(e.EnabledEvents, kind) {
			found = append(found, e)
		}
	}
	return found
}

func createEndpoint(c *call) (any, error) {
	to, err := url.Parse(c.text("url"))
	if err != nil || to.Host == "" {
		return nil, invalid("url_invalid", "url", "Invalid URL: An explicit scheme (such as https) must be provided.")
	}
	kinds := c.many("enabled_events")
	if len(kinds) == 0 {
		return nil, invalid("parameter_missing", "enabled_events", "Missing required param: enabled_events.")
	}
	e := &endpoint{
		ID: c.sim.dice.id("we"), Object: "webhook_endpoint", Created: seconds(c.sim.now()), EnabledEvents: kinds,
		Secret: "whsec_" + strings.TrimPrefix(c.sim.dice.id("whsec"), "whsec_"), Status: "enabled", URL: to.String(),
	}
	c.acct.endpoints.add(e)
	return *e, nil
}

func listEndpoints(c *call) (any, error) {
	return list(c, &c.acct.endpoints, "webhook_endpoint", func(*endpoint) bool { return true })
}

func deleteEndpoint(c *call) (any, error) {
	e, err := c.acct.endpoints.find("webhook_endpoint", c.id, "webhook_endpoint")
	if err != nil {
		return nil, err
	}
	c.acct.endpoints.remove(e)
	return map[string]any{"id": e.ID, "object": e.Object, "deleted": true}, nil
}

func retrieveAccount(c *call) (any, error) {
	return map[string]any{
		"id": "acct_" + c.acct.name, "object": "account", "charges_enabled": true, "country": "US", "default_currency": "usd", "type": "standard",
	}, nil
}
