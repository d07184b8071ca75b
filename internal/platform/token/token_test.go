package token_test

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/platform/token"
	"github.com/fusioncommerce/fusion/internal/platform/vault"
)

// installation is a database with replicas of a program on it.
type installation struct {
	database testkit.Database
	pool     *db.DB
	super    *sql.DB
	vault    *vault.Vault
	wrist    *testkit.Watch
	options  token.Options
}

func install() *installation {
	GinkgoHelper()
	d := testkit.NewDatabase()
	i := &installation{database: d, super: testkit.SQL(d.Super), vault: testkit.Vault(), wrist: testkit.NewWatch(clock.System().Truncate(time.Second))}
	pool, err := db.Open(db.Options{DSN: d.App, Connections: 20, Clock: i.wrist.Now})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(pool.Close)
	i.pool = pool
	i.options = token.Options{DB: pool, Vault: i.vault, Clock: i.wrist.Now, Algorithm: token.EdDSA}
	return i
}

// replica is one more program.
func (i *installation) replica(change ...func(*token.Options)) *token.Tokens {
	o := i.options
	for _, c := range change {
		c(&o)
	}
	return token.New(o)
}

// maintain does the periodic work.
func (i *installation) maintain(t *token.Tokens) {
	GinkgoHelper()
	Expect(i.pool.Across(ctx, func(tx *db.Tx) error { return t.Maintain(ctx, tx) })).To(Succeed())
}

func (i *installation) stored() (n int) {
	GinkgoHelper()
	Expect(i.super.QueryRow(`select count(*) from platform.signing_key`).Scan(&n)).To(Succeed())
	return n
}

var ctx = context.Background()

// somebody has signed in.
func somebody() token.Claims {
	return token.Claims{Tenant: clock.NewID(), Account: clock.NewID(), Session: clock.NewID(), Kind: token.Staff, Methods: []string{"pwd", "otp"}}
}

func issue(t *token.Tokens, c token.Claims) string {
	GinkgoHelper()
	raw, _, err := t.Issue(ctx, c)
	Expect(err).NotTo(HaveOccurred())
	return raw
}

// part decodes the header (0) or the claims (1) of a token.
func part(raw string, n int) map[string]any {
	GinkgoHelper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[n])
	Expect(err).NotTo(HaveOccurred())
	said := map[string]any{}
	Expect(json.Unmarshal(text, &said)).To(Succeed())
	return said
}

func kidOf(raw string) string {
	GinkgoHelper()
	kid, _ := part(raw, 0)["kid"].(string)
	return kid
}

func kids(t *token.Tokens) []string {
	GinkgoHelper()
	set, err := t.Published(ctx)
	Expect(err).NotTo(HaveOccurred())
	list := []string{}
	for _, k := range set.Keys {
		list = append(list, k.KeyID)
	}
	return list
}

var _ = Describe("an access token", func() {
	DescribeTable("says whose session it is, for as long as it is good", func(algorithm, kind, audience string) {
		i := install()
		tokens := i.replica(func(o *token.Options) { o.Algorithm = algorithm })
		c := somebody()
		c.Kind = kind
		raw, expires, err := tokens.Issue(ctx, c)
		Expect(err).NotTo(HaveOccurred())
		Expect(expires).To(Equal(i.wrist.Now().Add(15 * time.Minute)))
		c.Expires = expires
		Expect(tokens.Verify(ctx, raw)).To(Equal(c))
		Expect(part(raw, 0)).To(Equal(map[string]any{"alg": algorithm, "typ": "at+jwt", "kid": kids(tokens)[0]}))
		now := float64(i.wrist.Now().Unix())
		Expect(part(raw, 1)).To(And(HaveKeyWithValue("jti", Not(BeEmpty())), HaveLen(10)))
		Expect(part(raw, 1)).To(And(
			HaveKeyWithValue("iss", "fusion"), HaveKeyWithValue("aud", []any{audience}), HaveKeyWithValue("sub", c.Account.String()),
			HaveKeyWithValue("tid", c.Tenant.String()), HaveKeyWithValue("sid", c.Session.String()), HaveKeyWithValue("amr", []any{"pwd", "otp"}),
			HaveKeyWithValue("iat", now), HaveKeyWithValue("nbf", now), HaveKeyWithValue("exp", now+900),
		))
		Expect(len(raw)).To(BeNumerically("<", 1024))

		i.wrist.Turn(15*time.Minute - time.Microsecond)
		Expect(tokens.Verify(ctx, raw)).To(Equal(c))
		i.wrist.Turn(time.Microsecond)
		Expect(tokens.Verify(ctx, raw)).Error().To(MatchError(token.ErrInvalid))
	},
		Entry("of staff, signed with RSA", "RS256", token.Staff, "admin"),
		Entry("of a customer, signed with Ed25519", "EdDSA", token.Customer, "store"),
	)

	It("is never the same twice", func() {
		tokens := install().replica()
		c := somebody()
		Expect(issue(tokens, c)).NotTo(Equal(issue(tokens, c)))
	})

	It("is made for no third kind of people", func() {
		c := somebody()
		c.Kind = "robot"
		Expect(install().replica().Issue(ctx, c)).Error().To(HaveOccurred())
	})

	It("is accepted by a replica whose clock is half a minute behind, and not by one that is further", func() {
		i := install()
		tokens := i.replica()
		raw := issue(tokens, somebody())
		i.wrist.Turn(-30 * time.Second)
		Expect(tokens.Verify(ctx, raw)).Error().NotTo(HaveOccurred())
		i.wrist.Turn(-time.Second)
		Expect(tokens.Verify(ctx, raw)).Error().To(MatchError(token.ErrInvalid))
	})

	It("is good for as long as the shop says", func() {
		i := install()
		_, expires, err := i.replica(func(o *token.Options) { o.TTL = time.Minute }).Issue(ctx, somebody())
		Expect(err).NotTo(HaveOccurred())
		Expect(expires).To(Equal(i.wrist.Now().Add(time.Minute)))
	})
})

