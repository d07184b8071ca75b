package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/fusioncommerce/fusion/test/faults/lab"
)

type scenario struct {
	name string
	run  func(ctx context.Context, b *bench) error
}

func scenarios() []scenario {
	return []scenario{
		{"list", list},
		{"list_signed_in", listSignedIn},
		{"get", read},
		{"order", func(ctx context.Context, b *bench) error { return order(ctx, b, "order", b.catalog) }},
		{"order_hot", func(ctx context.Context, b *bench) error { return order(ctx, b, "order_hot", b.catalog[:5]) }},
		{"saga", saga},
		{"saga_steady", sagaSteady},
		{"join", join},
		{"checkout", checkout},
		{"checkout_steady", checkoutSteady},
		{"add_item", addItem},
		{"add_item_steady", addItemSteady},
		{"cold_start", coldStart},
		{"rss", rss},
		{"footprint", size},
	}
}

func scenarioNames() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

const (
	floorBare    = "bare Echo handler, same bytes and headers"
	floorNobody  = "the same, asked by nobody in particular"
	floorPgbench = "pgbench, same statements"
	floorIntake  = "orders accepted meanwhile"
	floorOffered = "orders offered"
	floorGoal    = "the goal"

	floorCheckouts = "checkouts offered"
	floorAdditions = "additions offered"
)

// warmUp is not counted: connections, prepared statements and caches come to be in it.
const warmUp = 2 * time.Second

// warmUpOrders is longer: until most of the products have been asked for their price once.
const warmUpOrders = 8 * time.Second

// measured is the line of a load beside its floor.
func (b *bench) measured(name string, o outcome, perSecond float64, l latency, f floor) throughput {
	if o.firstError != nil {
		b.say("  %d errors, the first: %v", o.errors, o.firstError)
	}
	return throughput{
		about: b.report.about(name), PerSecond: rounded(perSecond, 1), P50: milliseconds(l.p50), P95: milliseconds(l.p95), P99: milliseconds(l.p99),
		Errors: o.errors, Floor: f.name, FloorPerSecond: rounded(f.perSecond, 1), Ratio: rounded(ratio(perSecond, f.perSecond), 3),
		CPU: rounded(o.cpuEach(), 1), FloorCPU: rounded(f.cpu, 1),
		Clients: b.clients, Seconds: rounded(o.took.Seconds(), 2),
	}
}

func list(ctx context.Context, b *bench) error {
	return b.reading(ctx, "list", "/v1/products", func(*rand.Rand) request { return get("/v1/products") })
}

// listSignedIn measures what it costs to know who asks: customers, each with a session, get
// the page that the floor gives to anybody.
func listSignedIn(ctx context.Context, b *bench) error {
	const name, path = "list_signed_in", "/v1/products"
	return b.withShop(ctx, name, func(l *lab.Lab, _ *sql.DB) error {
		tokens, err := b.signIn(ctx, address(l), b.clients)
		if err != nil {
			return err
		}
		anybody := func(*rand.Rand) request { return get(path) }
		customer := func(dice *rand.Rand) request { return getAs(path, tokens[dice.IntN(len(tokens))]) }
		load := func(next asker) func(time.Duration) (outcome, error) {
			return func(d time.Duration) (outcome, error) {
				return metered(l, func() (outcome, error) { return closedLoop(ctx, address(l), b.clients, d, next), nil })
			}
		}
		for _, next := range []asker{anybody, customer} {
			closedLoop(ctx, address(l), b.clients, warmUp, next)
		}
		o, f, err := b.inTurns(load(customer), func(d time.Duration) (floor, error) {
			o, err := load(anybody)(d)
			return floor{perSecond: o.perSecond(), cpu: o.cpuEach()}, errors.Join(err, o.firstError)
		})
		if err != nil {
			return err
		}
		f.name = floorNobody
		return b.report.write(b.measured(name, o, o.perSecond(), latencyOf(o.samples), f))
	})
}

