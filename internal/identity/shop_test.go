package identity

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/identity/identityapi"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/eventschema"
	"github.com/fusioncommerce/fusion/internal/platform/mail"
	"github.com/fusioncommerce/fusion/internal/platform/outbound"
	"github.com/fusioncommerce/fusion/internal/platform/tenantapi"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

const (
	secret = "correct horse battery"
	wrong  = "wrong horse battery"
)

type object = map[string]any

// contract is what every fact must follow.
var contract = sync.OnceValue(func() *eventschema.Catalog {
	schemas, err := eventschema.Load(eventschema.Module{Name: "identity", Schemas: identityapi.Schemas}, eventschema.Module{Name: "platform", Schemas: tenantapi.Schemas})
	Expect(err).NotTo(HaveOccurred())
	return schemas
})

// counting counts what is hashed and compared.
type counting struct {
	passwords
	hashed, verified atomic.Int64
}

func (c *counting) Hash(ctx context.Context, password string) (string, error) {
	c.hashed.Add(1)
	return c.passwords.Hash(ctx, password)
}

func (c *counting) Verify(ctx context.Context, hash, password string) (bool, bool, error) {
	c.verified.Add(1)
	return c.passwords.Verify(ctx, hash, password)
}

// postman shows the specs what is handed to the outbox.
type postman struct {
	postbox
	shop *shop
}

// Send keeps the letters that come true.
func (p *postman) Send(ctx context.Context, tx *db.Tx, m mail.Message) error {
	tx.AfterCommit(func() {
		p.shop.mu.Lock()
		defer p.shop.mu.Unlock()
		p.shop.mails = append(p.shop.mails, m)
	})
	return p.postbox.Send(ctx, tx, m)
}

// shop is a running program whose mail and whose work at passwords the specs see.
type shop struct {
	*testkit.Shop
	module *Module
	work   *counting
	super  *sql.DB

	mu    sync.Mutex
	mails []mail.Message
}

// open starts a program on a database of the suite, with a merchant of its own.
func open() *shop {
	GinkgoHelper()
	return openOn(testkit.Shared(), "")
}

// openAt is open for a program that knows where browsers find it.
func openAt(public string) *shop {
	GinkgoHelper()
	return openOn(testkit.Shared(), public)
}

