package apikey_test

import (
	"context"
	"database/sql"
	"net/netip"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/apikey"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("the terms of an API key", func() {
	var (
		d        *db.DB
		super    *sql.DB
		ctx      context.Context
		wrist    *testkit.Watch
		verifier *apikey.Verifier
	)

	BeforeEach(func() {
		shared := testkit.Shared()
		d, super = testkit.Open(shared.App), testkit.SQL(shared.Super)
		ctx = testkit.As(testkit.NewTenant(shared))
		wrist = testkit.NewWatch(clock.System())
		verifier = apikey.NewVerifier(d, wrist.Now, "", "")
	})

	add := func(t apikey.Terms) (key apikey.Key, secret string) {
		GinkgoHelper()
		t.Name = "Storefront"
		Expect(d.InTx(ctx, func(tx *db.Tx) (err error) {
			key, secret, err = apikey.Add(ctx, tx, t)
			return err
		})).To(Succeed())
		return key, secret
	}
	rotate := func(id uuid.UUID, overlap time.Duration) (key apikey.Key, secret string, err error) {
		err = d.InTx(ctx, func(tx *db.Tx) (err error) {
			key, secret, err = apikey.Rotate(ctx, tx, id, overlap)
			return err
		})
		return key, secret, err
	}
	good := func(secret string) bool {
		GinkgoHelper()
		_, ok, err := verifier.Authenticate(context.Background(), secret)
		Expect(err).NotTo(HaveOccurred())
		return ok
	}
	later := func(id uuid.UUID, column string) {
		GinkgoHelper()
		_, err := super.Exec(`update platform.api_key set `+column+` = now() - interval '1 microsecond' where id = $1`, id)
		Expect(err).NotTo(HaveOccurred())
	}

	It("let a publishable one shop and check out, and nothing else, whatever stands in its row", func() {
		limit := 90
		key, secret := add(apikey.Terms{Kind: apikey.Publishable, Permissions: []string{"*"}, Origins: []string{"https://shop.example"}, RequestsPerMinute: &limit})
		Expect(secret).To(MatchRegexp(`^fc_pk_[A-Za-z0-9_-]{43}$`))
		Expect(key.Permissions).To(ConsistOf(identity.Storefront()))
		id, ok, err := verifier.Authenticate(context.Background(), secret)
		Expect(err).NotTo(HaveOccurred())
		Expect(ok).To(BeTrue())
		Expect(id.Permissions).To(ConsistOf("carts:use", "orders:place", "campaigns:join", "inventory:hold", "payments:pay"))
		Expect(id.Origins).To(Equal([]string{"https://shop.example"}))
		Expect(id.Limit).To(Equal(90))
		_, err = super.Exec(`update platform.api_key set permissions = '{*}' where id = $1`, key.ID)
		Expect(err).To(MatchError(ContainSubstring("api_key_publishable")))
	})

	It("end it when its time is up, also for who has just checked it", func() {
		soon := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
		key, secret := add(apikey.Terms{Kind: apikey.Secret, Permissions: []string{"*"}, ExpiresAt: &soon})
		Expect(good(secret)).To(BeTrue())
		later(key.ID, "expires_at")
		wrist.Turn(apikey.Freshness)
		Expect(good(secret)).To(BeFalse())
		_, _, err := rotate(key.ID, time.Hour)
		Expect(err).To(MatchError(apikey.ErrEnded))
	})

	It("remember it no longer than it lasts", func() {
		almost := time.Now().Add(apikey.Freshness / 2)
		key, secret := add(apikey.Terms{Kind: apikey.Secret, Permissions: []string{"*"}, ExpiresAt: &almost})
		Expect(good(secret)).To(BeTrue())
		later(key.ID, "expires_at")
		wrist.Turn(apikey.Freshness / 2)
		Expect(good(secret)).To(BeFalse())
	})

	It("are not known to who does not ask from where it is good", func() {
		key, secret := add(apikey.Terms{Kind: apikey.Secret, Permissions: []string{"*"}, AllowedIPs: nets("10.0.0.0/8", "203.0.113.7")})
		Expect(key.AllowedIPs).To(HaveExactElements("10.0.0.0/8", "203.0.113.7/32"))
		_, ok, err := verifier.Authenticate(context.Background(), secret)
		Expect(ok).To(BeFalse())
		Expect(err).To(MatchError(ContainSubstring("address_not_allowed")))
	})

	Describe("that is given a new secret", func() {
		It("is good with both for the overlap, and then with the new one", func() {
			key, first := add(apikey.Terms{Kind: apikey.Secret, Permissions: []string{"orders:read"}})
			rotated, second, err := rotate(key.ID, time.Hour)
			Expect(err).NotTo(HaveOccurred())
			Expect(rotated.ID).To(Equal(key.ID))
			Expect(rotated.Prefix).To(Equal(second[:10]))
			Expect(rotated.PreviousUntil).To(HaveValue(BeTemporally(">", time.Now().Add(59*time.Minute))))
			Expect(good(first)).To(BeTrue())
			Expect(good(second)).To(BeTrue())
			later(key.ID, "previous_until")
			wrist.Turn(apikey.Freshness)
			Expect(good(first)).To(BeFalse())
			Expect(good(second)).To(BeTrue())
		})

		It("is good with the new one only when nothing else is asked for", func() {
			key, first := add(apikey.Terms{Kind: apikey.Secret, Permissions: []string{"*"}})
			rotated, second, err := rotate(key.ID, 0)
			Expect(err).NotTo(HaveOccurred())
			Expect(rotated.PreviousUntil).To(BeNil())
			Expect(good(first)).To(BeFalse())
			Expect(good(second)).To(BeTrue())
		})

		It("forgets the one before the last", func() {
			key, first := add(apikey.Terms{Kind: apikey.Secret, Permissions: []string{"*"}})
			_, second, err := rotate(key.ID, time.Hour)
			Expect(err).NotTo(HaveOccurred())
			_, third, err := rotate(key.ID, time.Hour)
			Expect(err).NotTo(HaveOccurred())
			Expect([]bool{good(first), good(second), good(third)}).To(Equal([]bool{false, true, true}))
		})

		It("ends with both when it is revoked", func() {
			key, first := add(apikey.Terms{Kind: apikey.Secret, Permissions: []string{"*"}})
			_, second, err := rotate(key.ID, time.Hour)
			Expect(err).NotTo(HaveOccurred())
			Expect(revoke(ctx, d, key.ID)).To(Succeed())
			Expect(good(first)).To(BeFalse())
			Expect(good(second)).To(BeFalse())
			_, _, err = rotate(key.ID, time.Hour)
			Expect(err).To(MatchError(apikey.ErrEnded))
		})

		It("is none that has ended", func() {
			expired, _ := add(apikey.Terms{Kind: apikey.Secret, Permissions: []string{"*"}})
			later(expired.ID, "expires_at")
			_, _, err := rotate(expired.ID, time.Hour)
			Expect(err).To(MatchError(apikey.ErrEnded))
		})

		It("is nobody else's to give", func() {
			key, first := add(apikey.Terms{Kind: apikey.Secret, Permissions: []string{"*"}})
			ctx = testkit.As(testkit.NewTenant(testkit.Shared()))
			_, _, err := rotate(key.ID, 0)
			Expect(err).To(MatchError(apikey.ErrUnknown))
			Expect(good(first)).To(BeTrue())
		})
	})

	It("say when it was used last, after the requests that used it", func() {
		key, secret := add(apikey.Terms{Kind: apikey.Secret, Permissions: []string{"*"}})
		unused, _ := add(apikey.Terms{Kind: apikey.Secret, Permissions: []string{"*"}})
		lastUses := func() []*time.Time {
			GinkgoHelper()
			list, err := apikey.List(ctx, d)
			Expect(err).NotTo(HaveOccurred())
			Expect(list[:2]).To(HaveExactElements(HaveField("ID", key.ID), HaveField("ID", unused.ID)))
			return []*time.Time{list[0].LastUsedAt, list[1].LastUsedAt}
		}
		Expect(good(secret)).To(BeTrue())
		wrist.Turn(time.Second)
		Expect(good(secret)).To(BeTrue(), "remembered, and used all the same")
		Expect(lastUses()).To(HaveEach(BeNil()), "no request has waited for it")
		Expect(verifier.Flush(context.Background(), d)).To(Succeed())
		Expect(lastUses()).To(HaveExactElements(HaveValue(BeTemporally("~", wrist.Now(), time.Microsecond)), BeNil()))

		elsewhere, shown := add(apikey.Terms{Kind: apikey.Secret, Permissions: []string{"*"}, AllowedIPs: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}})
		_, _, err := verifier.Authenticate(context.Background(), shown)
		Expect(err).To(MatchError(httpx.ErrAddress))
		Expect(verifier.Flush(context.Background(), d)).To(Succeed())
		var used bool
		Expect(super.QueryRow(`select last_used_at is not null from platform.api_key where id = $1`, elsewhere.ID).Scan(&used)).To(Succeed())
		Expect(used).To(BeFalse(), "who is refused has not used it")

		wrist.Turn(-time.Hour)
		Expect(good(secret)).To(BeTrue())
		Expect(verifier.Flush(context.Background(), d)).To(Succeed())
		Expect(lastUses()[0]).To(HaveValue(BeTemporally(">", wrist.Now().Add(time.Minute))), "another program was later")
	})
})