// signIn makes customers with a session each.
func (b *bench) signIn(ctx context.Context, addr string, n int) ([]string, error) {
	c := &connection{addr: addr}
	defer c.close()
	tokens := make([]string, n)
	for i := range tokens {
		who := fmt.Sprintf(`{"email":"customer-%d@example.com","password":"a bench has no secrets"}`, i)
		var grant struct{ AccessToken string }
		if _, err := c.done(ctx, post("/v1/auth/register", who), nil); err != nil {
			return nil, fmt.Errorf("register a customer: %w", err)
		}
		if _, err := c.done(ctx, post("/v1/auth/login", who), &grant); err != nil {
			return nil, fmt.Errorf("sign in: %w", err)
		}
		tokens[i] = grant.AccessToken
	}
	return tokens, nil
}

func read(ctx context.Context, b *bench) error {
	return b.reading(ctx, "get", "/v1/products/"+b.catalog[0].id, func(dice *rand.Rand) request {
		return get("/v1/products/" + b.catalog[dice.IntN(len(b.catalog))].id)
	})
}

// turns is how often the program and its floor take turns: what else the machine does in
// the meantime then meets both.
const turns = 5

// floor is what the machine does without the program.
type floor struct {
	name      string
	perSecond float64
	cpu       float64 // microseconds each
}

type floorFunc func(d time.Duration) (floor, error)

// inTurns measures the program and its floor.
func (b *bench) inTurns(program func(d time.Duration) (outcome, error), other floorFunc) (o outcome, f floor, err error) {
	n := min(turns, b.seconds)
	d := time.Duration(b.seconds/n) * time.Second
	for range n {
		part, err := program(d)
		if err != nil {
			return o, f, err
		}
		o.add(part)
		once, err := other(d)
		if err != nil {
			return o, f, err
		}
		f.perSecond += once.perSecond / float64(n)
		f.cpu += once.cpu / float64(n)
	}
	return o, f, nil
}

// metered adds to an outcome what the program and its PostgreSQL used for it.
func metered(l *lab.Lab, load func() (outcome, error)) (outcome, error) {
	program, postmaster, err := l.Pids()
	if err != nil {
		return outcome{}, err
	}
	before := processorTime(program) + processorTime(postmaster)
	o, err := load()
	o.cpu = processorTime(program) + processorTime(postmaster) - before
	return o, err
}

// reading measures a read and the bare handler that answers the same to the same requests.
func (b *bench) reading(ctx context.Context, name, path string, next asker) error {
	return b.withShop(ctx, name, func(l *lab.Lab, _ *sql.DB) error {
		c := &connection{addr: address(l)}
		defer c.close()
		a, err := c.done(ctx, get(path), nil)
		if err != nil {
			return fmt.Errorf("GET %s: %w", path, err)
		}
		return withBare(ctx, pageOf(a), func(bare string, pid int) error {
			for _, addr := range []string{address(l), bare} {
				closedLoop(ctx, addr, b.clients, warmUp, next)
			}
			o, f, err := b.inTurns(func(d time.Duration) (outcome, error) {
				return metered(l, func() (outcome, error) { return closedLoop(ctx, address(l), b.clients, d, next), nil })
			}, func(d time.Duration) (floor, error) {
				before := processorTime(pid)
				o := closedLoop(ctx, bare, b.clients, d, next)
				o.cpu = processorTime(pid) - before
				return floor{perSecond: o.perSecond(), cpu: o.cpuEach()}, o.firstError
			})
			if err != nil {
				return err
			}
			f.name = floorBare
			return b.report.write(b.measured(name, o, o.perSecond(), latencyOf(o.samples), f))
		})
	})
}

// orderOf asks for a unit each of two different products.
func orderOf(products []product) asker {
	return func(dice *rand.Rand) request {
		first := dice.IntN(len(products))
		second := (first + 1 + dice.IntN(len(products)-1)) % len(products)
		return post("/v1/orders", fmt.Sprintf(`{"customerId":"customer-%d","items":[{"sku":%q,"quantity":1},{"sku":%q,"quantity":1}]}`,
			dice.IntN(customers), products[first].sku, products[second].sku))
	}
}

const customers = 100_000

