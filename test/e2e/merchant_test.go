package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/checkout/checkoutapi"
	"github.com/fusioncommerce/fusion/internal/groupbuy/groupbuyapi"
	"github.com/fusioncommerce/fusion/internal/identity/identityapi"
	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/payments/paymentsapi"
	"github.com/fusioncommerce/fusion/internal/platform/eventschema"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/tenantapi"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/pricing/pricingapi"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

type product struct {
	ID, SKU, Name, Description, Price, Currency, Status string
	CreatedAt, UpdatedAt                                time.Time
}

type item struct {
	SKU      string `json:"sku"`
	Quantity any    `json:"quantity"`
	Price    any    `json:"price,omitempty"`
}

type order struct {
	ID         string
	Number     int64
	CustomerID string
	Status     string
	Reason     string
	Items      []struct {
		SKU, Name    string
		Quantity     int64
		Price, Total string
	}
	Total, Currency, Email string
	Metadata               map[string]string
	CreatedAt, UpdatedAt   time.Time
}

type stock struct {
	SKU                                            string
	OnHand, Reserved, Available, LowStockThreshold int64
}

type movement struct {
	ID, Kind, Reason, OrderID, HoldID, Actor string
	OnHandDelta, ReservedDelta               int64
}

type fact struct {
	ID, Type, Subject, CorrelationID, CausationID, Traceparent, Actor string
	TenantID                                                          uuid.UUID
	Version                                                           int
	Sequence                                                          int64
	Data                                                              json.RawMessage
}

// open makes a merchant whom nobody else knows; the caller is the owner. When the spec
// is over, what happened in the shop must make sense.
func open() *shop {
	GinkgoHelper()
	s := &shop{url: installed.URL(), tenant: newTenant()}
	s.key = s.hire()
	DeferCleanup(s.audit)
	return s
}

// first is the shop of the default merchant, for its owner by the bootstrap key.
func first() *shop {
	return &shop{installed.URL(), identity.DefaultTenant, installed.BootstrapKey()}
}

// hire makes a key. Without permissions it is an owner's.
func (s *shop) hire(permissions ...string) string {
	GinkgoHelper()
	secret := testkit.Key(keys[0], s.tenant, permissions...)
	shareKeys(s.tenant)
	return secret
}

// newTenant makes a merchant known to all databases.
func newTenant() uuid.UUID {
	GinkgoHelper()
	id := testkit.NewTenant(installed.Databases()[0])
	for _, other := range auditors[1:] {
		_, err := other.Exec(`insert into platform.tenant (tenant_id, slug, name) values ($1, $2, 'Spec shop')`, id, "t"+id.String())
		Expect(err).NotTo(HaveOccurred())
	}
	return id
}

// shareKeys makes what is known of a merchant's keys the same in all databases.
func shareKeys(tenant uuid.UUID) {
	GinkgoHelper()
	for _, other := range auditors[1:] {
		var list string
		ask(&list, `select coalesce(json_agg(k), '[]')::text from platform.api_key k where tenant_id = $1`, tenant)
		_, err := other.Exec(`
			insert into platform.api_key select * from json_populate_recordset(null::platform.api_key, $1)
			on conflict (tenant_id, id) do update set revoked_at = excluded.revoked_at, hash = excluded.hash, previous_hash = excluded.previous_hash, previous_until = excluded.previous_until`, list)
		Expect(err).NotTo(HaveOccurred())
	}
}

// for the bearer of a new key with these permissions.
func (s *shop) staffed(permissions ...string) *shop {
	GinkgoHelper()
	return s.with(s.hire(permissions...))
}

var mug = object{"sku": "MUG", "name": "Blue mug", "price": "12.50", "currency": "EUR", "inventory": 10}

// parcel is a way to send that every merchant could offer.
var parcel = object{"name": "Parcel", "prices": []object{{"currency": "EUR", "price": "4.90", "freeFrom": "50.00"}}}

// islands of a shop in Portugal.
var islands = object{"name": "Islands", "places": []object{{"country": "PT", "regions": []string{"20", "30"}, "postalCodes": []string{"9*"}}}}

// sells puts a product on sale and waits for its stock.
func (s *shop) sells(sku string, inventory int, changes ...object) product {
	GinkgoHelper()
	body := mug.but(object{"sku": sku, "inventory": inventory})
	for _, c := range changes {
		body = body.but(c)
	}
	r := s.post("/v1/products", body)
	Expect(r).To(answer(201))
	s.stocks(sku)
	return as[product](r)
}

