package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fusioncommerce/fusion/internal/catalog"
	"github.com/fusioncommerce/fusion/internal/groupbuy"
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
		groupbuy.New(k, products),
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

var errNoModule = errors.New("there is no module")

// chosen are the names of the modules that a process runs; none named means all.
func chosen(names []string) ([]string, error) {
	all := moduleNames()
	for _, n := range names {
		if !slices.Contains(all, n) {
			return nil, fmt.Errorf("%w %s; the modules are %s", errNoModule, n, strings.Join(all, ", "))
		}
	}
	if len(names) == 0 {
		return all, nil
	}
	return slices.DeleteFunc(all, func(n string) bool { return !slices.Contains(names, n) }), nil
}

// withData adds the modules whose data these read through their interfaces: they need not
// run in this process, but their schema has to be there.
func withData(names []string) []string {
	return slices.DeleteFunc(moduleNames(), func(n string) bool {
		read := n == "catalog" && (slices.Contains(names, "orders") || slices.Contains(names, "groupbuy")) // what products cost
		return !read && !slices.Contains(names, n)
	})
}

// selected is the part of the modules that a process runs.
func selected(names []string) func(app.Kit) []app.Module {
	return func(k app.Kit) []app.Module {
		return slices.DeleteFunc(modules(k), func(m app.Module) bool { return !slices.Contains(names, m.Name()) })
	}
}
