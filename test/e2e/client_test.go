package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/format"
	"github.com/onsi/gomega/gcustom"
	"github.com/onsi/gomega/types"
)

// shop is a merchant's shop as one caller sees it.
type shop struct {
	url    string
	tenant uuid.UUID
	key    string // of the caller; nobody in particular when it is empty
}

// with is the shop as the bearer of another key sees it.
func (s *shop) with(key string) *shop { return &shop{s.url, s.tenant, key} }

// at is the shop as another program serves it.
func (s *shop) at(url string) *shop { return &shop{url, s.tenant, s.key} }

type header struct{ name, value string }

// object is JSON with fields.
type object map[string]any

// but is the object with fields changed, or, when the value is absent, left out.
func (o object) but(changes object) object {
	changed := maps.Clone(o)
	for name, value := range changes {
		changed[name] = value
		if value == absent {
			delete(changed, name)
		}
	}
	return changed
}

type nothing struct{}

var absent any = nothing{}

type response struct{ exchange }

func (s *shop) get(path string, headers ...header) response {
	GinkgoHelper()
	return s.send(http.MethodGet, path, nil, headers...)
}

func (s *shop) post(path string, body any, headers ...header) response {
	GinkgoHelper()
	return s.send(http.MethodPost, path, body, headers...)
}

func (s *shop) put(path string, body any, headers ...header) response {
	GinkgoHelper()
	return s.send(http.MethodPut, path, body, headers...)
}

func (s *shop) patch(path string, body any, headers ...header) response {
	GinkgoHelper()
	return s.send(http.MethodPatch, path, body, headers...)
}

func (s *shop) delete(path string, headers ...header) response {
	GinkgoHelper()
	return s.send(http.MethodDelete, path, nil, headers...)
}

// send makes a request and fails the spec when its answer breaks a promise, whatever
// the spec is about.
func (s *shop) send(method, path string, body any, headers ...header) response {
	GinkgoHelper()
	r, err := s.try(method, path, body, headers...)
	Expect(err).NotTo(HaveOccurred())
	return r
}

// hurry is how long an answer may take: less than what any of the specs asks the
// database to sleep, in vain.
const hurry = 15 * time.Second

// try is send for those who fail by themselves. A string or bytes are sent as they are,
// a reader without saying how much it is, all else as JSON.
func (s *shop) try(method, path string, body any, headers ...header) (response, error) {
	var reader io.Reader
	var sent []byte
	switch b := body.(type) {
	case nil:
	case string:
		sent = []byte(b)
		reader = bytes.NewReader(sent)
	case io.Reader:
		reader = b
	default:
		var err error
		if sent, err = json.Marshal(b); err != nil {
			return response{}, err
		}
		reader = bytes.NewReader(sent)
	}
	ctx, cancel := context.WithTimeout(context.Background(), hurry)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, reader)
	if err != nil {
		return response{}, err
	}
	if s.key != "" {
		r.Header.Set("Authorization", "Bearer "+s.key)
	}
	if reader != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		if h.name == "Host" {
			r.Host = h.value
			continue
		}
		r.Header.Set(h.name, h.value)
		if h.value == "" {
			r.Header.Del(h.name)
		}
	}
	resp, err := wire.Do(r)
	if err != nil {
		return response{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return response{}, err
	}
	out := response{exchange{method: method, url: r.URL, asked: r.Header, sent: sent, status: resp.StatusCode, header: resp.Header, body: raw}}
	return out, published.check(&out.exchange)
}

var wire = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
}

// String is what a failed expectation shows.
func (r response) String() string {
	return fmt.Sprintf("%s %s: %.300s\nanswered %d: %.2000s", r.method, r.url.RequestURI(), r.sent, r.status, r.body)
}

func (r response) tag() string { return r.header.Get("ETag") }

// replayed tells that it is the answer to an earlier request.
func (r response) replayed() bool { return r.header.Get("Idempotency-Replayed") == "true" }

// as reads the body of an answer that went well.
func as[T any](r response) T {
	GinkgoHelper()
	var out T
	Expect(r.status).To(And(BeNumerically(">=", 200), BeNumerically("<", 300)), r.String())
	Expect(json.Unmarshal(r.body, &out)).To(Succeed(), r.String())
	return out
}

// page is one page of a list.
type page[T any] struct {
	Data       []T    `json:"data"`
	NextCursor string `json:"nextCursor"`
}

// all reads a list to its end. between is called after each page.
func all[T any](s *shop, path string, query url.Values, between ...func()) []T {
	GinkgoHelper()
	list, query := []T{}, maps.Clone(query)
	if query == nil {
		query = url.Values{}
	}
	for {
		p := as[page[T]](s.get(path + "?" + query.Encode()))
		list = append(list, p.Data...)
		if p.NextCursor == "" {
			return list
		}
		Expect(p.Data).NotTo(BeEmpty(), "an empty page in the middle of %s", path)
		query.Set("cursor", p.NextCursor)
		for _, f := range between {
			f()
		}
	}
}

// answer matches a status.
func answer(status int) types.GomegaMatcher {
	return gcustom.MakeMatcher(func(r response) (bool, error) { return r.status == status, nil }).
		WithTemplate("{{.FormattedActual}}\n{{.To}} answer {{.Data}}", status)
}

// refuse matches a problem. Pointers, when there are some, are all that it names.
func refuse(status int, code string, pointers ...string) types.GomegaMatcher {
	return gcustom.MakeMatcher(func(r response) (bool, error) {
		if r.status != status || r.problem.Code != code {
			return false, nil
		}
		if len(pointers) == 0 {
			return true, nil
		}
		var named []string
		for _, e := range r.problem.Errors {
			named = append(named, e.Pointer)
		}
		return ConsistOf(pointers).Match(named)
	}).WithTemplate("{{.FormattedActual}}\n{{.To}} refuse with {{.Data}}", fmt.Sprint(status, " ", code, " ", pointers))
}

func init() {
	format.RegisterCustomFormatter(func(v any) (string, bool) {
		r, ok := v.(response)
		if !ok {
			return "", false
		}
		return r.String(), true
	})
}

// number is a JSON number with exactly these digits.
func number(text string) json.Number { return json.Number(text) }