var _ = Describe("the keys that sign", func() {
	It("are agreed on by replicas that begin at the same moment", func() {
		i := install()
		const replicas = 8
		tokens := make([]string, replicas)
		programs := make([]*token.Tokens, replicas)
		var all sync.WaitGroup
		start := make(chan struct{})
		for n := range replicas {
			programs[n] = i.replica()
			all.Go(func() {
				defer GinkgoRecover()
				<-start
				tokens[n] = issue(programs[n], somebody())
			})
		}
		close(start)
		all.Wait()
		Expect(i.stored()).To(Equal(1))
		for _, p := range programs {
			for _, raw := range tokens {
				Expect(p.Verify(ctx, raw)).Error().NotTo(HaveOccurred())
			}
		}
	})

	It("are stored so that the database alone can sign nothing", func() {
		i := install()
		raw := issue(i.replica(), somebody())
		stranger := i.replica(func(o *token.Options) { o.Vault = vault.New(vault.GenerateKey()) })
		Expect(stranger.Issue(ctx, somebody())).Error().To(HaveOccurred())
		_, err := stranger.Verify(ctx, raw)
		Expect(err).To(HaveOccurred())
		Expect(err).NotTo(MatchError(token.ErrInvalid), "nobody knows whether it is")
	})

	It("cannot be planted by who can write to the database, nor exchanged", func() {
		ours, theirs := install(), install()
		theirs.options.Vault = vault.New(vault.GenerateKey())
		forged := issue(theirs.replica(), somebody())
		issue(ours.replica(), somebody())
		var kid, algorithm string
		var public, private []byte
		Expect(theirs.super.QueryRow(`select kid, algorithm, public_key, private_key from platform.signing_key`).Scan(&kid, &algorithm, &public, &private)).To(Succeed())
		_, err := ours.super.Exec(`update platform.signing_key set kid = $1, public_key = $2`, kid, public)
		Expect(err).NotTo(HaveOccurred())
		Expect(ours.replica().Verify(ctx, forged)).Error().To(HaveOccurred())
		_, err = ours.super.Exec(`update platform.signing_key set private_key = $1`, private)
		Expect(err).NotTo(HaveOccurred())
		Expect(ours.replica().Verify(ctx, forged)).Error().To(HaveOccurred())
	})

	It("are published before they sign, and after it until what they signed is over", func() {
		i := install()
		tokens := i.replica()
		first := issue(tokens, somebody())
		old := kidOf(first)

		next, from, err := tokens.Rotate(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(from.Sub(i.wrist.Now())).To(BeNumerically(">", token.CacheFor))
		i.wrist.Turn(token.Freshness)
		Expect(kids(tokens)).To(Equal([]string{old, next}))
		Expect(kidOf(issue(tokens, somebody()))).To(Equal(old))

		i.wrist.Turn(from.Sub(i.wrist.Now()) - time.Microsecond)
		last := issue(tokens, somebody())
		Expect(kidOf(last)).To(Equal(old))
		i.wrist.Turn(time.Microsecond)
		Expect(kidOf(issue(tokens, somebody()))).To(Equal(next))
		Expect(tokens.Verify(ctx, last)).Error().NotTo(HaveOccurred())

		i.wrist.Turn(15*time.Minute - 2*time.Second)
		i.maintain(tokens)
		Expect(kids(tokens)).To(Equal([]string{old, next}))
		Expect(tokens.Verify(ctx, last)).Error().NotTo(HaveOccurred())

		i.wrist.Turn(2 * time.Minute)
		Expect(kids(tokens)).To(Equal([]string{next}))
		Expect(i.stored()).To(Equal(2))
		i.maintain(tokens)
		Expect(i.stored()).To(Equal(1), "a key that nobody needs is better gone")
	})

	It("are followed by others at their age, once", func() {
		i := install()
		tokens := i.replica()
		old := kidOf(issue(tokens, somebody()))
		i.wrist.Turn(90*24*time.Hour - time.Second)
		i.maintain(tokens)
		Expect(kids(tokens)).To(Equal([]string{old}))
		i.wrist.Turn(time.Second)
		i.maintain(tokens)
		i.maintain(i.replica())
		i.wrist.Turn(token.Freshness)
		Expect(kids(tokens)).To(And(HaveLen(2), HaveExactElements(old, Not(Equal(old)))))
	})

	It("are followed by others of the algorithm that is wanted now, while the old ones still sign", func() {
		i := install()
		raw := issue(i.replica(), somebody())
		rsa := i.replica(func(o *token.Options) { o.Algorithm = token.RS256 })
		Expect(part(issue(rsa, somebody()), 0)).To(HaveKeyWithValue("alg", "EdDSA"))
		i.maintain(rsa)
		i.maintain(rsa)
		Expect(i.stored()).To(Equal(2))
		i.wrist.Turn(10 * time.Minute)
		Expect(part(issue(rsa, somebody()), 0)).To(HaveKeyWithValue("alg", "RS256"))
		Expect(rsa.Verify(ctx, raw)).Error().NotTo(HaveOccurred())
		Expect(i.replica().Verify(ctx, issue(rsa, somebody()))).Error().NotTo(HaveOccurred())
	})

	It("are not made by periodic work where nobody signs in", func() {
		i := install()
		i.maintain(i.replica())
		Expect(i.stored()).To(BeZero())
	})

	It("are dropped with all they signed when somebody else has got hold of them", func() {
		i := install()
		here, there := i.replica(), i.replica()
		raw := issue(here, somebody())
		Expect(there.Verify(ctx, raw)).Error().NotTo(HaveOccurred())
		kid, _, err := here.Replace(ctx)
		Expect(err).NotTo(HaveOccurred())
		i.wrist.Turn(token.Freshness)
		for _, tokens := range []*token.Tokens{here, there} {
			Expect(tokens.Verify(ctx, raw)).Error().To(MatchError(token.ErrInvalid))
			Expect(kids(tokens)).To(Equal([]string{kid}))
			Expect(kidOf(issue(tokens, somebody()))).To(Equal(kid))
		}
	})

	It("can be replaced also where they cannot be opened any more", func() {
		i := install()
		issue(i.replica(), somebody())
		other := i.replica(func(o *token.Options) { o.Vault = vault.New(vault.GenerateKey()) })
		Expect(other.Issue(ctx, somebody())).Error().To(HaveOccurred())
		Expect(other.Replace(ctx)).Error().NotTo(HaveOccurred())
		Expect(other.Verify(ctx, issue(other, somebody()))).Error().NotTo(HaveOccurred())
	})

	It("are known to other replicas at once when one of them uses a new one", func() {
		i := install()
		here, there := i.replica(), i.replica()
		Expect(there.Verify(ctx, issue(here, somebody()))).Error().NotTo(HaveOccurred())
		_, _, err := here.Replace(ctx)
		Expect(err).NotTo(HaveOccurred())
		raw := issue(i.replica(), somebody())
		Expect(there.Verify(ctx, raw)).Error().NotTo(HaveOccurred(), "no time has passed since it looked")
	})

	It("are looked for a few times a second however many names are made up", func() {
		i := install()
		tokens := i.replica()
		c := somebody()
		raw := issue(tokens, c)
		loads := tokens.Loads()
		began := time.Now()
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() {
				defer GinkgoRecover()
				made := forge(part(raw, 0), part(raw, 1), func(h, _ map[string]any) { h["kid"] = uuid.NewString() })
				Expect(tokens.Verify(ctx, made)).Error().To(MatchError(token.ErrInvalid))
			})
		}
		all.Wait()
		most := 1 + int(time.Since(began)/token.Pace)
		Expect(tokens.Loads() - loads).To(And(BeNumerically(">=", 1), BeNumerically("<=", most)))
	})

	It("are asked for no more than every few seconds by those who show good tokens", func() {
		i := install()
		tokens := i.replica()
		raw := issue(tokens, somebody())
		loads := tokens.Loads()
		for range 100 {
			Expect(tokens.Verify(ctx, raw)).Error().NotTo(HaveOccurred())
		}
		Expect(tokens.Loads()).To(Equal(loads))
		i.wrist.Turn(token.Freshness)
		Expect(tokens.Verify(ctx, raw)).Error().NotTo(HaveOccurred())
		Expect(tokens.Loads()).To(Equal(loads + 1))
	})

	It("are neither good nor bad while the database does not answer: that is an error", func() {
		i := install()
		tokens := i.replica()
		raw := issue(tokens, somebody())
		Expect(i.pool.Close()).To(Succeed())
		Expect(tokens.Verify(ctx, raw)).Error().NotTo(HaveOccurred())
		i.wrist.Turn(token.Freshness)
		_, err := tokens.Verify(ctx, raw)
		Expect(err).To(HaveOccurred())
		Expect(err).NotTo(MatchError(token.ErrInvalid))
	})
})