var _ = DescribeTable("an address that a key is good from", func(text, network string) {
	n, err := apikey.ParseNetwork(text)
	if network == "" {
		Expect(err).To(HaveOccurred())
		return
	}
	Expect(err).NotTo(HaveOccurred())
	Expect(n.String()).To(Equal(network))
},
	Entry(nil, "203.0.113.7", "203.0.113.7/32"), Entry(nil, "203.0.113.7/24", "203.0.113.0/24"), Entry(nil, "0.0.0.0/0", "0.0.0.0/0"),
	Entry(nil, "2001:db8::1", "2001:db8::1/128"), Entry(nil, "2001:db8::1/32", "2001:db8::/32"), Entry(nil, "::ffff:203.0.113.7", "203.0.113.7/32"),
	Entry(nil, "::ffff:203.0.113.0/120", ""), Entry(nil, "203.0.113.7/33", ""), Entry(nil, "203.0.113", ""), Entry(nil, "localhost", ""), Entry(nil, "fe80::1%eth0", ""),
	Entry(nil, "", ""), Entry(nil, " 10.0.0.1", ""), Entry(nil, "010.0.0.1", ""),
)

var _ = DescribeTable("the origin of a page", func(text string, ok bool) { Expect(apikey.IsOrigin(text)).To(Equal(ok)) },
	Entry(nil, "https://shop.example", true), Entry(nil, "http://localhost:3000", true), Entry(nil, "https://[2001:db8::1]:8443", true),
	Entry(nil, "https://shop.example/", false), Entry(nil, "https://shop.example:443", false), Entry(nil, "http://shop.example:80", false), Entry(nil, "https://Shop.example", false),
	Entry(nil, "shop.example", false), Entry(nil, "*", false), Entry(nil, "https://*.shop.example", false), Entry(nil, "null", false), Entry(nil, "https://", false),
	Entry(nil, "https://ana@shop.example", false), Entry(nil, "https://shop.example?x", false), Entry(nil, "https://shop.example#x", false), Entry(nil, "https://shop.example:", false),
	Entry(nil, "ftp://shop.example", false), Entry(nil, "javascript:alert(1)", false), Entry(nil, "https://läden.example", false),
)

func nets(texts ...string) (list []netip.Prefix) {
	GinkgoHelper()
	for _, text := range texts {
		network, err := apikey.ParseNetwork(text)
		Expect(err).NotTo(HaveOccurred())
		list = append(list, network)
	}
	return list
}