// stocks waits until inventory has heard of a product.
func (s *shop) stocks(sku string) {
	GinkgoHelper()
	Eventually(func() response { return s.get("/v1/inventory/" + url.PathEscape(sku)) }).Should(answer(200))
}

func (s *shop) stock(sku string) stock {
	GinkgoHelper()
	return as[stock](s.get("/v1/inventory/" + url.PathEscape(sku)))
}

func (s *shop) movements(sku string) []movement {
	GinkgoHelper()
	return all[movement](s, "/v1/inventory/"+url.PathEscape(sku)+"/movements", nil)
}

func basket(items ...item) object { return object{"customerId": "ana", "items": items} }

func (s *shop) places(items ...item) order {
	GinkgoHelper()
	r := s.post("/v1/orders", basket(items...))
	Expect(r).To(answer(201))
	return as[order](r)
}

func (s *shop) order(id string) order {
	GinkgoHelper()
	return as[order](s.get("/v1/orders/" + id))
}

// becomes waits until an order has a status.
func (s *shop) becomes(id, status string) order {
	GinkgoHelper()
	var o order
	Eventually(func() string { o = s.order(id); return o.Status }).Should(Equal(status))
	return o
}

// confirmed is an order whose stock is held.
func (s *shop) confirmed(items ...item) order {
	GinkgoHelper()
	return s.becomes(s.places(items...).ID, "confirmed")
}

// failed is an order for more of a SKU than there is.
func (s *shop) failed(sku string) order {
	GinkgoHelper()
	return s.becomes(s.places(item{SKU: sku, Quantity: 100_000}).ID, "failed")
}

// settled waits until the log shows what is true by now: it never shows a fact before
// an earlier one whose transaction is still on its way.
func settled() {
	GinkgoHelper()
	var last int64
	ask(&last, `select last_value from platform.event_seq`)
	Eventually(func() (reached int64) {
		ask(&reached, `select platform.log_settled($1)`, last)
		return reached
	}).Should(BeNumerically(">=", last))
}

func (s *shop) facts(topic string) []fact {
	GinkgoHelper()
	settled()
	query := url.Values{"limit": {"100"}}
	if topic != "" {
		query.Set("topic", topic)
	}
	var facts []fact
	known := map[string]bool{}
	for _, log := range installed.Logs() { // what one deployment tells another is in both
		for _, f := range all[fact](s.at(log), "/v1/events", query) {
			if !known[f.ID] {
				facts = append(facts, f)
			}
			known[f.ID] = true
		}
	}
	return facts
}

// ask reads one value of the database that has the orders.
func ask(into any, query string, args ...any) {
	GinkgoHelper()
	Expect(auditors[0].QueryRow(query, args...).Scan(into)).To(Succeed())
}

// sum adds up one number of all databases.
func sum(query string, args ...any) (total int) {
	GinkgoHelper()
	for _, a := range auditors {
		var n int
		Expect(a.QueryRow(query, args...).Scan(&n)).To(Succeed())
		total += n
	}
	return total
}

// quiet waits until everything that happened in the shop was heard by everybody, wherever
// it is on its way, and everything was done whose time has come.
func (s *shop) quiet() {
	GinkgoHelper()
	happened := func() int {
		return sum(`select count(*) from platform.event where tenant_id = $1 and not carried`, s.tenant)
	}
	Eventually(func(g Gomega) {
		before := happened()
		g.Expect(sum(`select count(*) from platform.delivery where tenant_id = $1 and parked_at is null`, s.tenant)).To(BeZero())
		g.Expect(sum(`select count(*) from platform.timer where tenant_id = $1 and due_at <= clock_timestamp()`, s.tenant)).To(BeZero())
		for consumer, topic := range topics() {
			heard := sum(`select count(*) from platform.inbox where tenant_id = $1 and consumer = $2`, s.tenant, consumer) +
				sum(`select count(*) from platform.delivery where tenant_id = $1 and consumer = $2 and parked_at is not null`, s.tenant, consumer)
			said := sum(`select count(*) from platform.event where tenant_id = $1 and type = $2 and not carried`, s.tenant, topic)
			// What is in several deployments hears in each of them.
			hear := sum(`select count(distinct consumer) from platform.subscription where consumer = $1`, consumer)
			g.Expect(heard).To(Equal(said*hear), consumer)
		}
		g.Expect(happened()).To(Equal(before), "one thing led to another meanwhile")
	}, 3*testkit.Patience).Should(Succeed())
}

