// Package catalogclient asks a catalog that runs in another deployment. It answers what
// the catalog's Module answers, so that whoever asks cannot tell the difference.
package catalogclient

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

const (
	// patience with the other deployment: a buyer waits for the answer.
	patience = 2 * time.Second
	// maxAnswer is far above the offers of an order of the greatest length.
	maxAnswer = 8 << 20
	// connections that are kept for the next question.
	connections = 64
	attempts    = 2
	// atOnce is how many SKUs the catalog answers for in one go.
	atOnce = 50
	// maxQuery is less than what gateways take for a line of a request. 64 characters, as long
	// as an order lets a SKU be, are up to 768 when they are escaped.
	maxQuery = 4 << 10
)

// ErrUnavailable means that the catalog does not answer in time, or not as a catalog does.
var ErrUnavailable = fault.New(fault.Unavailable, "dependency_unavailable", "The catalog cannot be asked for prices right now.").After(2)

// Client of one catalog.
type Client struct {
	url      string
	key      string
	http     *http.Client
	patience time.Duration
}

// New makes a client. key is the one that the deployments of a shop share; trust says which
// certificates are believed and shown, nil as the system does.
func New(base, key string, trust *tls.Config) *Client {
	// A clone: HTTP/2 writes its protocols into it, and others have the same.
	transport := &http.Transport{TLSClientConfig: trust.Clone(), MaxIdleConns: connections, MaxIdleConnsPerHost: connections, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true}
	return &Client{strings.TrimSuffix(base, "/"), key, &http.Client{Transport: transport}, patience}
}

// Offers tells what SKUs cost now. Those that are not for sale are absent.
func (c *Client) Offers(ctx context.Context, skus []string) (map[string]catalogapi.Offer, error) {
	return c.all(ctx, "sku", skus, func(o catalogapi.Offer) string { return o.SKU })
}

// OffersByProduct is Offers for those who know products.
func (c *Client) OffersByProduct(ctx context.Context, ids []string) (map[string]catalogapi.Offer, error) {
	return c.all(ctx, "productId", ids, func(o catalogapi.Offer) string { return o.ProductID })
}

func (c *Client) all(ctx context.Context, by string, wanted []string, key func(catalogapi.Offer) string) (map[string]catalogapi.Offer, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	offers := make(map[string]catalogapi.Offer, len(wanted))
	for _, some := range questions(wanted) {
		answer, err := c.ask(ctx, id.Tenant, url.Values{by: some})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		for _, o := range answer {
			offers[key(o)] = o
		}
	}
	return offers, nil
}

// questions cuts a list into what can be asked at once.
func questions(wanted []string) (list [][]string) {
	length := 0
	for _, one := range wanted {
		if strings.ContainsRune(one, 0) {
			continue // which no database takes: it is not for sale
		}
		more := len("&productId=") + len(url.QueryEscape(one))
		if last := len(list) - 1; last >= 0 && len(list[last]) < atOnce && length+more <= maxQuery {
			list[last] = append(list[last], one)
			length += more
			continue
		}
		list, length = append(list, []string{one}), more
	}
	return list
}

type answer struct {
	Data []struct {
		SKU       string `json:"sku"`
		ProductID string `json:"productId"`
		Name      string `json:"name"`
		TaxClass  string `json:"taxClass"`
		Grams     int64  `json:"weightGrams"`
		Sides     struct {
			Length int64 `json:"length"`
			Width  int64 `json:"width"`
			Height int64 `json:"height"`
		} `json:"dimensions"`
		HSCode string `json:"hsCode"`
		Origin string `json:"countryOfOrigin"`
		Prices []struct {
			Price    string `json:"price"`
			Currency string `json:"currency"`
		} `json:"prices"`
	} `json:"data"`
}

// ask asks once more for an answer that did not come, as happens when the catalog is
// replaced by a new version: asking changes nothing there.
func (c *Client) ask(ctx context.Context, tenant uuid.UUID, q url.Values) (offers []catalogapi.Offer, err error) {
	for range attempts {
		if offers, err = c.once(ctx, tenant, q); err == nil || ctx.Err() != nil {
			break
		}
	}
	return offers, err
}

func (c *Client) once(ctx context.Context, tenant uuid.UUID, q url.Values) ([]catalogapi.Offer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/v1/offers?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+identity.ServiceCredential(c.key, tenant))
	origin := event.OriginFrom(ctx)
	if origin.CorrelationID != "" {
		r.Header.Set("X-Request-Id", origin.CorrelationID)
	}
	if origin.Traceparent != "" {
		r.Header.Set("Traceparent", origin.Traceparent)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s: %.200s", c.url, resp.Status, text)
	}
	return read(text)
}

func read(text []byte) ([]catalogapi.Offer, error) {
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		return nil, fmt.Errorf("read offers: %w", err)
	}
	if a.Data == nil {
		return nil, errors.New("read offers: there is no data") // or nothing would be for sale
	}
	offers := make([]catalogapi.Offer, 0, len(a.Data))
	for _, o := range a.Data {
		offer := catalogapi.Offer{
			SKU: o.SKU, ProductID: o.ProductID, Name: o.Name, TaxClass: o.TaxClass, Measures: catalogapi.Measures{Grams: o.Grams, Length: o.Sides.Length, Width: o.Sides.Width, Height: o.Sides.Height},
			Customs: catalogapi.Customs{HSCode: o.HSCode, Origin: o.Origin},
		}
		for _, p := range o.Prices {
			currency, err := money.ParseCurrency(p.Currency)
			if err != nil {
				return nil, fmt.Errorf("offer of %s: %w", o.SKU, err)
			}
			amount, err := money.Parse(p.Price, currency)
			if err != nil {
				return nil, fmt.Errorf("offer of %s: %w", o.SKU, err)
			}
			offer.Prices = append(offer.Prices, amount)
		}
		if len(offer.Prices) == 0 {
			return nil, fmt.Errorf("offer of %s: it has no price", o.SKU)
		}
		offers = append(offers, offer)
	}
	return offers, nil
}
