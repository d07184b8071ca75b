package stripesim

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// maxBody is more than any form of Stripe's.
const maxBody = 1 << 20

// call is one request of Stripe's API. What happens by itself later is one as well, without
// a request.
type call struct {
	params
	sim         *Simulator
	acct        *account
	base        string // where the simulator is reached
	method      string
	path        string
	pattern     string // of the route
	id          string // in the path
	key         string // Idempotency-Key
	request     string // id of the request
	publishable bool
	sent        []*delivery // webhooks that it caused
}

func (c *call) expand() expand { return c.many("expand") }

// answer is what is sent, and what a key remembers.
type answer struct {
	status   int
	body     []byte
	early    bool
	replayed bool
}

// route is a call that the simulator knows, with the parameters that it takes.
type route struct {
	pattern string
	takes   string
	handle  func(*call) (any, error)
	buyers  bool // may call it, with a publishable key
}

const pages = " limit starting_after ending_before created"

func routes() []route {
	return []route{
		{"POST /v1/payment_intents", "amount currency automatic_payment_methods capture_method confirm confirmation_method customer description metadata off_session payment_method " +
			"payment_method_options payment_method_types receipt_email return_url setup_future_usage shipping statement_descriptor statement_descriptor_suffix transfer_group use_stripe_sdk", createIntent, false},
		{"GET /v1/payment_intents", "customer" + pages, listIntents, false},
		{"GET /v1/payment_intents/search", "query limit page", searchIntents, false},
		{"GET /v1/payment_intents/{id}", "client_secret", retrieveIntent, true},
		{"POST /v1/payment_intents/{id}/confirm", "client_secret payment_method payment_method_options receipt_email return_url use_stripe_sdk", confirmIntent, true},
		{"POST /v1/payment_intents/{id}/capture", "amount_to_capture statement_descriptor statement_descriptor_suffix", captureIntent, false},
		{"POST /v1/payment_intents/{id}/cancel", "cancellation_reason", cancelIntent, false},
		{"GET /v1/payment_methods/{id}", "", retrieveMethod, false},
		{"GET /v1/charges", "payment_intent customer" + pages, listCharges, false},
		{"GET /v1/charges/{id}", "", retrieveCharge, false},
		{"POST /v1/refunds", "amount charge payment_intent metadata reason", createRefund, false},
		{"GET /v1/refunds", "charge payment_intent" + pages, listRefunds, false},
		{"GET /v1/refunds/{id}", "", retrieveRefund, false},
		{"GET /v1/disputes", "charge payment_intent" + pages, listDisputes, false},
		{"GET /v1/disputes/{id}", "", retrieveDispute, false},
		{"POST /v1/disputes/{id}", "evidence metadata submit", updateDispute, false},
		{"POST /v1/disputes/{id}/close", "", acceptDispute, false},
		{"GET /v1/radar/early_fraud_warnings", "charge payment_intent" + pages, listWarnings, false},
		{"GET /v1/balance_transactions", "source" + pages, listMovements, false},
		{"GET /v1/balance_transactions/{id}", "", retrieveMovement, false},
		{"GET /v1/events", "type types delivery_success" + pages, listEvents, false},
		{"GET /v1/events/{id}", "", retrieveEvent, false},
		{"GET /v1/account", "", retrieveAccount, false},
		{"POST /v1/webhook_endpoints", "url enabled_events api_version description metadata", createEndpoint, false},
		{"GET /v1/webhook_endpoints", pages, listEndpoints, false},
		{"DELETE /v1/webhook_endpoints/{id}", "", deleteEndpoint, false},
	}
}

func (s *Simulator) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, r := range routes() {
		mux.HandleFunc(r.pattern, func(w http.ResponseWriter, req *http.Request) { s.serve(w, req, r) })
	}
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		write(w, refusal(&problem{status: http.StatusNotFound, Type: "invalid_request_error", Message: "Unrecognized request URL (" + r.Method + ": " + r.URL.Path + "). The simulator may not know it."}))
	})
	s.pages(mux)
	s.control(mux)
	return mux
}