// topics of the consumers; those that only hand facts to a carrier are none.
func topics() map[string]string {
	GinkgoHelper()
	of := map[string]string{}
	for _, a := range auditors {
		var list string
		Expect(a.QueryRow(`select coalesce(json_object_agg(consumer, topic), '{}')::text from platform.subscription where consumer not like 'relay.%'`).Scan(&list)).To(Succeed())
		Expect(json.Unmarshal([]byte(list), &of)).To(Succeed())
	}
	return of
}

// schemas of all facts.
var schemas = sync.OnceValues(func() (*eventschema.Catalog, error) {
	return eventschema.Load(
		eventschema.Module{Name: "catalog", Schemas: catalogapi.Schemas},
		eventschema.Module{Name: "orders", Schemas: ordersapi.Schemas}, eventschema.Module{Name: "payments", Schemas: paymentsapi.Schemas},
		eventschema.Module{Name: "inventory", Schemas: inventoryapi.Schemas},
		eventschema.Module{Name: "checkout", Schemas: checkoutapi.Schemas},
		eventschema.Module{Name: "pricing", Schemas: pricingapi.Schemas},
		eventschema.Module{Name: "groupbuy", Schemas: groupbuyapi.Schemas},
		eventschema.Module{Name: "shipping", Schemas: shippingapi.Schemas},
		eventschema.Module{Name: "platform", Schemas: tenantapi.Schemas},
		eventschema.Module{Name: "identity", Schemas: identityapi.Schemas},
	)
})

// audit is what holds of a shop after every spec.
func (s *shop) audit() {
	GinkgoHelper()
	Expect(installed.Complaints()).To(BeEmpty(), "the log complains")
	s.quiet()
	s.checkFacts()
	Expect(sum(`select count(*) from platform.delivery where tenant_id = $1 and parked_at is not null`, s.tenant)).To(BeZero(), "events were parked")
	var off int
	ask(&off, `
		select count(*) from inventory.stock s
		left join lateral (select coalesce(sum(on_hand_delta), 0) on_hand, coalesce(sum(reserved_delta), 0) reserved
		                   from inventory.movement m where m.tenant_id = s.tenant_id and m.location = s.location and m.sku = s.sku) m on true
		left join lateral (select coalesce(sum(l.quantity - l.released - l.shipped), 0) held from inventory.reservation_line l join inventory.reservation r using (tenant_id, order_id)
		                   where l.tenant_id = s.tenant_id and l.location = s.location and l.sku = s.sku and r.status = 'held') o on true
		left join lateral (select coalesce(sum(l.quantity), 0) held from inventory.hold_line l join inventory.hold h on h.tenant_id = l.tenant_id and h.id = l.hold_id
		                   where l.tenant_id = s.tenant_id and l.location = s.location and l.sku = s.sku and h.status = 'held') h on true
		where s.tenant_id = $1 and (s.on_hand, s.reserved, s.reserved) is distinct from (m.on_hand, m.reserved, o.held + h.held)`, s.tenant)
	Expect(off).To(BeZero(), "stock is not the sum of its movements, or not what is held")
	ask(&off, `
		select count(*) from orders.orders o
		where tenant_id = $1 and total_minor <> shipping_total_minor + (select sum(total_minor) from orders.line l where l.tenant_id = o.tenant_id and l.order_id = o.id)`, s.tenant)
	Expect(off).To(BeZero(), "an order is not the sum of its lines and its shipping")
	ask(&off, `
		select count(*) from groupbuy.campaign c
		where tenant_id = $1 and actual_participants <> (select count(*) from groupbuy.participant p where p.tenant_id = c.tenant_id and p.campaign_id = c.id)`, s.tenant)
	Expect(off).To(BeZero(), "a campaign does not know how many have joined")
	ask(&off, `
		select count(*) from (select p.tenant_id, p.campaign_id, p.id participant_id from groupbuy.participant p
		                      join groupbuy.campaign c on c.tenant_id = p.tenant_id and c.id = p.campaign_id and c.status = 'successful' where p.tenant_id = $1) p
		full join (select * from orders.participation where tenant_id = $1) o using (tenant_id, campaign_id, participant_id)
		where p.campaign_id is null or o.campaign_id is null`, s.tenant)
	Expect(off).To(BeZero(), "not every participant of a successful campaign has an order, or another one has")
}