func openOn(d testkit.Database, public string) *shop {
	GinkgoHelper()
	s := &shop{super: testkit.SQL(d.Super)}
	s.Shop = testkit.Start(d, app.Options{CheckEvent: contract().Check, PublicURL: public, Outbound: outbound.Options{Inside: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}, func(k app.Kit) []app.Module {
		s.module = New(k)
		s.work = &counting{passwords: s.module.svc.passwords}
		s.module.svc.passwords = s.work
		s.module.svc.mail = &postman{k.Mail, s}
		return []app.Module{s.module}
	})
	return s
}

// mail are the letters to an address, of one kind.
func (s *shop) mail(to, template string) (list []mail.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.mails {
		if l.To == to && l.Template == template {
			list = append(list, l)
		}
	}
	return list
}

// token of the last such letter.
func (s *shop) token(to, template string) string {
	GinkgoHelper()
	list := s.mail(to, template)
	Expect(list).NotTo(BeEmpty())
	return list[len(list)-1].Data["token"]
}

// twin is another replica for the same merchant.
func (s *shop) twin() *shop {
	GinkgoHelper()
	t := open()
	t.Tenant, t.Key = s.Tenant, s.Key
	return t
}

func newAddress() string {
	return "ana." + uuid.NewString() + "@example.com" // with its hyphens: 16 digits of it in a row could be a card number
}

// asksForSecondFactor has the shop ask its staff for one, and waits until all requests know.
func (s *shop) asksForSecondFactor() {
	GinkgoHelper()
	Expect(s.Call(http.MethodPatch, "/v1/settings", object{"secondFactorForStaff": true}).Status).To(Equal(http.StatusOK))
	Eventually(func() (bool, error) {
		terms, err := s.module.svc.auth.tenants.Terms(testkit.As(s.Tenant), s.Tenant)
		return terms.Settings.SecondFactorForStaff, err
	}).Should(BeTrue())
}

// customer registers one.
func (s *shop) customer() (email string) {
	GinkgoHelper()
	email = newAddress()
	Expect(s.Post("/v1/auth/register", object{"email": email, "password": secret, "name": "Ana"}).Status).To(Equal(http.StatusAccepted))
	return email
}

// member is a customer who has proven the address.
func (s *shop) member() (email string) {
	GinkgoHelper()
	email = s.customer()
	Expect(s.With("").Post("/v1/auth/email/verify", object{"token": s.token(email, "verify-email")}).Status).To(Equal(http.StatusNoContent))
	return email
}

// staff invites somebody, who accepts.
func (s *shop) staff(roles ...string) (email string) {
	GinkgoHelper()
	email = newAddress()
	Expect(s.Post("/v1/staff/invitations", object{"email": email, "roles": roles}).Status).To(Equal(http.StatusCreated))
	Expect(s.Post("/v1/staff/invitations/accept", object{"token": s.token(email, "invitation"), "password": secret}).Status).To(Equal(http.StatusNoContent))
	return email
}

func (s *shop) login(email, password string, headers ...testkit.Header) testkit.Response {
	GinkgoHelper()
	return s.Post("/v1/auth/login", object{"email": email, "password": password}, headers...)
}

type granted struct {
	AccessToken  string
	RefreshToken string
	ExpiresIn    int
	Account      struct{ ID, CustomerID string }
}

func read[T any](r testkit.Response) (v T) {
	GinkgoHelper()
	Expect(r.Status).To(BeNumerically("<", 300), "%s", r.Raw)
	Expect(json.Unmarshal(r.Raw, &v)).To(Succeed())
	return v
}

// signedIn signs somebody in who can.
func (s *shop) signedIn(email string) granted {
	GinkgoHelper()
	return read[granted](s.login(email, secret))
}

// as is the shop for who has signed in.
func (s *shop) as(g granted) *testkit.Shop { return s.With(g.AccessToken) }

func (s *shop) id(email string) (id string) {
	GinkgoHelper()
	Expect(s.super.QueryRow(`select id from identity.account where tenant_id = $1 and email_key = $2`, s.Tenant, keyOf(email)).Scan(&id)).To(Succeed())
	return id
}

// exec changes the merchant's rows past the program; $1 is the merchant.
func (s *shop) exec(query string, args ...any) {
	GinkgoHelper()
	_, err := s.super.Exec(query, append([]any{s.Tenant}, args...)...)
	Expect(err).NotTo(HaveOccurred())
}

// facts are the topics that were published of a subject.
func (s *shop) facts(subject string) (topics []string) {
	GinkgoHelper()
	rows, err := s.super.Query(`select type from platform.event where tenant_id = $1 and subject = $2 order by seq`, s.Tenant, subject)
	Expect(err).NotTo(HaveOccurred())
	defer rows.Close()
	for rows.Next() {
		var topic string
		Expect(rows.Scan(&topic)).To(Succeed())
		topics = append(topics, topic)
	}
	Expect(rows.Err()).NotTo(HaveOccurred())
	return topics
}

// audited is how many entries of an action the audit log has of an account; "" is none.
func (s *shop) audited(action, account string) (n int) {
	GinkgoHelper()
	Expect(s.super.QueryRow(`select count(*) from platform.audit where tenant_id = $1 and action = $2 and entity = 'account' and entity_id = $3`, s.Tenant, action, account).Scan(&n)).To(Succeed())
	return n
}

// later is the shop when a time has passed since somebody failed to sign in.
func (s *shop) later(interval string) {
	GinkgoHelper()
	s.exec(`update identity.login_guard set last_at = last_at - $2::interval, locked_until = locked_until - $2::interval where tenant_id = $1`, interval)
}

// afterLetters is the shop when a time has passed since somebody was written to.
func (s *shop) afterLetters(interval string) {
	GinkgoHelper()
	s.exec(`update identity.letter_guard set last_at = last_at - $2::interval, sent_at = array(select t - $2::interval from unnest(sent_at) t) where tenant_id = $1`, interval)
}

// parallel runs n calls that start at the same moment.
func parallel(n int, call func(i int)) {
	GinkgoHelper()
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		all.Go(func() {
			defer GinkgoRecover()
			<-start
			call(i)
		})
	}
	close(start)
	all.Wait()
}

// tally counts answers by status and code.
type tally struct {
	mu sync.Mutex
	of map[string]int
}

func newTally() *tally { return &tally{of: map[string]int{}} }

func (t *tally) add(r testkit.Response) {
	name := http.StatusText(r.Status)
	if r.Status >= 300 {
		name = r.Code()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of[name]++
}