// placeOrder is what the floor of the orders repeats.
func (b *bench) placeOrder() command {
	return command{marker: "insert into orders.orders", send: func(ctx context.Context, c *connection) (fresh, error) {
		var placed struct {
			Number     int64
			CustomerID string
		}
		if _, err := c.done(ctx, orderOf(b.catalog)(rand.New(rand.NewPCG(1, 1))), &placed); err != nil { //nolint:gosec // any order will do
			return fresh{}, fmt.Errorf("place an order: %w", err)
		}
		const number = `(1000000 + :k::bigint)`
		return fresh{
			whole: map[string]string{fmt.Sprint(placed.Number): number, placed.CustomerID: fmt.Sprintf(`'customer-' || (:k::bigint %% %d)`, customers)},
			part:  map[string]string{fmt.Sprintf(`"number":%d,`, placed.Number): `'"number"' || chr(58) || ` + number + ` || ','`},
		}, nil
	}}
}

// order measures how fast orders are taken in, while the saga carries them on.
func order(ctx context.Context, b *bench, name string, products []product) error {
	return b.withFloor(ctx, name, b.placeOrder(), func(pgbench floorFunc) error {
		return b.withShop(ctx, name, func(l *lab.Lab, db *sql.DB) error {
			accepted := len(closedLoop(ctx, address(l), b.clients, warmUpOrders, orderOf(products)).samples)
			o, f, err := b.inTurns(func(d time.Duration) (outcome, error) {
				return metered(l, func() (outcome, error) {
					o := closedLoop(ctx, address(l), b.clients, d, orderOf(products))
					accepted += len(o.samples)
					err := b.carried(ctx, db, &o, accepted)
					return o, err
				})
			}, pgbench)
			if err != nil {
				return err
			}
			f.name = floorPgbench
			return b.report.write(b.measured(name, o, o.perSecond(), latencyOf(o.samples), f))
		})
	})
}

// carried waits for the saga. An accepted order that it does not confirm is an error.
func (b *bench) carried(ctx context.Context, db *sql.DB, o *outcome, accepted int) error {
	const confirmed = `select count(*) from orders.orders where status = 'confirmed'`
	if await(ctx, db, accepted, confirmed) == nil {
		return nil
	}
	var n int
	if err := db.QueryRowContext(ctx, confirmed).Scan(&n); err != nil {
		return err
	}
	o.errors += max(accepted-n, n-accepted)
	b.say("  %d orders were accepted and %d confirmed", accepted, n)
	return nil
}

// journey is how the orders fared that were accepted while o went on.
type journey struct {
	accepted, confirmed int // while it went on
	latency             latency
}

func (o outcome) journey(ctx context.Context, db *sql.DB) (j journey, err error) {
	rows, err := db.QueryContext(ctx, `
		select accepted, confirmed from (
			select pg_xact_commit_timestamp(a.xmin) accepted, pg_xact_commit_timestamp(c.xmin) confirmed
			from orders.timeline a left join orders.timeline c on c.tenant_id = a.tenant_id and c.order_id = a.order_id and c.status = 'confirmed'
			where a.status = 'created') t
		where accepted between $1 and $2 or confirmed between $1 and $2`, o.began, o.ended)
	if err != nil {
		return j, err
	}
	defer func() { _ = rows.Close() }()
	within := func(t time.Time) bool { return !t.Before(o.began) && !t.After(o.ended) }
	var samples []time.Duration
	for rows.Next() {
		var accepted time.Time
		var confirmed sql.NullTime
		if err := rows.Scan(&accepted, &confirmed); err != nil {
			return j, err
		}
		if within(accepted) {
			j.accepted++
			if confirmed.Valid {
				samples = append(samples, confirmed.Time.Sub(accepted))
			}
		}
		if confirmed.Valid && within(confirmed.Time) {
			j.confirmed++
		}
	}
	j.latency = latencyOf(samples)
	return j, rows.Err()
}

// saga measures how fast orders are carried to confirmed at full load. Latencies are from
// the commit of the order to the commit of its confirmation.
func saga(ctx context.Context, b *bench) error {
	return b.carrying(ctx, "saga", floorIntake, func(ctx context.Context, addr string, d time.Duration) outcome {
		return closedLoop(ctx, addr, b.clients, d, orderOf(b.catalog))
	})
}

// steady is a good day of a large shop: 17 million orders.
const steady = 200

