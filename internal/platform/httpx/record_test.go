package httpx

import (
	"context"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("a route that shows personal data", func() {
	declared := func(route func(*API)) error {
		s := newSite(Gateway{})
		route(s.API())
		return s.API().Err()
	}
	r := Route{Method: http.MethodGet, Path: "/v1/people", ID: "people", Permission: "people:read", Personal: true}

	It("says of each text that it is asked with whether that is personal", func() {
		Expect(declared(func(a *API) {
			Handle(a, r, func(context.Context, *struct {
				Page
				Name string `query:"name"`
			},
			) (None, error) {
				return None{}, nil
			})
		})).To(MatchError(ContainSubstring("Name does not say whether it is personal")))
		Expect(declared(func(a *API) {
			Handle(a, r, func(context.Context, *struct {
				Page
				Name   string `query:"name" personal:"true"`
				Group  string `query:"group" personal:"false"`
				Status string `query:"status" enum:"a,b"`
				ID     string `query:"id" format:"uuid"`
				Number int    `query:"number"`
			},
			) (None, error) {
				return None{}, nil
			})
		})).To(Succeed())
	})
})
