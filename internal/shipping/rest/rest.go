// Package rest makes the calls of carriers that speak JSON over HTTP, and sorts what comes
// of them: an answer, a no, and neither.
package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/outbound"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

const (
	// timeout is for one call, with its answer: who buys of several carriers at once waits for
	// the slowest of them. Who has less patience says so by their context.
	timeout = 60 * time.Second
	// maxBody is more than any answer or label needs.
	maxBody = 8 << 20
	// maxMessage is what is kept of a carrier's explanation.
	maxMessage = 500
)

// Client makes calls to one API.
type Client struct {
	http   *http.Client
	base   string
	sign   func(r *http.Request, key string)
	refuse func(body []byte) carrier.Declined
}

// New makes a client of an API: sign puts a key on a request, refuse reads what was answered
// with 4xx.
func New(guard *outbound.Guard, base string, sign func(*http.Request, string), refuse func([]byte) carrier.Declined) *Client {
	return &Client{http: guard.Larger(maxBody, timeout), base: strings.TrimSuffix(base, "/"), sign: sign, refuse: refuse}
}

// Call asks for something, and reads the answer into out. Doing is said in errors.
func (c *Client) Call(ctx context.Context, doing, key, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if in == nil {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "FusionCommerce")
	c.sign(r, key)
	answer, err := c.send(doing, r)
	if err != nil {
		return err
	}
	if json.Unmarshal(answer, out) != nil {
		return fmt.Errorf("%s: %w: the answer cannot be read", doing, carrier.ErrUnknownOutcome)
	}
	return nil
}

// Document is what is found at an address that a carrier has given, without a key.
func (c *Client) Document(ctx context.Context, address string) ([]byte, error) {
	const doing = "fetch the label"
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("%s: its address cannot be read", doing)
	}
	return c.send(doing, r)
}

// send is the body of an answer with 2xx.
func (c *Client) send(doing string, r *http.Request) ([]byte, error) {
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, unanswered(doing, err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, unanswered(doing, err)
	}
	return body, c.sort(doing, answer.StatusCode, body)
}

// sort tells a no from no answer. When in doubt nobody knows.
func (c *Client) sort(doing string, status int, body []byte) error {
	switch {
	case status >= http.StatusOK && status < http.StatusMultipleChoices:
		return nil
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fmt.Errorf("%s: %w", doing, carrier.ErrKeyRefused)
	case status < http.StatusBadRequest, status >= http.StatusInternalServerError,
		status == http.StatusRequestTimeout, status == http.StatusConflict, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return fmt.Errorf("%s: %w: the answer was %d", doing, carrier.ErrUnknownOutcome, status)
	}
	no := c.refuse(body)
	if no.Code == "" {
		no.Code = strings.ToUpper(strings.ReplaceAll(http.StatusText(status), " ", "_"))
	}
	no.Message = shortened(no.Message)
	return fmt.Errorf("%s: %w", doing, &no)
}

// shortened text ends where a character ends.
func shortened(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	return strings.ToValidUTF8(text[:maxMessage], "")
}

// unanswered leaves out the address that was asked: it may tell of a parcel.
func unanswered(doing string, err error) error {
	if on, ok := errors.AsType[*url.Error](err); ok {
		err = on.Err
	}
	return fmt.Errorf("%s: %w: %w", doing, carrier.ErrUnknownOutcome, err)
}

// Unread is the error of a question: that it is refused decides nothing of what was asked
// about.
func Unread(err error) error {
	if no, ok := errors.AsType[*carrier.Declined](err); ok {
		return fmt.Errorf("%w: the question is refused: %s", carrier.ErrUnknownOutcome, no.Code)
	}
	return err
}

// Undocumented is the error of a label that is bought and whose document did not come. Why it
// did not is only told: that somebody refused it says nothing of the label.
func Undocumented(err error) error {
	return fmt.Errorf("%w: %w: %v", carrier.ErrUnknownOutcome, carrier.ErrNoDocument, err) //nolint:errorlint // see above
}