func sagaSteady(ctx context.Context, b *bench) error {
	return b.carrying(ctx, "saga_steady", floorOffered, func(ctx context.Context, addr string, d time.Duration) outcome {
		return openLoop(ctx, addr, b.clients, steady, d, orderOf(b.catalog))
	})
}

func (b *bench) carrying(ctx context.Context, name, against string, load func(context.Context, string, time.Duration) outcome) error {
	return b.withShop(ctx, name, func(l *lab.Lab, db *sql.DB) error {
		warm := load(ctx, address(l), warmUp)
		o, err := metered(l, func() (outcome, error) {
			o := load(ctx, address(l), b.duration())
			err := b.carried(ctx, db, &o, len(warm.samples)+len(o.samples))
			return o, err
		})
		if err != nil {
			return err
		}
		j, err := o.journey(ctx, db)
		if err != nil {
			return err
		}
		f := floor{name: against, perSecond: rate(j.accepted, o.took)}
		if against == floorOffered {
			f.perSecond = steady
		}
		return b.report.write(b.measured(name, o, rate(j.confirmed, o.took), j.latency, f))
	})
}

const campaigns, joins = "/v1/campaigns", "/v1/campaigns/{id}/join"

// join measures many who join one campaign at the same moment.
func join(ctx context.Context, b *bench) error {
	if err := b.withShop(ctx, "join-offered", func(l *lab.Lab, _ *sql.DB) error {
		ok, err := offers(ctx, address(l), joins)
		if err == nil && !ok {
			err = fmt.Errorf("%w: /openapi.json has no %s", errLeftOut, joins)
		}
		return err
	}); err != nil {
		return err
	}
	return b.withFloor(ctx, "join", b.joinCampaign(), func(pgbench floorFunc) error {
		return b.withShop(ctx, "join", func(l *lab.Lab, _ *sql.DB) error {
			c := &connection{addr: address(l)}
			defer c.close()
			id, err := b.campaign(ctx, c)
			if err != nil {
				return err
			}
			var user atomic.Int64 // the clients' dice fall alike in every turn
			next := func(*rand.Rand) request { return joinAs(id, fmt.Sprintf("user-%d", user.Add(1))) }
			closedLoop(ctx, address(l), b.clients, warmUp, next)
			o, f, err := b.inTurns(func(d time.Duration) (outcome, error) {
				return metered(l, func() (outcome, error) { return closedLoop(ctx, address(l), b.clients, d, next), nil })
			}, pgbench)
			if err != nil {
				return err
			}
			f.name = floorPgbench
			return b.report.write(b.measured("join", o, o.perSecond(), latencyOf(o.samples), f))
		})
	})
}

func joinAs(campaign, user string) request {
	return post(campaigns+"/"+campaign+"/join", fmt.Sprintf(`{"userId":%q}`, user))
}

// campaign opens one that everybody can join.
func (b *bench) campaign(ctx context.Context, c *connection) (id string, err error) {
	const most = 1_000_000
	var made struct{ ID string }
	_, err = c.done(ctx, post(campaigns, fmt.Sprintf(`{"productId":%q,"minParticipants":2,"maxParticipants":%d,"price":"5.00","originalPrice":"9.00","startTime":%q,"endTime":%q}`,
		b.catalog[0].id, most, time.Now().UTC().Format(time.RFC3339), time.Now().UTC().Add(time.Hour).Format(time.RFC3339))), &made)
	if err != nil {
		return "", fmt.Errorf("open a campaign: %w", err)
	}
	return made.ID, nil
}

// joinCampaign is what the floor of the joins repeats.
func (b *bench) joinCampaign() command {
	var id string
	var joined int
	return command{marker: "groupbuy.", send: func(ctx context.Context, c *connection) (f fresh, err error) {
		if id == "" {
			if id, err = b.campaign(ctx, c); err != nil {
				return f, err
			}
		}
		joined++
		user := fmt.Sprintf("user-recorded-%d", joined)
		if _, err := c.done(ctx, joinAs(id, user), nil); err != nil {
			return f, fmt.Errorf("join a campaign: %w", err)
		}
		return fresh{part: map[string]string{user: `'user-' || :k::bigint`}, kept: []string{id}}, nil
	}}
}
