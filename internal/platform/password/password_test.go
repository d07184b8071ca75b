package password_test

import (
	"context"
	"errors"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/password"
)

var _ = Describe("a password", func() {
	var (
		ctx   = context.Background()
		light = password.Settings{Passes: 1, MemoryKiB: 64, Threads: 1}
		h     *password.Hasher
	)
	BeforeEach(func() { h = password.New(light) })

	verify := func(h *password.Hasher, hash, plain string) (ok, outdated bool) {
		GinkgoHelper()
		ok, outdated, err := h.Verify(ctx, hash, plain)
		Expect(err).NotTo(HaveOccurred())
		return ok, outdated
	}

	It("is kept as a PHC string of Argon2id, with a salt of its own", func() {
		first, err := password.New(password.Default).Hash(ctx, "correct horse")
		Expect(err).NotTo(HaveOccurred())
		Expect(first).To(MatchRegexp(`^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`))
		again, err := password.New(password.Default).Hash(ctx, "correct horse")
		Expect(err).NotTo(HaveOccurred())
		Expect(again).NotTo(Equal(first))
	})

	It("is right when it is the same, to the last character", func() {
		long := strings.Repeat("ü", 127)
		hash, err := h.Hash(ctx, long+"a")
		Expect(err).NotTo(HaveOccurred())
		for plain, right := range map[string]bool{long + "a": true, long + "b": false, long: false, long + "a ": false, "": false} {
			ok, outdated := verify(h, hash, plain)
			Expect(ok).To(Equal(right))
			Expect(outdated).To(BeFalse())
		}
	})

	// Argon2id of the reference implementation: echo -n "password" | argon2 somesalt -id -v 13 -t 2 -k 256 -p 1
	It("is checked as others do", func() {
		ok, outdated := verify(h, "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password")
		Expect(ok).To(BeTrue())
		Expect(outdated).To(BeTrue())
	})

	It("tells when it was hashed with other settings than today's", func() {
		hash, err := h.Hash(ctx, "correct horse")
		Expect(err).NotTo(HaveOccurred())
		ok, outdated := verify(password.New(password.Settings{Passes: 2, MemoryKiB: 64, Threads: 1}), hash, "correct horse")
		Expect(ok).To(BeTrue())
		Expect(outdated).To(BeTrue())
	})

	It("of nobody is never right", func() {
		for _, plain := range []string{"", "password", strings.Repeat("\x00", 32)} {
			ok, _ := verify(h, "", plain)
			Expect(ok).To(BeFalse())
		}
	})

	DescribeTable("is not compared with what is no hash", func(hash string) {
		_, _, err := h.Verify(ctx, hash, "correct horse")
		Expect(err).To(HaveOccurred())
		_, declared := errors.AsType[*fault.Error](err)
		Expect(declared).To(BeFalse())
	},
		Entry("a word", "secret"), Entry("another kind", "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$YWFh"), Entry("another version", "$argon2id$v=16$m=64,t=1,p=1$c29tZXNhbHQ$YWFh"),
		Entry("no cost", "$argon2id$v=19$m=64,t=0,p=1$c29tZXNhbHQ$YWFh"), Entry("no sum", "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$"), Entry("no base64", "$argon2id$v=19$m=64,t=1,p=1$???$YWFh"),
	)

	It("waits with others, and is refused beyond them", func() {
		// What is under way takes long enough for all others to come.
		slow := password.New(password.Settings{Passes: 4, MemoryKiB: 32 << 10, Threads: 1})
		var all sync.WaitGroup
		results := make(chan error, 40)
		start := make(chan struct{})
		for range cap(results) {
			all.Go(func() {
				<-start
				_, err := slow.Hash(ctx, "correct horse")
				results <- err
			})
		}
		close(start)
		all.Wait()
		close(results)
		made, refused := 0, 0
		for err := range results {
			if err == nil {
				made++
				continue
			}
			Expect(err).To(MatchError(password.ErrOverloaded))
			Expect(fault.From(err).RetryAfter).To(BeNumerically(">", 0))
			refused++
		}
		Expect(made).To(BeNumerically(">=", 18))
		Expect(refused).To(BeNumerically(">", 0))
		_, err := slow.Hash(ctx, "correct horse")
		Expect(err).NotTo(HaveOccurred(), "those who were refused hold no place")
	})

	DescribeTable("is not accepted", func(plain, code string) {
		Expect(password.Flaws("/password", plain)).To(ConsistOf(And(HaveField("Pointer", "/password"), HaveField("Code", code))))
	},
		Entry("with seven characters", "ünïcødé", "min_length"), Entry("with 129", strings.Repeat("ü", 129), "max_length"),
		Entry("when it is tried first", "password", "common_password"), Entry("however it is written", "PassWord123", "common_password"), Entry("a row of keys", "qwertyuiop", "common_password"),
	)

	DescribeTable("is accepted", func(plain string) { Expect(password.Flaws("/password", plain)).To(BeEmpty()) },
		Entry("with eight characters", "ünïcødéß"), Entry("with 128", strings.Repeat("ü", 128)), Entry("without digits", "zwetschgendatschi"), Entry("with blanks", "  a b c  "),
	)
})
