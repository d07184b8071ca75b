package apikey_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/apikey"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

func revoke(ctx context.Context, d *db.DB, id uuid.UUID) error {
	return d.InTx(ctx, func(tx *db.Tx) error { return apikey.End(ctx, tx, id) })
}

var _ = Describe("an API key", func() {
	var (
		d          *db.DB
		super      *sql.DB
		ours       uuid.UUID
		theirs     uuid.UUID
		wrist      *testkit.Watch
		verifier   *apikey.Verifier
		ctx        context.Context // acts for us
		unverified = context.Background()
	)

	BeforeEach(func() {
		shared := testkit.Shared()
		d, super = testkit.Open(shared.App), testkit.SQL(shared.Super)
		ours, theirs = testkit.NewTenant(shared), testkit.NewTenant(shared)
		ctx = testkit.As(ours)
		wrist = testkit.NewWatch(clock.System())
		verifier = apikey.NewVerifier(d, wrist.Now, "", "")
	})

	newKey := func(permissions ...string) (apikey.Key, string) {
		GinkgoHelper()
		key, secret, err := apikey.Create(ctx, d, "Warehouse", permissions)
		Expect(err).NotTo(HaveOccurred())
		return key, secret
	}
	// whose asks the verifier; a refused key is nobody's.
	whose := func(v *apikey.Verifier, token string) *identity.Identity {
		GinkgoHelper()
		id, ok, err := v.Authenticate(unverified, token)
		Expect(err).NotTo(HaveOccurred())
		if !ok {
			Expect(id).To(BeZero(), "a refused key tells nothing")
			return nil
		}
		return &id
	}

	It("acts for its merchant, under its id and with its permissions", func() {
		key, secret := newKey("orders:read", "orders:write")
		Expect(whose(verifier, secret)).To(HaveValue(Equal(identity.Identity{
			Tenant: ours, Actor: "key:" + key.ID.String(), Permissions: []string{"orders:read", "orders:write"},
		})))
	})

	It("has 256 random bits behind a prefix that scanners recognise", func() {
		first, secret := newKey("*")
		_, other := newKey("*")
		Expect(secret).To(MatchRegexp(`^fc_sk_[A-Za-z0-9_-]{43}$`))
		Expect(base64.RawURLEncoding.DecodeString(strings.TrimPrefix(secret, apikey.Prefix))).To(HaveLen(32))
		Expect(other).NotTo(Equal(secret))
		Expect(first.Prefix).To(Equal(secret[:10]))
	})

	It("cannot be read back: the database holds its SHA-256 and ten characters", func() {
		key, secret := newKey("*")
		hash := sha256.Sum256([]byte(secret))
		var row string
		var stored []byte
		Expect(super.QueryRow(`select k::text, hash from platform.api_key k where id = $1`, key.ID).Scan(&row, &stored)).To(Succeed())
		Expect(stored).To(Equal(hash[:]))
		Expect(row).To(ContainSubstring(hex.EncodeToString(hash[:])), "the row is shown as a whole")
		random, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(secret, apikey.Prefix))
		Expect(err).NotTo(HaveOccurred())
		for name, part := range map[string]string{
			"the key": secret, "its random part": secret[len(apikey.Prefix):], "more of it than the prefix": secret[:11], "its end": secret[10:],
			"its bytes": hex.EncodeToString(random), "its characters": hex.EncodeToString([]byte(secret)),
		} {
			Expect(row).NotTo(ContainSubstring(part), name)
		}
	})

	It("is listed, oldest first, for its merchant and nobody else", func() {
		first, secret := newKey("orders:read")
		second, _ := newKey("*")
		list, err := apikey.List(ctx, d)
		Expect(err).NotTo(HaveOccurred())
		Expect(list).To(HaveExactElements(first, second))
		Expect(list[0].Prefix).To(Equal(secret[:10]))

		Expect(apikey.List(testkit.As(theirs), d)).To(And(BeEmpty(), Not(BeNil())))
	})

	It("is made, listed and revoked by nobody who acts for no merchant", func() {
		_, _, err := apikey.Create(unverified, d, "Warehouse", []string{"*"})
		Expect(err).To(MatchError(identity.ErrNone))
		Expect(apikey.List(unverified, d)).Error().To(MatchError(identity.ErrNone))
		Expect(revoke(unverified, d, uuid.New())).To(MatchError(identity.ErrNone))
	})

	DescribeTable("is refused when it is", func(mistake func(secret string) string) {
		_, secret := newKey("*")
		wrong := mistake(secret)
		Expect(wrong).NotTo(Equal(secret))
		Expect(whose(verifier, wrong)).To(BeNil())
		Expect(whose(verifier, secret)).NotTo(BeNil())
		Expect(whose(verifier, wrong)).To(BeNil(), "also while the right one is remembered")
		Expect(verifier.Known()).To(Equal(1), "wrong keys are not remembered")
	},
		Entry("empty", func(string) string { return "" }),
		Entry("another", func(s string) string { return apikey.Prefix + strings.Repeat("A", 43) }),
		Entry("one character short", func(s string) string { return s[:len(s)-1] }),
		Entry("one character long", func(s string) string { return s + "A" }),
		Entry("without its prefix", func(s string) string { return strings.TrimPrefix(s, apikey.Prefix) }),
		Entry("the prefix only", func(s string) string { return s[:10] }),
		Entry("in upper case", strings.ToUpper),
		Entry("in lower case", strings.ToLower),
		Entry("among spaces", func(s string) string { return " " + s + " " }),
		Entry("followed by a NUL", func(s string) string { return s + "\x00" }),
		Entry("not UTF-8", func(s string) string { return s + "\xff" }),
		Entry("its own hash", func(s string) string { hash := sha256.Sum256([]byte(s)); return string(hash[:]) }),
		Entry("its own hash in digits", func(s string) string { hash := sha256.Sum256([]byte(s)); return hex.EncodeToString(hash[:]) }),
		Entry("SQL", func(s string) string { return s + "' or '1'='1" }),
		Entry("very long", func(s string) string { return strings.Repeat(s, 10_000) }),
	)

	Describe("that is revoked", func() {
		It("is refused at once by who has not seen it", func() {
			key, secret := newKey("*")
			Expect(revoke(ctx, d, key.ID)).To(Succeed())
			Expect(whose(verifier, secret)).To(BeNil())
			Expect(apikey.List(ctx, d)).To(HaveExactElements(HaveField("RevokedAt", Not(BeNil()))))
		})

		It("is refused within its freshness by who has", func() {
			key, secret := newKey("*")
			Expect(whose(verifier, secret)).NotTo(BeNil())
			Expect(revoke(ctx, d, key.ID)).To(Succeed())
			wrist.Turn(apikey.Freshness - time.Microsecond)
			Expect(whose(verifier, secret)).NotTo(BeNil(), "busy clients cost no query")
			wrist.Turn(time.Microsecond)
			Expect(whose(verifier, secret)).To(BeNil())
			Expect(verifier.Known()).To(BeZero())
		})

		It("is not kept alive by being used", func() {
			key, secret := newKey("*")
			Expect(whose(verifier, secret)).NotTo(BeNil())
			Expect(revoke(ctx, d, key.ID)).To(Succeed())
			for range 3 {
				wrist.Turn(apikey.Freshness / 4)
				Expect(whose(verifier, secret)).NotTo(BeNil())
			}
			wrist.Turn(apikey.Freshness / 4)
			Expect(whose(verifier, secret)).To(BeNil())
		})

		It("is not kept alive by a clock that is set back", func() {
			key, secret := newKey("*")
			Expect(whose(verifier, secret)).NotTo(BeNil())
			Expect(revoke(ctx, d, key.ID)).To(Succeed())
			wrist.Turn(-time.Hour)
			Expect(whose(verifier, secret)).To(BeNil())
		})

		It("takes no other key with it", func() {
			key, _ := newKey("*")
			_, other := newKey("*")
			Expect(revoke(ctx, d, key.ID)).To(Succeed())
			Expect(whose(verifier, other)).NotTo(BeNil())
		})

		It("cannot be revoked again, nor a key that does not exist, nor another merchant's", func() {
			key, secret := newKey("*")
			Expect(revoke(testkit.As(theirs), d, key.ID)).To(MatchError(apikey.ErrUnknown))
			Expect(whose(verifier, secret)).NotTo(BeNil())
			Expect(revoke(ctx, d, uuid.New())).To(MatchError(apikey.ErrUnknown))
			Expect(revoke(ctx, d, key.ID)).To(Succeed())
			Expect(revoke(ctx, d, key.ID)).To(MatchError(apikey.ErrUnknown))
		})
	})

	Describe("of the configuration", func() {
		It("is an owner of the default merchant", func() {
			v := apikey.NewVerifier(d, wrist.Now, "open sesame", "")
			id := whose(v, "open sesame")
			Expect(id).To(HaveValue(Equal(identity.Identity{Tenant: identity.DefaultTenant, Actor: "key:bootstrap", Permissions: []string{"*"}})))
			Expect(id.Can("orders:write")).To(BeTrue())
			Expect(whose(v, "Open Sesame")).To(BeNil())
			Expect(whose(v, "open sesam")).To(BeNil())
			Expect(v.Known()).To(BeZero())
		})

		It("is none when it is empty", func() {
			Expect(whose(verifier, "")).To(BeNil())
		})
	})

	Describe("of the shop's other deployments", func() {
		const shared = "the-deployments@of.the-specs"
		var peers *apikey.Verifier
		BeforeEach(func() { peers = apikey.NewVerifier(d, wrist.Now, "open sesame", shared) })

		It("asks for prices and for who has signed in on behalf of the merchant that it names, and may do nothing else", func() {
			id := whose(peers, identity.ServiceCredential(shared, ours))
			Expect(id).To(HaveValue(Equal(identity.Identity{Tenant: ours, Actor: "service", Permissions: []string{"offers:read", "identity:introspect"}})))
			Expect(id.Can("offers:read")).To(BeTrue())
			Expect(id.Can("products:read")).To(BeFalse())
			Expect(whose(peers, identity.ServiceCredential(shared, theirs))).To(HaveValue(HaveField("Tenant", theirs)))
			Expect(peers.Known()).To(BeZero())
		})

		DescribeTable("is refused", func(credential func(tenant string) string) {
			Expect(whose(peers, credential(ours.String()))).To(BeNil())
		},
			Entry("without a merchant", func(string) string { return shared }),
			Entry("with an empty one", func(string) string { return shared + "@" }),
			Entry("with nobody", func(string) string { return shared + "@" + uuid.Nil.String() }),
			Entry("with the merchant's name", func(string) string { return shared + "@harbour" }),
			Entry("with half a merchant", func(t string) string { return shared + "@" + t[:18] }),
			Entry("with the merchant in other characters", func(t string) string { return shared + "@" + strings.ToUpper(t) }),
			Entry("with the merchant in braces", func(t string) string { return shared + "@{" + t + "}" }),
			Entry("with the merchant in anything like braces", func(t string) string { return shared + "@x" + t + "y" }),
			Entry("with the merchant as a URN", func(t string) string { return shared + "@urn:uuid:" + t }),
			Entry("with the merchant without dashes", func(t string) string { return shared + "@" + strings.ReplaceAll(t, "-", "") }),
			Entry("with two merchants", func(t string) string { return shared + "@" + t + "@" + t }),
			Entry("with more behind it", func(t string) string { return shared + "@" + t + " " }),
			Entry("with another key", func(t string) string { return "guess@" + t }),
			Entry("without a key", func(t string) string { return "@" + t }),
			Entry("with a part of the key", func(t string) string { return shared[:len(shared)-1] + "@" + t }),
			Entry("with more than the key", func(t string) string { return shared + "x@" + t }),
			Entry("with the bootstrap key", func(t string) string { return "open sesame@" + t }),
		)

		It("is none where none is set, also not the empty one", func() {
			alone := apikey.NewVerifier(d, wrist.Now, "open sesame", "")
			Expect(whose(alone, identity.ServiceCredential(shared, ours))).To(BeNil())
			Expect(whose(alone, identity.ServiceCredential("", ours))).To(BeNil())
		})

		It("changes nothing for other keys", func() {
			key, secret := newKey("orders:read")
			Expect(whose(peers, secret)).To(HaveValue(HaveField("Actor", "key:"+key.ID.String())))
			Expect(whose(peers, "open sesame")).To(HaveValue(HaveField("Actor", "key:bootstrap")))
			Expect(whose(peers, secret+"@"+ours.String())).To(BeNil())
			with := apikey.NewVerifier(d, wrist.Now, "open@"+ours.String(), shared)
			Expect(whose(with, "open@"+ours.String())).To(HaveValue(HaveField("Actor", "key:bootstrap")))
		})
	})

	Describe("while the database does not answer", func() {
		var (
			key    string
			pool   *db.DB
			losing *apikey.Verifier
		)

		BeforeEach(func() {
			_, key = newKey("*")
			var err error
			pool, err = db.Open(db.Options{DSN: testkit.Shared().App, Connections: 2})
			Expect(err).NotTo(HaveOccurred())
			losing = apikey.NewVerifier(pool, wrist.Now, "open sesame", "")
			Expect(whose(losing, key)).NotTo(BeNil())
			Expect(pool.Close()).To(Succeed())
		})

		It("is taken while it is fresh, and so is the one of the configuration", func() {
			Expect(whose(losing, key)).NotTo(BeNil())
			wrist.Turn(time.Hour)
			Expect(whose(losing, "open sesame")).NotTo(BeNil())
		})

		It("is neither taken nor refused afterwards: that is an error", func() {
			wrist.Turn(apikey.Freshness)
			_, ok, err := losing.Authenticate(unverified, key)
			Expect(err).To(HaveOccurred())
			Expect(ok).To(BeFalse())
		})
	})

	It("is remembered among a bounded number of others", func() {
		_, secret := newKey("*")
		Expect(verifier.Fill(ctx, apikey.Remembered-1)).To(Succeed())
		Expect(whose(verifier, secret)).NotTo(BeNil())
		Expect(verifier.Known()).To(Equal(apikey.Remembered))

		_, more := newKey("*")
		Expect(whose(verifier, more)).NotTo(BeNil())
		Expect(verifier.Known()).To(Equal(1))
		Expect(whose(verifier, secret)).NotTo(BeNil(), "it is asked for anew")
	})

	It("keeps apart whose it is when many are checked at once", func() {
		const callers = 50
		secrets, tenants := make([]string, callers), make([]uuid.UUID, callers)
		for i := range callers {
			tenants[i] = []uuid.UUID{ours, theirs}[i%2]
			secrets[i] = testkit.Key(d, tenants[i], "orders:read")
		}
		_, same := newKey("*")
		var all sync.WaitGroup
		start := make(chan struct{})
		for i := range callers {
			all.Go(func() {
				defer GinkgoRecover()
				<-start
				for range 5 {
					Expect(whose(verifier, secrets[i])).To(HaveValue(HaveField("Tenant", tenants[i])))
					Expect(whose(verifier, same)).To(HaveValue(HaveField("Tenant", ours)))
					Expect(whose(verifier, secrets[i]+"x")).To(BeNil())
					wrist.Turn(apikey.Freshness / 10)
				}
			})
		}
		close(start)
		all.Wait()
		Expect(verifier.Known()).To(Equal(callers + 1))
	})
})
