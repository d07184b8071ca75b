package httpx

import (
	"context"
	"embed"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

//go:embed docs/index.html docs/scalar.js.gz
var docs embed.FS

// platformRoutes are those of no module: health, the document and its page.
func (s *Server) platformRoutes() {
	Handle(s.api.Group("Platform"), Route{
		Method: http.MethodGet, Path: "/health", ID: "health", Limit: Unlimited, Summary: "Whether the program answers", Permission: Public,
	}, func(context.Context, *struct{}) (Health, error) { return Health{"ok"}, nil })
	Handle(s.api.Group("Platform"), Route{
		Method: http.MethodGet, Path: "/livez", ID: "livez", Limit: Unlimited, Summary: "Whether the process should be kept", Permission: Public,
	}, func(context.Context, *struct{}) (Health, error) { return Health{"ok"}, nil })
	Handle(s.api.Group("Platform"), Route{
		Method: http.MethodGet, Path: "/readyz", ID: "readyz", Limit: Unlimited, Summary: "Whether requests should be sent here", Permission: Public,
		Description: "Names each dependency and its state.", Refusals: []*fault.Error{errNotReady, errDraining},
	}, s.ready)

	document := sync.OnceValues(func() ([]byte, error) { return json.Marshal(s.api.Spec()) })
	s.echo.GET("/openapi.json", func(c echo.Context) error {
		body, err := document()
		if err != nil {
			return err
		}
		return c.Blob(http.StatusOK, "application/json", body)
	})
	s.echo.GET("/docs", func(c echo.Context) error {
		c.Response().Header().Set("Content-Security-Policy", docsPolicy)
		return s.doc(c, "docs/index.html", "text/html; charset=utf-8", "")
	})
	s.echo.GET("/docs/scalar.js", func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", "public, max-age=86400")
		return s.doc(c, "docs/scalar.js.gz", "text/javascript; charset=utf-8", "gzip")
	})
	s.echo.GET("/", func(c echo.Context) error { return c.Redirect(http.StatusFound, "/docs") })
}

func (s *Server) doc(c echo.Context, name, media, encoding string) error {
	body, err := docs.ReadFile(name)
	if err != nil {
		return err
	}
	if encoding != "" {
		c.Response().Header().Set("Content-Encoding", encoding)
	}
	return c.Blob(http.StatusOK, media, body)
}

// Health is the answer of the probes.
type Health struct {
	Status string `json:"status" enum:"ok"`
}

// Readiness names each dependency with its state.
type Readiness struct {
	Status string            `json:"status" enum:"ok"`
	Checks map[string]string `json:"checks" doc:"ok, or what is wrong"`
}

// Dependency is something that the program stands on.
type Dependency struct {
	Name string
	Err  error // nil: well
	// Dispensable: requests are answered without it; what needs it waits.
	Dispensable bool
}

var (
	errNotReady = fault.New(fault.Unavailable, "not_ready", "Not ready for requests.").After(1)
	errDraining = fault.New(fault.Unavailable, "draining", "The program is stopping: send requests elsewhere.").After(1)
)

// readyTimeout is shorter than a probe's patience.
const readyTimeout = 2 * time.Second

func (s *Server) ready(ctx context.Context, _ *struct{}) (Readiness, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	checks, bad := map[string]string{}, []string{}
	for _, d := range s.opt.Ready(ctx) {
		checks[d.Name] = "ok"
		if d.Err != nil {
			checks[d.Name] = "unavailable"
			if !d.Dispensable {
				s.log.WarnContext(ctx, "not ready", "dependency", d.Name, "err", d.Err)
				bad = append(bad, d.Name)
			}
		}
	}
	if s.isDraining() {
		return Readiness{}, errDraining.With("checks", checks)
	}
	if len(bad) > 0 {
		slices.Sort(bad)
		return Readiness{}, errNotReady.Saying("Not ready for requests: %s.", strings.Join(bad, ", ")).With("checks", checks)
	}
	return Readiness{"ok", checks}, nil
}