// serve makes a call, with the fault that was asked for.
func (s *Simulator) serve(w http.ResponseWriter, r *http.Request, to route) {
	c, err := s.read(w, r, to)
	if err != nil {
		write(w, refusal(err))
		return
	}
	s.mu.Lock()
	s.keepAppointments()
	fault := c.fault()
	s.mu.Unlock()
	if fault.Kind == Reset {
		hangUp(w, true)
		return
	}
	a := s.answer(r.Context(), c, to, fault)
	w.Header().Set("Request-Id", c.request)
	switch fault.Kind {
	case Drop:
		hangUp(w, false)
	case Garbage:
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html><body><h1>It works!</h1>"))
	case Hang:
		fault.wait(r.Context())
		write(w, a)
	default:
		write(w, a)
	}
}

// read makes sense of a request.
func (s *Simulator) read(w http.ResponseWriter, r *http.Request, to route) (*call, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		return nil, invalid("", "", "Invalid request (the form cannot be read)")
	}
	key, err := credential(r)
	if err != nil {
		return nil, err
	}
	name, publishable := strings.CutPrefix(key, "pk_")
	name = strings.TrimPrefix(strings.TrimPrefix(name, "sk_"), "test_")
	if publishable && !to.buyers {
		return nil, unauthorized("This API call cannot be made with a publishable API key. Please use a secret API key.")
	}
	c := &call{
		params: params{r.Form}, sim: s, base: "http://" + r.Host, method: r.Method, path: r.URL.Path, pattern: to.pattern, id: r.PathValue("id"), publishable: publishable,
	}
	if r.Method == http.MethodPost {
		c.key = r.Header.Get("Idempotency-Key")
	}
	if unknown := c.unknown(append(strings.Fields(to.takes), "expand")); unknown != "" {
		return nil, invalid("parameter_unknown", unknown, "Received unknown parameter: "+unknown)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.acct, c.request = s.account(name), s.dice.id("req")
	return c, nil
}

func credential(r *http.Request) (string, error) {
	key, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer {
		key, _, _ = r.BasicAuth()
	}
	switch {
	case key == "":
		return "", unauthorized("You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').")
	case strings.Contains(key, "_live_"):
		return "", unauthorized("This is the simulator, and the key one of live mode: nobody should see it here.")
	case !strings.HasPrefix(key, "sk_test_") && !strings.HasPrefix(key, "pk_test_"):
		return "", unauthorized("Invalid API Key provided")
	}
	return key, nil
}

// answer is what the call comes to; what it did is done, whatever becomes of the answer.
func (s *Simulator) answer(ctx context.Context, c *call, to route, fault Fault) answer {
	if refused := fault.before(); refused != nil {
		return refusal(refused)
	}
	s.mu.Lock()
	before, err := c.begin()
	s.mu.Unlock()
	switch {
	case err != nil:
		return refusal(err)
	case before != nil:
		return *before
	}
	if fault.Kind == Slow {
		// Who asked may have gone: Stripe goes on all the same.
		fault.wait(context.WithoutCancel(ctx))
	}
	s.mu.Lock()
	s.keepAppointments()
	a := c.make(to)
	if fault.Kind == Fail {
		a = refusal(unavailable())
	}
	c.end(a)
	early := s.opt.Chaos.Early
	s.mu.Unlock()
	if early {
		awaited(ctx, c.sent)
	}
	return a
}

func (c *call) make(to route) answer {
	result, err := to.handle(c)
	if err != nil {
		return refusal(err)
	}
	body, err := json.Marshal(result)
	if err != nil {
		return refusal(err)
	}
	return answer{status: http.StatusOK, body: body}
}

func refusal(err error) answer {
	var p *problem
	if !errors.As(err, &p) {
		p = &problem{status: http.StatusInternalServerError, Type: "api_error", Message: err.Error()}
	}
	body, _ := json.Marshal(map[string]*problem{"error": p}) // it is text and objects that were written before
	return answer{status: p.status, body: body, early: p.early}
}

func write(w http.ResponseWriter, a answer) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Stripe-Version", apiVersion)
	if a.replayed {
		h.Set("Idempotent-Replayed", "true")
	}
	if a.status >= http.StatusInternalServerError {
		h.Set("Stripe-Should-Retry", "false") // a repetition gets the same answer
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}
