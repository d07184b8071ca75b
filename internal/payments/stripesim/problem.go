package stripesim

import "net/http"

// problem is an error as Stripe sends it.
type problem struct {
	status int
	// early errors come before the call has begun: an idempotency key does not remember them.
	early bool

	Type          string `json:"type"`
	Code          string `json:"code,omitempty"`
	DeclineCode   string `json:"decline_code,omitempty"`
	Message       string `json:"message"`
	Param         string `json:"param,omitempty"`
	Charge        string `json:"charge,omitempty"`
	PaymentIntent any    `json:"payment_intent,omitempty"`
	DocURL        string `json:"doc_url,omitempty"`
}

// Error is for people who read Go.
func (p *problem) Error() string { return p.Type + ": " + p.Message }

func invalid(code, param, message string) *problem {
	return &problem{status: http.StatusBadRequest, early: true, Type: "invalid_request_error", Code: code, Param: param, Message: message}
}

// wrongState refuses what an object does not allow as it is.
func wrongState(code, message string) *problem {
	return &problem{status: http.StatusBadRequest, Type: "invalid_request_error", Code: code, Message: message}
}

func missing(kind, id, param string) *problem {
	return &problem{status: http.StatusNotFound, Type: "invalid_request_error", Code: "resource_missing", Param: param, Message: "No such " + kind + ": '" + id + "'"}
}

func unauthorized(message string) *problem {
	return &problem{status: http.StatusUnauthorized, early: true, Type: "invalid_request_error", Message: message}
}

func unavailable() *problem {
	return &problem{
		status: http.StatusInternalServerError, Type: "api_error",
		Message: "Sorry! There was an error while talking to one of our backends. (This is the simulator's doing: a fault was asked for.)",
	}
}

func tooMany(code, message string) *problem {
	return &problem{status: http.StatusTooManyRequests, early: true, Type: "invalid_request_error", Code: code, Message: message}
}
