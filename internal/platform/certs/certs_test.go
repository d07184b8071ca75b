package certs_test

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/fusioncommerce/fusion/internal/platform/certs"
	"github.com/fusioncommerce/fusion/internal/platform/testkit/certkit"
)

var _ = Describe("a certificate", func() {
	var (
		authority *certkit.Authority
		said      *gbytes.Buffer
		later     atomic.Int64
	)
	now := func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	open := func(certFile, keyFile string) (*certs.Pair, error) {
		return certs.Open(certFile, keyFile, now, slog.New(slog.NewTextHandler(said, nil)))
	}
	// after is what is shown when the files have been looked at again.
	after := func(p *certs.Pair) *tls.Certificate {
		later.Add(int64(2 * time.Second))
		return p.Current()
	}

	BeforeEach(func() {
		authority, said = certkit.New(), gbytes.NewBuffer()
		later.Store(0)
	})

	It("is read again when its files change", func() {
		p, err := open(authority.Issue("shop", "shop.example", time.Hour))
		Expect(err).NotTo(HaveOccurred())
		first := p.Current()
		Expect(after(p)).To(BeIdenticalTo(first))
		authority.Issue("shop", "shop.example", 2*time.Hour)
		second := after(p)
		Expect(second.Leaf.SerialNumber).NotTo(Equal(first.Leaf.SerialNumber))
		Expect(said).To(gbytes.Say("read again"))
		Expect(after(p)).To(BeIdenticalTo(second))
	})

	DescribeTable("stays the one it was when the new one", func(spoil func(certFile, keyFile string), why string) {
		certFile, keyFile := authority.Issue("shop", "shop.example", time.Hour)
		p, err := open(certFile, keyFile)
		Expect(err).NotTo(HaveOccurred())
		first := p.Current()
		spoil(certFile, keyFile)
		Expect(after(p)).To(BeIdenticalTo(first))
		Expect(said).To(gbytes.Say("the one before stays.*" + why))
		authority.Issue("shop", "shop.example", 2*time.Hour)
		Expect(after(p).Leaf.SerialNumber).NotTo(Equal(first.Leaf.SerialNumber), "a good one is taken after that")
	},
		Entry("is none", func(certFile, _ string) { Expect(os.WriteFile(certFile, []byte("soon"), 0o600)).To(Succeed()) }, "failed to find any PEM data"),
		Entry("is gone", func(certFile, _ string) { Expect(os.Remove(certFile)).To(Succeed()) }, "no such file"),
		Entry("has another key", func(_, keyFile string) {
			_, other := authority.Issue("other", "shop.example", time.Hour)
			Expect(os.Rename(other, keyFile)).To(Succeed())
		}, "does not match"),
		Entry("has expired", func(string, string) { authority.Issue("shop", "shop.example", -time.Minute) }, "has expired"),
	)

	DescribeTable("cannot be used when the start finds", func(spoil func(certFile, keyFile string)) {
		certFile, keyFile := authority.Issue("shop", "shop.example", time.Hour)
		spoil(certFile, keyFile)
		_, err := open(certFile, keyFile)
		Expect(err).To(MatchError(ContainSubstring("shop.")))
	},
		Entry("none", func(certFile, _ string) { Expect(os.Remove(certFile)).To(Succeed()) }),
		Entry("no key", func(_, keyFile string) { Expect(os.Remove(keyFile)).To(Succeed()) }),
		Entry("another's key", func(_, keyFile string) {
			_, other := authority.Issue("other", "shop.example", time.Hour)
			Expect(os.Rename(other, keyFile)).To(Succeed())
		}),
	)

	It("of an authority has to be there", func() {
		_, keyFile := authority.Issue("shop", "shop.example", time.Hour)
		_, err := certs.Authorities(keyFile)
		Expect(err).To(MatchError(certs.ErrNone))
		pool, err := certs.Authorities(authority.File)
		Expect(err).NotTo(HaveOccurred())
		Expect(pool.Equal(authority.Pool())).To(BeTrue())
	})
})
