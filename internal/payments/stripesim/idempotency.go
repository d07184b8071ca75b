package stripesim

import (
	"net/http"
	"time"
)

// keyLife is how long a key is remembered: https://docs.stripe.com/api/idempotent_requests
const keyLife = 24 * time.Hour

// remembered is what a key was used for.
type remembered struct {
	endpoint string
	params   string
	at       time.Time
	done     bool
	answer   answer
}

// begin claims the key of a call. It answers for it when the key was used before.
func (c *call) begin() (before *answer, err error) {
	if c.key == "" {
		return nil, nil
	}
	if len(c.key) > 255 {
		return nil, invalid("", "", "Idempotency keys can be at most 255 characters long.")
	}
	keys, endpoint := c.acct.keys, c.path
	r, used := keys[c.key]
	if used && c.sim.now().Sub(r.at) >= keyLife {
		used = false
	}
	switch {
	case !used:
		keys[c.key] = &remembered{endpoint: endpoint, params: c.canonical(), at: c.sim.now()}
		return nil, nil
	case r.endpoint != endpoint:
		return nil, misused("Keys for idempotent requests can only be used for the same endpoint they were first used for ('" + endpoint + "' vs. '" + r.endpoint + "'). " +
			"Try using a key other than '" + c.key + "' if you meant to execute a different request.")
	case r.params != c.canonical():
		return nil, misused("Keys for idempotent requests can only be used with the same parameters they were first used with. " +
			"Try using a key other than '" + c.key + "' if you meant to execute a different request.")
	case !r.done:
		return nil, &problem{
			status: http.StatusConflict, Type: "idempotency_error", Code: "idempotency_key_in_use",
			Message: "There is currently another in-progress request using this Idempotent Key (that probably means you submitted twice, and the other request is still going through): " + c.key + ". Please try again later.",
		}
	}
	replay := r.answer
	replay.replayed = true
	return &replay, nil
}

func misused(message string) *problem {
	return &problem{status: http.StatusBadRequest, Type: "idempotency_error", Message: message}
}

// end remembers an answer, whatever it is, unless the call was refused before it began.
func (c *call) end(a answer) {
	if c.key == "" {
		return
	}
	if a.early {
		delete(c.acct.keys, c.key)
		return
	}
	r := c.acct.keys[c.key]
	r.done, r.answer = true, a
}
