package app

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

type routeResponse struct {
	Method string `json:"method" example:"POST"`
	Path   string `json:"path" example:"/v1/orders"`
	Own    bool   `json:"own" doc:"Customers need no permission for what is their own"`
}

type permissionResponse struct {
	Permission string          `json:"permission" example:"orders:place"`
	Routes     []routeResponse `json:"routes" doc:"Those that ask for it; none when it only widens what others do"`
}

// permissionRoutes tell people who make roles and keys what there is to grant. It is no
// secret: the OpenAPI document says the same.
func permissionRoutes(api *httpx.API) {
	httpx.Handle(api.Group("Platform"), httpx.Route{
		Method: http.MethodGet, Path: "/v1/permissions", ID: "listPermissions", Summary: "List permissions", Permission: httpx.Public,
		Description: "Every permission that a role or a key can hold, with the routes that ask for it. `*` is all of them.",
	}, func(context.Context, *struct{}) (httpx.List[permissionResponse], error) {
		asking := map[string][]routeResponse{}
		for _, r := range api.Routes() {
			asking[r.Permission] = append(asking[r.Permission], routeResponse{r.Method, r.Path, r.Own})
		}
		out := httpx.List[permissionResponse]{Data: []permissionResponse{}}
		for _, p := range slices.Sorted(maps.Keys(api.Permissions())) {
			out.Data = append(out.Data, permissionResponse{p, append([]routeResponse{}, asking[p]...)})
		}
		return out, nil
	})
}
