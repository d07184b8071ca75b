package identityclient_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	accounts "github.com/fusioncommerce/fusion/internal/identity"
	"github.com/fusioncommerce/fusion/internal/identity/identityclient"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

const shared = "what-the-deployments-of-the-spec-share"

type object = map[string]any

var _ = Describe("a deployment without the accounts", func() {
	var (
		people, rest *testkit.Shop
		offset       atomic.Int64
		signedIn     string
		email        string
	)
	now := func() time.Time { return clock.System().Add(time.Duration(offset.Load())) }

	BeforeEach(func() {
		offset.Store(0)
		people = testkit.Start(testkit.Shared(), app.Options{ServiceKey: shared}, func(k app.Kit) []app.Module { return []app.Module{accounts.New(k)} })
		rest = testkit.Start(testkit.Shared(), app.Options{}, func(k app.Kit) []app.Module {
			return []app.Module{elsewhere{identityclient.New(people.URL+"/", shared, nil, now)}}
		})
		email = "ana." + uuid.NewString() + "@example.com"
		Expect(people.Post("/v1/auth/register", object{"email": email, "password": "correct horse battery"}).Status).To(Equal(http.StatusAccepted))
		signedIn = people.Post("/v1/auth/login", object{"email": email, "password": "correct horse battery"}).JSON()["accessToken"].(string)
	})
	// status of a call that needs a permission that customers do not have: who is known and
	// may not is told so.
	code := func(credential string) string {
		GinkgoHelper()
		return rest.With(credential).Get("/v1/keys").Code()
	}

	It("lets in who has signed in at the one with them, as who they are", func() {
		Expect(code(signedIn)).To(Equal("forbidden"))
		Expect(code(signedIn[:len(signedIn)-4])).To(Equal("invalid_credentials"))
		Expect(code("eyJhbGciOiJub25lIn0.eyJzdWIiOiJvd25lciJ9.")).To(Equal("invalid_credentials"))
		Expect(rest.Get("/v1/keys").Status).To(Equal(http.StatusOK), "its own credentials are none of the other's business")
	})

	It("hears of a sign-out within two seconds", func() {
		Expect(code(signedIn)).To(Equal("forbidden"))
		Expect(people.With(signedIn).Post("/v1/auth/logout", nil).Status).To(Equal(http.StatusNoContent))
		offset.Add(int64(2*time.Second) - int64(time.Second))
		Expect(code(signedIn)).To(Equal("forbidden"), "busy callers cost no question")
		offset.Add(int64(time.Second))
		Expect(code(signedIn)).To(Equal("invalid_credentials"))
	})

	DescribeTable("does not guess when the other one", func(answer http.HandlerFunc) {
		other := httptest.NewServer(answer)
		DeferCleanup(other.Close)
		c := identityclient.New(other.URL, shared, nil, now)
		_, ok, err := c.Authenticate(context.Background(), signedIn)
		Expect(err).To(MatchError(identityclient.ErrUnavailable))
		Expect(ok).To(BeFalse())
	},
		Entry("fails", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }),
		Entry("does not know us", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }),
		Entry("says something else", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"status":"ok"}`)) }),
		Entry("names nobody", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"active":true}`)) }),
		Entry("answers with a page", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`<html>`)) }),
	)

	It("says 503 to who has signed in while the other one is away, and serves everybody else", func() {
		gone := httptest.NewServer(http.NotFoundHandler())
		gone.Close()
		alone := testkit.Start(testkit.Shared(), app.Options{}, func(k app.Kit) []app.Module {
			return []app.Module{elsewhere{identityclient.New(gone.URL, shared, nil, now)}}
		})
		r := alone.With(signedIn).Get("/v1/keys")
		Expect(r.Status).To(Equal(http.StatusServiceUnavailable))
		Expect(r.Code()).To(Equal("dependency_unavailable"))
		Expect(r.Header.Get("Retry-After")).NotTo(BeEmpty())
		Expect(alone.Get("/v1/keys").Status).To(Equal(http.StatusOK))
	})
})

// elsewhere is a module of a deployment whose accounts another one has.
type elsewhere struct{ people *identityclient.Client }

func (elsewhere) Name() string         { return "elsewhere" }
func (e elsewhere) Mount(on app.Mount) { on.Accept(e.people) }
