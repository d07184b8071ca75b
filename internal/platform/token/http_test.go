package token_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/platform/token"
)

// door is a module that lets in who shows a good token, and says whom it let in.
type door struct{ tokens *token.Tokens }

func (door) Name() string { return "door" }

func (d door) Mount(on app.Mount) {
	on.Accept(d)
	httpx.Handle(on.API, httpx.Route{Method: http.MethodGet, Path: "/v1/whoami", ID: "whoami", Permission: httpx.Public}, func(ctx context.Context, _ *struct{}) (guest, error) {
		id, err := identity.From(ctx)
		return guest{id.Actor, id.Tenant.String()}, err
	})
}

func (door) Recognises(raw string) bool {
	_, ok := token.Looks(raw)
	return ok
}

func (d door) Authenticate(ctx context.Context, raw string) (identity.Identity, bool, error) {
	c, err := d.tokens.Verify(ctx, raw)
	if errors.Is(err, token.ErrInvalid) {
		return identity.Identity{}, false, nil
	}
	return identity.Identity{Tenant: c.Tenant, Actor: "user:" + c.Account.String(), Session: c.Session}, err == nil, err
}

type guest struct {
	Actor  string `json:"actor"`
	Tenant string `json:"tenant"`
}

var _ = Describe("a request with a token", Ordered, func() {
	var (
		i      *installation
		shop   *testkit.Shop
		tokens *token.Tokens
	)
	BeforeAll(func() {
		i = install()
		shop = testkit.Start(i.database, app.Options{Clock: i.wrist.Now}, func(k app.Kit) []app.Module {
			tokens = k.Tokens
			return []app.Module{door{k.Tokens}}
		}).With("")
	})
	said := func(raw ...string) testkit.Response {
		GinkgoHelper()
		r, err := http.NewRequest(http.MethodGet, shop.URL+"/v1/whoami", nil)
		Expect(err).NotTo(HaveOccurred())
		r.Header.Set("X-Request-Id", "the-same")
		for _, one := range raw {
			r.Header.Add("Authorization", "Bearer "+one)
		}
		return shop.Do(r)
	}

	// member is somebody of the shop.
	member := func() token.Claims {
		c := somebody()
		c.Tenant = shop.Tenant
		return c
	}

	It("is the person's", func() {
		c := member()
		Expect(said(issue(tokens, c)).JSON()).To(Equal(object{"actor": "user:" + c.Account.String(), "tenant": c.Tenant.String()}))
	})

	It("is refused with the same words whatever is wrong with the token", func() {
		raw := issue(tokens, member())
		key := i.key()
		f := forgeries{raw: raw, header: part(raw, 0), claims: part(raw, 1), ours: by(key), key: key, public: key.Public(), now: i.wrist.Now().Unix()}
		words := said("nonsense")
		Expect(words.Status).To(Equal(http.StatusUnauthorized))
		Expect(words.Code()).To(Equal("invalid_credentials"))
		for what, forged := range corpus {
			// Each kind of a changed bit has been tried; a few more do over the wire.
			for _, raw := range some(forged(f)) {
				if strings.TrimSpace(raw) == f.raw || strings.ContainsAny(raw, "\n\x00") {
					continue // that is the token, or what HTTP does not carry
				}
				answer := said(raw)
				if len(raw) > 12<<10 {
					Expect(answer.Status).To(Equal(http.StatusRequestHeaderFieldsTooLarge))
					continue
				}
				Expect(answer.Status).To(Equal(http.StatusUnauthorized), "%s: %.200s", what, raw)
				Expect(string(answer.Raw)).To(Equal(string(words.Raw)), what)
				Expect(answer.Header).To(HaveKeyWithValue("Content-Type", []string{"application/problem+json"}))
			}
		}
		Expect(said(raw).Status).To(Equal(http.StatusOK))
	})

	It("is refused when it brings two", func() {
		ours, theirs := issue(tokens, member()), issue(tokens, member())
		Expect(said(ours, theirs).Code()).To(Equal("invalid_credentials"))
		Expect(said(ours, ours).Code()).To(Equal("invalid_credentials"))
		Expect(said(ours + ", Bearer " + theirs).Code()).To(Equal("invalid_credentials"))
	})

	It("can be checked by others, with the key set that is published", func() {
		raw := issue(tokens, member())
		answer := shop.Get("/.well-known/jwks.json")
		Expect(answer.Status).To(Equal(http.StatusOK))
		Expect(answer.Header.Get("Cache-Control")).To(Equal("public, max-age=300"))
		set, _ := answer.JSON()["keys"].([]any)
		Expect(set).To(HaveLen(1))
		published, _ := set[0].(object)
		Expect(published).To(Equal(object{
			"kid": kidOf(raw), "use": "sig", "alg": "EdDSA", "kty": "OKP", "crv": "Ed25519", "x": published["x"],
		}), "and nothing of the private half")
		x, err := base64.RawURLEncoding.DecodeString(published["x"].(string))
		Expect(err).NotTo(HaveOccurred())
		at := strings.LastIndexByte(raw, '.')
		signature, err := base64.RawURLEncoding.DecodeString(raw[at+1:])
		Expect(err).NotTo(HaveOccurred())
		Expect(ed25519.Verify(x, []byte(raw[:at]), signature)).To(BeTrue())
	})
})

// some of many.
func some(all []string) (few []string) {
	step := max(1, len(all)/12)
	for n := 0; n < len(all); n += step {
		few = append(few, all[n])
	}
	return few
}