// checkFacts holds what the spec caused to be published to the schemas.
func (s *shop) checkFacts() {
	GinkgoHelper()
	known, err := schemas()
	Expect(err).NotTo(HaveOccurred())
	last := map[string]int64{}
	for _, f := range s.facts("") {
		Expect(known.Check(f.Type, f.Version, f.Data)).To(Succeed())
		Expect(f.TenantID).To(Equal(s.tenant))
		Expect(f.CorrelationID).NotTo(BeEmpty())
		about := strings.SplitN(f.Type, ".", 2)[0] + " " + f.Subject
		if here.Kind == split {
			about = f.Type + " " + f.Subject // those of another deployment come by topics
		}
		Expect(f.Sequence).To(BeNumerically(">=", last[about]), "%s of %s came after a later one", f.Type, f.Subject)
		last[about] = f.Sequence
	}
}

// footprint is everything that is kept of a shop, digested. Order numbers are left out:
// a refused order may use one up. So is what the audit log says of those who only look, and
// when it is sealed.
func (s *shop) footprint() string {
	GinkgoHelper()
	s.quiet()
	query, err := footprintSQL()
	Expect(err).NotTo(HaveOccurred())
	var digests []string
	for _, a := range auditors {
		var digest string
		Expect(a.QueryRow(query, s.tenant).Scan(&digest)).To(Succeed())
		digests = append(digests, digest)
	}
	return strings.Join(digests, "\n")
}

// footprintSQL covers every table with merchants' rows, also those of later modules.
var footprintSQL = sync.OnceValues(func() (string, error) {
	rows, err := auditors[0].Query(`
		select c.oid::regclass::text from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
		where c.relkind in ('r', 'p') and not c.relispartition
		  and c.oid::regclass::text not in ('orders.counter', 'platform.delivery', 'platform.inbox', 'platform.audit_seal', 'platform.mail') order by 1`)
	if err != nil {
		return "", err
	}
	defer func() { _ = rows.Close() }()
	var parts []string
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			return "", err
		}
		row := "t::text"
		if table == "platform.api_key" {
			row = "(to_jsonb(t) - 'last_used_at')::text" // written a while after the requests
		}
		query := fmt.Sprintf(`select '%[1]s ' || count(*) || ' ' || coalesce(md5(string_agg(%[2]s, ' ' order by %[2]s)), '') from %[1]s t where tenant_id = $1`, table, row)
		if table == "platform.audit" {
			query += ` and action !~ '^(get|list|export)'`
		}
		parts = append(parts, query)
	}
	return `select string_agg(part, E'\n' order by part) from (` + strings.Join(parts, " union all ") + `) parts(part)`, rows.Err()
})

// changingNothing holds that a shop is afterwards what it was before.
func (s *shop) changingNothing(f func()) {
	GinkgoHelper()
	before := s.footprint()
	f()
	Expect(s.footprint()).To(Equal(before), "a refused request left traces")
}

// doingNothing holds that a shop is afterwards what it was before, but for an entry in the
// audit log of each time that somebody asked.
func (s *shop) doingNothing(times int, f func()) {
	GinkgoHelper()
	unaudited := func() string { return auditDigest.ReplaceAllString(s.footprint(), "") }
	before, entries := unaudited(), s.entries()
	f()
	Expect(unaudited()).To(Equal(before), "what changes nothing left traces")
	Expect(s.entries()).To(Equal(entries + times))
}

var auditDigest = regexp.MustCompile(`(?m)^platform\.audit .*$`)

// standing is a shop that specs share who only ever get refusals from it: every one of
// them holds that nothing in it changed.
type standing struct {
	*shop
	product product // MUG, of which there are 10
	order   order   // confirmed, of 2 of them

	campaign campaign // for 2 to 5 people
}

var standingShop = sync.OnceValue(func() *standing {
	s := &standing{shop: &shop{url: installed.URL(), tenant: newTenant()}}
	s.key = s.hire()
	s.product = s.sells("MUG", 10)
	s.order = s.confirmed(item{SKU: "MUG", Quantity: 2})
	s.campaign = s.offers(s.product)
	return s
})

// refusals gives the specs of a container the standing shop.
func refusals() *standing {
	s := &standing{}
	BeforeEach(func() {
		*s = *standingShop()
		before, tag := s.footprint(), s.get("/v1/products/"+s.product.ID).tag()
		DeferCleanup(func() {
			Expect(s.footprint()).To(Equal(before), "a refused request left traces")
			Expect(s.get("/v1/products/" + s.product.ID).tag()).To(Equal(tag))
			s.audit()
		})
	})
	return s
}
