package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fusioncommerce/fusion/internal/catalog"
	"github.com/fusioncommerce/fusion/internal/inventory"
	"github.com/fusioncommerce/fusion/internal/orders"
	"github.com/fusioncommerce/fusion/internal/platform/app"
)

// modules is the one list of what this program is made of.
func modules(k app.Kit) []app.Module {
	products := catalog.New(k)
	return []app.Module{
		products,
		inventory.New(k),
		orders.New(k, products),
	}
}

// moduleNames in the order of their dependencies, which is the order of migration.
func moduleNames() []string {
	var names []string
	for _, m := range modules(app.Kit{}) {
		names = append(names, m.Name())
	}
	return names
}

// selected is the part of the modules that a process runs; none named means all.
func selected(names []string) (func(app.Kit) []app.Module, error) {
	for _, n := range names {
		if !slices.Contains(moduleNames(), n) {
			return nil, fmt.Errorf("there is no module %s; the modules are %s", n, strings.Join(moduleNames(), ", "))
		}
	}
	return func(k app.Kit) []app.Module {
		return slices.DeleteFunc(modules(k), func(m app.Module) bool { return len(names) > 0 && !slices.Contains(names, m.Name()) })
	}, nil
}
