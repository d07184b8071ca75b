package apikey_test

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/apikey"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("the origins of publishable keys", func() {
	var (
		d    *db.DB
		ctx  context.Context
		page string // of a key
		key  apikey.Key
		none = context.Background() // a browser shows no credential before it may
	)
	BeforeEach(func() {
		d = testkit.Open(testkit.Shared().App)
		ctx = testkit.As(testkit.NewTenant(testkit.Shared()))
		page = "https://" + strings.ReplaceAll(uuid.NewString(), "-", "") + ".example"
		Expect(d.InTx(ctx, func(tx *db.Tx) (err error) {
			key, _, err = apikey.Add(ctx, tx, apikey.Terms{Name: "Page", Kind: apikey.Publishable, Origins: []string{page}})
			return err
		})).To(Succeed())
	})
	allowed := func() bool {
		GinkgoHelper()
		return apikey.NewOrigins(d, time.Now, testkit.Log()).Allow(none, page)
	}

	It("are those of keys that are good", func() {
		Expect(allowed()).To(BeTrue())
		Expect(apikey.NewOrigins(d, time.Now, testkit.Log()).Allow(none, page+":8443")).To(BeFalse())
		Expect(revoke(ctx, d, key.ID)).To(Succeed())
		Expect(allowed()).To(BeFalse())
	})

	It("are not those of keys whose time is up", func() {
		_, err := testkit.SQL(testkit.Shared().Super).Exec(`update platform.api_key set expires_at = now() - interval '1 microsecond' where id = $1`, key.ID)
		Expect(err).NotTo(HaveOccurred())
		Expect(allowed()).To(BeFalse())
	})

	It("are known again within two seconds, also by a clock that is set back", func() {
		wrist := testkit.NewWatch(clock.System())
		known := apikey.NewOrigins(d, wrist.Now, testkit.Log())
		Expect(known.Allow(none, page)).To(BeTrue())
		Expect(revoke(ctx, d, key.ID)).To(Succeed())
		wrist.Turn(apikey.Freshness - 1)
		Expect(known.Allow(none, page)).To(BeTrue(), "browsers cost a query every two seconds")
		wrist.Turn(-time.Hour)
		Expect(known.Allow(none, page)).To(BeFalse())
	})

	It("are what was known last while the database is away", func() {
		pool, err := db.Open(db.Options{DSN: testkit.Shared().App, Connections: 1})
		Expect(err).NotTo(HaveOccurred())
		wrist := testkit.NewWatch(clock.System())
		losing := apikey.NewOrigins(pool, wrist.Now, testkit.Log())
		Expect(losing.Allow(none, page)).To(BeTrue())
		Expect(pool.Close()).To(Succeed())
		wrist.Turn(time.Hour)
		Expect(losing.Allow(none, page)).To(BeTrue())
		Expect(losing.Allow(none, "https://nobody.example")).To(BeFalse())
	})
})
