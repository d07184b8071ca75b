package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// client talks to the shop as its customers do.
type client struct {
	base, key string
	http      *http.Client
}

// atOnce is how many requests a client has under way: a small machine has no more to give.
const atOnce = 4

func (s *shop) client(key string) client {
	return client{s.url(), key, &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{TLSClientConfig: toItself(s.cfg), MaxConnsPerHost: atOnce, MaxIdleConnsPerHost: atOnce},
	}}
}

// close hangs up, so that a stop of the shop does not wait for us.
func (c client) close() { c.http.CloseIdleConnections() }

// seed creates the products that are not there yet and tells how many those were. The
// first comes first and the last one last, so that work which was cut off shows.
func (c client) seed(ctx context.Context, products []demoProduct, tell func(done, of int)) (created int, err error) {
	var fresh, done atomic.Int64
	one := func(ctx context.Context, product demoProduct) error {
		made, err := c.create(ctx, product)
		if err != nil {
			return err
		}
		if made {
			fresh.Add(1)
		}
		tell(int(done.Add(1)), len(products))
		return nil
	}
	last := len(products) - 1
	if err := one(ctx, products[0]); err != nil || last == 0 {
		return int(fresh.Load()), err
	}
	g, parallel := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, product := range products[1:last] {
		g.Go(func() error { return one(parallel, product) })
	}
	if err := g.Wait(); err != nil {
		return int(fresh.Load()), err
	}
	err = one(ctx, products[last])
	return int(fresh.Load()), err
}

func (c client) create(ctx context.Context, product demoProduct) (made bool, err error) {
	body, err := json.Marshal(product)
	if err != nil {
		return false, err
	}
	var problem struct{ Code, Detail string }
	status, header, err := c.do(ctx, http.MethodPost, "/v1/products", body, "seed-"+product.SKU, &problem)
	switch {
	case err != nil:
		return false, fmt.Errorf("create %s: %w", product.SKU, err)
	case status == http.StatusCreated:
		return header.Get("Idempotency-Replayed") == "", nil
	case problem.Code == "sku_taken":
		return false, nil
	}
	return false, fmt.Errorf("create %s: %d %s", product.SKU, status, problem.Detail)
}

// unseeded tells whether the catalog is to be made: nobody has made a product yet, or the
// making was cut off. What a merchant did with it afterwards is the merchant's business.
func (c client) unseeded(ctx context.Context, products []demoProduct) (bool, error) {
	finished, err := c.finds(ctx, url.Values{"sku": {products[len(products)-1].SKU}})
	if err != nil || finished {
		return false, err
	}
	begun, err := c.finds(ctx, url.Values{"sku": {products[0].SKU}})
	if err != nil || begun {
		return begun, err
	}
	filled, err := c.finds(ctx, url.Values{})
	return !filled, err
}

// finds tells whether there is such a product, be it for sale, a draft or archived.
func (c client) finds(ctx context.Context, query url.Values) (bool, error) {
	query.Set("limit", "1")
	for _, status := range []string{"active", "draft", "archived"} {
		query.Set("status", status)
		skus, err := c.skus(ctx, "/v1/products?"+query.Encode())
		if err != nil || len(skus) > 0 {
			return len(skus) > 0, err
		}
	}
	return false, nil
}

// skus on the first page of a list of products.
func (c client) skus(ctx context.Context, path string) (skus []string, err error) {
	var page struct{ Data []struct{ SKU string } }
	status, _, err := c.do(ctx, http.MethodGet, path, nil, "", &page)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %d", path, status)
	}
	for _, row := range page.Data {
		skus = append(skus, row.SKU)
	}
	return skus, nil
}

// inStock tells whether a few can be sold.
func (c client) inStock(ctx context.Context, sku string) (bool, error) {
	var stock struct{ Available int }
	_, _, err := c.do(ctx, http.MethodGet, "/v1/inventory/"+url.PathEscape(sku), nil, "", &stock)
	return stock.Available >= 2, err
}

func (c client) do(ctx context.Context, method, path string, body []byte, idempotencyKey string, answer any) (int, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", idempotencyKey)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(answer); err != nil {
		return 0, nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	_, _ = io.Copy(io.Discard, res.Body) // so that the connection can be used again
	return res.StatusCode, res.Header, nil
}
