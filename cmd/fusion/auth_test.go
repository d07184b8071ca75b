package main

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("fusion auth rotate-key", func() {
	type made struct {
		KID       string    `json:"kid"`
		SignsFrom time.Time `json:"signsFrom"`
	}
	var (
		environ []string
		stored  func() int
	)
	BeforeEach(func() {
		d := testkit.NewDatabase()
		environ = append(onDatabase(d), "FUSION_AUTH_ALGORITHM=EdDSA")
		super := testkit.SQL(d.Super)
		stored = func() (n int) {
			GinkgoHelper()
			Expect(super.QueryRow(`select count(*) from platform.signing_key`).Scan(&n)).To(Succeed())
			return n
		}
	})
	rotate := func(args ...string) made {
		GinkgoHelper()
		c := fusion(environ, append([]string{"auth", "rotate-key", "--json"}, args...)...)
		Expect(c.code).To(BeZero(), c.err)
		return parsed[made](c)
	}

	It("makes a key that signs when everybody knows it, beside the one that signs now", func() {
		first, second := rotate(), rotate()
		Expect(second.KID).NotTo(Equal(first.KID))
		Expect(second.SignsFrom.Sub(first.SignsFrom)).To(BeNumerically(">=", 5*time.Minute))
		Expect(stored()).To(Equal(2))
	})

	It("leaves no key but the new one when the others are in wrong hands", func() {
		rotate()
		rotate()
		last := rotate("--drop")
		Expect(last.SignsFrom).To(BeTemporally("<=", time.Now()))
		Expect(stored()).To(Equal(1))
	})

	It("leaves keys that fusion secrets counts and seals anew", func() {
		rotate()
		Expect(fusion(environ, "secrets", "status", "--json").out).To(ContainSubstring(`"secrets": 1`))
		Expect(fusion(environ, "secrets", "rotate").code).To(BeZero())
		Expect(rotate().KID).NotTo(BeEmpty())
	})
})
