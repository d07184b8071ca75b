package e2e_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// canary is 32 random bytes that are nowhere else.
func canary() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// marked is a shop full of things that say whose they are.
type marked struct {
	*shop
	canary string
	buyer  string // whom others may ask for: what they ask is kept in logs of theirs
}

func openMarked() marked {
	GinkgoHelper()
	s := marked{open(), canary(), uuid.NewString()}
	Expect(s.patch("/v1/settings", object{"senderName": s.canary})).To(answer(200))
	p := s.sells("CUP", 50, object{"name": s.canary, "description": s.canary})
	r := s.post("/v1/orders", basket(item{SKU: "CUP", Quantity: 1}).but(object{"customerId": s.buyer, "email": s.canary[:20] + "@example.com", "metadata": object{"note": s.canary}}),
		key(s.buyer))
	Expect(r).To(answer(201))
	s.becomes(as[order](r).ID, "confirmed")
	c := s.offers(p)
	Expect(s.post("/v1/campaigns/"+c.ID+"/join", object{"userId": s.buyer})).To(answer(200))
	s.holds(600, item{SKU: "CUP", Quantity: 1})
	Expect(s.post("/v1/keys", object{"name": s.canary, "permissions": []string{"orders:read"}})).To(answer(201))
	s.quiet()
	return s
}

// ids are all that are kept of a shop, in every table: one of each column.
func (s marked) ids() (list []string) {
	GinkgoHelper()
	list = []string{s.tenant.String(), "CUP", s.buyer}
	for _, a := range auditors {
		for _, c := range idColumns(a) {
			var id string
			if a.QueryRow(fmt.Sprintf(`select %s::text from %s where tenant_id = $1 and %[1]s is not null limit 1`, c[1], c[0]), s.tenant).Scan(&id) == nil {
				list = append(list, id)
			}
		}
	}
	return list
}

// idColumns are the columns with ids of all tables with a merchant's rows, each behind its
// table.
func idColumns(auditor *sql.DB) (columns [][2]string) {
	GinkgoHelper()
	rows, err := auditor.Query(`
		select c.oid::regclass::text, quote_ident(a.attname) from pg_class c
		join pg_attribute a on a.attrelid = c.oid and a.atttypid = 'uuid'::regtype and a.attname <> 'tenant_id' and not a.attisdropped
		join pg_attribute t on t.attrelid = c.oid and t.attname = 'tenant_id' where c.relkind in ('r', 'p') and not c.relispartition order by 1, 2`)
	Expect(err).NotTo(HaveOccurred())
	defer rows.Close()
	for rows.Next() {
		var c [2]string
		Expect(rows.Scan(&c[0], &c[1])).To(Succeed())
		columns = append(columns, c)
	}
	Expect(rows.Err()).NotTo(HaveOccurred())
	return columns
}

// shown is what a caller is shown who sends a header. Other specs hold it to the document.
func (s *shop) shown(path string, h header) string {
	GinkgoHelper()
	r, err := http.NewRequest(http.MethodGet, s.url+path, nil)
	Expect(err).NotTo(HaveOccurred())
	r.Header.Set("Authorization", "Bearer "+s.key)
	r.Header.Set(h.name, h.value)
	resp, err := http.DefaultClient.Do(r)
	Expect(err).NotTo(HaveOccurred())
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	Expect(err).NotTo(HaveOccurred())
	return string(body)
}

// filled is a body with one text in every place where there is one.
func filled(tree any, text string) any {
	switch node := tree.(type) {
	case map[string]any:
		for name := range node {
			node[name] = filled(node[name], text)
		}
	case []any:
		for i := range node {
			node[i] = filled(node[i], text)
		}
	case string:
		return text
	}
	return tree
}

func (o *operation) bodyOf(text string) any {
	GinkgoHelper()
	if o.RequestBody == nil {
		return nil
	}
	raw, err := json.Marshal(o.body())
	Expect(err).NotTo(HaveOccurred())
	var tree any
	Expect(json.Unmarshal(raw, &tree)).To(Succeed())
	return filled(tree, text)
}

