package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/fusioncommerce/fusion/internal/platform/config"
)

var _ = Describe("a secret", func() {
	// holder reaches the secrets through an unexported field, where fmt may not
	// call their methods.
	type holder struct{ loaded config.Loaded }

	var all []any
	BeforeEach(func() {
		loaded := load(world{env: []string{"FUSION_DATABASE_URL=" + dsn, "FUSION_BOOTSTRAP_KEY=" + password}})
		key := loaded.Config.Bootstrap.Key
		Expect(key.Reveal()).To(Equal(password))
		all = []any{key, &key, loaded.Config, &loaded.Config, loaded, &loaded, holder{loaded}, &holder{loaded}, []config.Secret{key}, loaded.Rows()}
	})

	It("is never printed", func() {
		for _, v := range all {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%08.3f", "%p", "%T"} {
				Expect(fmt.Sprintf(verb, v)).NotTo(Or(ContainSubstring(password), ContainSubstring(fmt.Sprintf("%x", password)), ContainSubstring(fmt.Sprintf("%X", password))), "%s of %T", verb, v)
			}
			Expect(fmt.Sprint(v)+fmt.Sprintln(v)).NotTo(ContainSubstring(password), "%T", v)
		}
	})

	It("is never encoded", func() {
		for _, v := range all {
			asJSON, err := json.Marshal(v)
			Expect(err).NotTo(HaveOccurred())
			Expect(string(asJSON)).NotTo(ContainSubstring(password), "%T", v)
			asYAML, err := yaml.Marshal(v)
			Expect(err).NotTo(HaveOccurred())
			Expect(string(asYAML)).NotTo(ContainSubstring(password), "%T", v)
		}
	})

	It("is never logged", func() {
		var out bytes.Buffer
		for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
			for _, v := range all {
				slog.New(h).Info("start", "it", v)
			}
		}
		Expect(out.String()).To(And(ContainSubstring("***"), Not(ContainSubstring(password))))
	})

	It("shows three stars, whatever its length", func() {
		s := config.NewSecret(password)
		text, err := s.MarshalText()
		Expect(err).NotTo(HaveOccurred())
		encoded, err := json.Marshal(map[config.Secret]config.Secret{s: s})
		Expect(err).NotTo(HaveOccurred())
		Expect([]string{s.String(), s.GoString(), string(text), s.LogValue().String(), fmt.Sprintf("%#v", s)}).To(HaveEach("***"))
		Expect(encoded).To(MatchJSON(`{"***":"***"}`))
	})

	It("shows nothing when it is empty", func() {
		s := config.NewSecret("")
		Expect(s).To(Equal(config.Secret{}))
		Expect(s.IsZero()).To(BeTrue())
		Expect(s.Reveal() + s.String() + s.GoString() + s.LogValue().String() + fmt.Sprintf("%#v", s)).To(BeEmpty())
		Expect(json.Marshal(s)).To(MatchJSON(`""`))
	})
})

var _ = Describe("a connection string", func() {
	DescribeTable("is shown without its passwords", func(dsn, want string) {
		Expect(config.RedactDSN(dsn)).To(Equal(want))
	},
		Entry("nothing", "", ""),
		Entry("a URL", dsn, shown),
		Entry("a URL with options", "postgresql://u:p@db:5432/shop?sslmode=require&connect_timeout=5", "postgresql://u:***@db:5432/shop?sslmode=require&connect_timeout=5"),
		Entry("an escaped password", "postgres://u:p%40ss%2Fword@db/shop", "postgres://u:***@db/shop"),
		Entry("a password with a colon", "postgres://u:a:b@db/shop", "postgres://u:***@db/shop"),
		Entry("no password", "postgres://u@db/shop", "postgres://u@db/shop"),
		Entry("no user", "postgres://db/shop", "postgres://db/shop"),
		Entry("a socket", "postgres:///shop?host=/run/postgresql", "postgres:///shop?host=/run/postgresql"),
		Entry("several hosts", "postgres://u:p@a:5432,b:5433,[::1]:5434/shop", "postgres://u:***@a:5432,b:5433,[::1]:5434/shop"),
		Entry("a password as an option", "postgres://db/shop?user=u&password=p&SSLPassword=q#x", "postgres://db/shop?user=u&password=***&SSLPassword=***#x"),
		Entry("a disguised option", "postgres://db/shop?pass%77ord=p", "postgres://db/shop?pass%77ord=***"),
		Entry("a password that was not escaped: @", "postgres://u:p@ss@db/shop", "postgres://***"),
		Entry("a password that was not escaped: /", "postgres://u:12/34@db/shop", "postgres://***"),
		Entry("a password that was not escaped: #", "postgres://u:12#34@db/shop", "postgres://***"),
		Entry("a password that was not escaped: ?", "postgres://u:12?34@db/shop", "postgres://***"),
		Entry("a host that was forgotten", "postgres://u:secret/shop", "postgres://***"),
		Entry("pairs", "host=db user=u password=p dbname=shop", "host=db user=u password=*** dbname=shop"),
		Entry("pairs in any case", "host=db PASSWORD=p sslpassword=q", "host=db PASSWORD=*** sslpassword=***"),
		Entry("quoted pairs", `host=db password='it\'s secret' user='a b'`, `host=db password=*** user='a b'`),
		Entry("pairs with an escaped blank", `password=a\ b host=db`, `password=*** host=db`),
		Entry("pairs with blanks", "  host = db   password = p  ", "host=db password=***"),
		Entry("an empty password", "host=db password='' user=u", "host=db password=*** user=u"),
		Entry("pairs with something like a URL", "options='x://y' password=p", "options='x://y' password=***"),
		Entry("a quote without an end", "host=db password='p", "***"),
		Entry("a text", password, "***"),
		Entry("pairs with a stray word", "password=a secret host=db", "***"),
	)

	It("gives no password away, escaped or not", func() {
		noise := rapid.StringMatching(`[a1:/?#@&=%' \\\[\],]{0,4}`)
		rapid.Check(GinkgoT(), func(t *rapid.T) {
			word := noise.Draw(t, "before") + password + noise.Draw(t, "after")
			quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(word)
			for _, dsn := range []string{
				"postgres://fusion:" + word + "@db:5432/shop?sslmode=require",
				"postgres://fusion:" + url.QueryEscape(word) + "@db/shop",
				"postgres://db/shop?user=fusion&password=" + url.QueryEscape(word),
				"host=db password='" + quoted + "' user=fusion",
			} {
				if shown := config.RedactDSN(dsn); strings.Contains(shown, password) {
					t.Fatalf("%s is shown as %s", dsn, shown)
				}
			}
		})
	})
})
