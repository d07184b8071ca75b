package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

//go:embed permissions.md
var aboutPermissions string

func (p *program) permissionsCommand() *cli.Command {
	return leaf("permissions", "Print who may call what, without a database", "", func(_ context.Context, cmd *cli.Command) error {
		a, err := p.blueprint()
		if err != nil {
			return err
		}
		defer func() { _ = a.Close() }() // it was never connected
		matrix := accessOf(a.API().Routes(), callers())
		return p.show(cmd, matrix, func(w io.Writer) { _, _ = io.WriteString(w, matrix.markdown()) })
	}, jsonFlag())
}

// caller is a kind of those who ask.
type caller struct {
	name string
	id   identity.Identity
}

// callers are the columns of the matrix: those that every shop has.
func callers() []caller {
	list := []caller{
		{"anybody", identity.Identity{Tenant: identity.DefaultTenant, Actor: identity.Anonymous}},
		{"publishable key", identity.Identity{Tenant: identity.DefaultTenant, Permissions: identity.Storefront()}},
		{"service", identity.Service(identity.DefaultTenant)},
	}
	for _, role := range identity.Roles() {
		permissions, _ := identity.RolePermissions(role)
		id := identity.Identity{Tenant: identity.DefaultTenant, Permissions: permissions}
		if role == identity.Customer {
			id.Customer = uuid.Max.String()
		}
		list = append(list, caller{role, id})
	}
	return list
}

// matrix is who may call what.
type matrix struct {
	Callers []string       `json:"callers"`
	Routes  []matrixOfCall `json:"routes"`
}

type matrixOfCall struct {
	Method     string            `json:"method"`
	Path       string            `json:"path"`
	Permission string            `json:"permission"`
	Access     map[string]string `json:"access"`
}

func accessOf(routes []httpx.Route, callers []caller) matrix {
	var m matrix
	for _, c := range callers {
		m.Callers = append(m.Callers, c.name)
	}
	for _, r := range routes {
		call := matrixOfCall{r.Method, r.Path, r.Permission, map[string]string{}}
		for _, c := range callers {
			call.Access[c.name] = map[httpx.Access]string{httpx.FullAccess: "yes", httpx.OwnAccess: "own", httpx.NoAccess: "no"}[r.Access(c.id)]
		}
		m.Routes = append(m.Routes, call)
	}
	return m
}

// markdown is the page of the documentation.
func (m matrix) markdown() string {
	var b strings.Builder
	b.WriteString(aboutPermissions)
	b.WriteString("\n## The roles that every shop has\n\n| role | permissions |\n| --- | --- |\n")
	for _, role := range identity.Roles() {
		permissions, _ := identity.RolePermissions(role)
		fmt.Fprintf(&b, "| %s | `%s` |\n", role, strings.Join(slices.Sorted(slices.Values(permissions)), "` `"))
	}
	b.WriteString("\n## Who may call what\n\n| call | permission | " + strings.Join(m.Callers, " | ") + " |\n| --- | ---" + strings.Repeat(" | ---", len(m.Callers)) + " |\n")
	for _, r := range m.Routes {
		fmt.Fprintf(&b, "| `%s %s` | `%s` |", r.Method, r.Path, r.Permission)
		for _, name := range m.Callers {
			b.WriteString(" " + r.Access[name] + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}