var _ = Describe("the fence between two tenants", func() {
	It("answers about what is another's as about what is nothing, wherever its ids are put, and shows none of it", func() {
		ours, theirs := open(), openMarked()
		ghost := func(id string) string {
			if id == "CUP" {
				return "GHO"
			}
			return uuid.NewString()
		}
		same := header{"X-Request-Id", "same"}
		asked := 0
		// alike asks for a thing that is theirs and for one that is nobody's.
		alike := func(op *operation, what, theirsIs, nobodys string, ask func(string) response) {
			GinkgoHelper()
			asked++
			foreign, unknown := ask(theirsIs), ask(nobodys)
			Expect(string(foreign.body)+fmt.Sprint(foreign.header)).NotTo(ContainSubstring(theirs.canary), "%s by %s", op.ID, what)
			Expect(foreign.status).To(Equal(unknown.status), "%s by %s %s: %s / %s", op.ID, what, theirsIs, foreign.body, unknown.body)
			Expect(foreign.problem.Code).To(Equal(unknown.problem.Code), "%s by %s", op.ID, what)
			if what == "path" && foreign.status >= 400 {
				Expect(strings.ReplaceAll(string(foreign.body), theirsIs, nobodys)).To(Equal(string(unknown.body)), "%s by %s", op.ID, what)
			}
		}
		for _, id := range theirs.ids() {
			nobodys := ghost(id)
			for _, op := range published.Operations {
				if strings.HasSuffix(op.Path, "/events") && op.ByID() {
					continue // a feed, which has no end; it is opened as its thing is read
				}
				if op.Responses["200"].Content["application/x-ndjson"] != (mediaType{}) {
					continue // a file: that of a shop that has done nothing yet is empty
				}
				if op.RequestBody != nil && bodies[op.ID] == nil {
					continue // another spec sees to it that there is none
				}
				if op.ByID() {
					alike(op, "path", id, nobodys, func(id string) response { return ours.send(op.Method, op.to(id, id), op.body(), same) })
				}
				if op.Method == "GET" && !op.ByID() {
					for _, p := range op.Parameters {
						if p.In == "query" && p.Name != "limit" && p.Name != "sort" && p.Name != "status" {
							alike(op, "query "+p.Name, id, nobodys, func(id string) response {
								return ours.send(op.Method, op.Path+"?"+url.Values{p.Name: {id}}.Encode(), nil, same)
							})
						}
					}
				}
			}
		}
		for _, op := range published.Operations {
			for _, h := range []string{"X-Tenant-Id", "X-Tenant", "Tenant", "X-Forwarded-Host", "X-Original-Host", "Forwarded"} {
				if op.Method == "GET" && !op.ByID() {
					Expect(ours.shown(op.Path, header{h, theirs.tenant.String()})).NotTo(ContainSubstring(theirs.canary), "%s with %s", op.ID, h)
				}
			}
			if bodies[op.ID] != nil && !op.ByID() && op.Method != "PATCH" {
				id := theirs.ids()[3]
				// Of the same look, for some texts may not begin with a digit.
				alike(op, "body", id, id[:24]+uuid.NewString()[24:], func(id string) response { return ours.send(op.Method, op.Path, op.bodyOf(id), same) })
			}
		}
		// Their idempotency key repeats nothing of theirs to us.
		Expect(ours.post("/v1/orders", basket(item{SKU: "CUP", Quantity: 1}), key(theirs.buyer))).To(refuse(422, "unknown_sku", "/items/0/sku"))
		Expect(asked).To(BeNumerically(">", 300))
		for _, list := range []string{"/v1/events?limit=100", "/v1/audit?limit=100", "/v1/products", "/v1/orders", "/v1/inventory", "/v1/campaigns", "/v1/keys", "/v1/settings"} {
			r := ours.get(list)
			Expect(r).To(answer(200))
			Expect(string(r.body)).NotTo(ContainSubstring(theirs.canary), list)
		}
		// And it is there to be seen, by whom it belongs to.
		Expect(string(theirs.get("/v1/products").body)).To(ContainSubstring(theirs.canary))
		Expect(string(theirs.get("/v1/events?limit=100").body)).To(ContainSubstring(theirs.canary))
	})

	It("holds on two connections that ten thousand transactions share, whatever becomes of them", func() {
		ours, theirs := open(), open()
		ours.sells("MUG", 1)
		theirs.sells("MUG", 1)
		dsn := installed.Databases()[len(installed.Databases())-1].App // that of the catalog
		options := db.Options{DSN: dsn, Connections: 2}
		if here.Kind == pgbouncer {
			options.DSN, options.Pooled = bounced(installed.Databases()[0]), true
		}
		pool, err := db.Open(options)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(pool.Close)

		const transactions, workers = 10_000, 8
		var next, foreign, own, broken atomic.Int64
		one := func(n int64) {
			tenant := []uuid.UUID{ours.tenant, theirs.tenant}[n%2]
			ctx, cancel := context.WithCancel(testkit.As(tenant))
			defer cancel()
			defer func() {
				if recover() != nil {
					broken.Add(1)
				}
			}()
			err := pool.InTx(ctx, func(tx *db.Tx) error {
				var seen []uuid.UUID
				if err := tx.Select(ctx, &seen, `select tenant_id from catalog.product union all select tenant_id from platform.api_key union all select tenant_id from platform.event`); err != nil {
					return err
				}
				for _, t := range seen {
					if t == tenant {
						own.Add(1)
					} else {
						foreign.Add(1)
					}
				}
				switch {
				case n%13 == 0:
					panic("in the middle of a transaction")
				case n%17 == 0:
					cancel()
				case n%101 == 0:
					_, err := tx.Exec(ctx, `set local statement_timeout = 1`)
					if err == nil {
						_, err = tx.Exec(ctx, `select pg_sleep(0.02)`)
					}
					return err
				case n%19 == 0:
					_, err := tx.Exec(ctx, `select 1 / 0`)
					return err
				}
				return nil
			})
			if err != nil {
				broken.Add(1)
			}
			// Whoever names no tenant sees nobody, on whichever connection it is.
			if n%7 == 0 {
				bare, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				defer cancel()
				if rows, err := db.Query[int64](bare, pool, `select count(*) from catalog.product`); err == nil && rows[0] != 0 {
					foreign.Add(rows[0])
				}
			}
		}
		var all sync.WaitGroup
		for range workers {
			all.Go(func() {
				for n := next.Add(1); n <= transactions; n = next.Add(1) {
					one(n)
				}
			})
		}
		all.Wait()
		Expect(foreign.Load()).To(BeZero())
		Expect(own.Load()).To(BeNumerically(">", transactions))
		Expect(broken.Load()).To(BeNumerically(">", transactions/10))
	})
})
