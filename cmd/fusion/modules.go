package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fusioncommerce/fusion/internal/catalog"
	"github.com/fusioncommerce/fusion/internal/catalog/catalogclient"
	"github.com/fusioncommerce/fusion/internal/checkout"
	"github.com/fusioncommerce/fusion/internal/groupbuy"
	"github.com/fusioncommerce/fusion/internal/identity"
	"github.com/fusioncommerce/fusion/internal/identity/identityclient"
	"github.com/fusioncommerce/fusion/internal/inventory"
	"github.com/fusioncommerce/fusion/internal/orders"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/payments"
	"github.com/fusioncommerce/fusion/internal/payments/inhouse"
	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/payments/stripe"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/config"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/pricing"
	"github.com/fusioncommerce/fusion/internal/shipping"
	parcels "github.com/fusioncommerce/fusion/internal/shipping/carrier"
	"github.com/fusioncommerce/fusion/internal/shipping/easypost"
	"github.com/fusioncommerce/fusion/internal/shipping/shippo"
)

// elsewhere answers for a catalog that this deployment does not have.
type elsewhere interface {
	orders.Offers
	groupbuy.Offers
	shipping.Offers
	pricing.Offers
	checkout.Offers
}

// modules is the one list of what this program is made of.
func modules(k app.Kit, other elsewhere, cfg config.Config) []app.Module {
	products := catalog.New(k)
	if other == nil {
		other = products
	}
	stock, prices := inventory.New(k), pricing.New(k, other)
	placed := orders.New(k, other, ordersapi.Rules{
		UnpaidFor: cfg.Orders.UnpaidFor, OverdueAfter: cfg.Orders.OverdueAfter, RefundUnshippable: cfg.Orders.OnLabelFailure == "refund", HoldAbove: amounts(cfg.Orders.HoldAbove),
	})
	ways := shipping.New(k, other, placed, carriers(k, cfg)...)
	return []app.Module{
		identity.New(k),
		products,
		stock,
		prices,
		ways,
		placed,
		checkout.New(k, other, prices, ways, stock, placed, cfg.Checkout.Hold),
		groupbuy.New(k, other),
		payments.New(k, placed, providers(k, cfg)...),
	}
}

// amounts reads what the configuration has checked.
func amounts(texts []string) (list []money.Amount) {
	for _, t := range texts {
		if a, err := money.Read(t); err == nil {
			list = append(list, a)
		}
	}
	return list
}

// providers move money, beside the one that is always there.
func providers(k app.Kit, cfg config.Config) (list []provider.Provider) {
	list = append(list, stripe.New(cfg.Payments.StripeURL, k.Clock))
	if cfg.Payments.TestProvider {
		list = append(list, inhouse.Test(k.DB))
	}
	return list
}

// carriers sell labels, beside the shop itself, which is always there.
func carriers(k app.Kit, cfg config.Config) []parcels.Carrier {
	if k.Outbound == nil { // nobody but the names is asked for
		return nil
	}
	return []parcels.Carrier{easypost.New(cfg.Shipping.EasyPostURL, k.Outbound), shippo.New(cfg.Shipping.ShippoURL, k.Outbound)}
}

// acquainted introduces to each other those of the modules that this process runs.
func acquainted(list []app.Module) []app.Module {
	var holders []identity.Holder
	var surcharges []orders.Surcharges
	for _, m := range list {
		if h, ok := m.(identity.Holder); ok {
			holders = append(holders, h)
		}
		if s, ok := m.(orders.Surcharges); ok {
			surcharges = append(surcharges, s)
		}
	}
	for _, m := range list {
		if placed, ok := m.(*orders.Module); ok {
			placed.Minds(surcharges...)
		}
	}
	people := peopleOf(list)
	if people == nil {
		return list
	}
	people.Holds(holders...)
	for _, m := range list {
		switch m := m.(type) {
		case *orders.Module:
			m.Knows(people)
		case *checkout.Module:
			m.Knows(people)
		}
	}
	return list
}

// peopleOf is the module that knows people; nil when it runs elsewhere.
func peopleOf(list []app.Module) *identity.Module {
	for _, m := range list {
		if people, ok := m.(*identity.Module); ok {
			return people
		}
	}
	return nil
}

// moduleNames in the order of their dependencies, which is the order of migration.
func moduleNames() []string {
	var names []string
	for _, m := range modules(app.Kit{}, nil, config.Config{}) {
		names = append(names, m.Name())
	}
	return names
}

var (
	errNoModule = errors.New("there is no module")
	errApart    = errors.New("modules are apart that work together")
)

// needs are the modules without which another one cannot be: it changes their data in its
// transactions, or asks what only they know, and nothing carries that to another deployment.
var needs = map[string][]string{
	"checkout": {"inventory", "pricing", "shipping", "orders"},
	"payments": {"orders"},
	"shipping": {"orders"},
}

// chosen are the names of the modules that a process runs; none named means all.
func chosen(names []string) ([]string, error) {
	if len(names) == 0 {
		return moduleNames(), nil
	}
	if err := exist(names); err != nil {
		return nil, err
	}
	missing := func(n string) bool { return !slices.Contains(names, n) }
	for _, n := range names {
		if lacks := slices.DeleteFunc(slices.Clone(needs[n]), func(m string) bool { return !missing(m) }); len(lacks) > 0 {
			return nil, fmt.Errorf("%w: %s needs %s in the same process.\nAdd %[3]s to the modules, or run %[2]s where they are", errApart, n, strings.Join(lacks, ", "))
		}
	}
	return slices.DeleteFunc(moduleNames(), missing), nil
}

func exist(names []string) error {
	all := moduleNames()
	for _, n := range names {
		if !slices.Contains(all, n) {
			return fmt.Errorf("%w %s; the modules are %s", errNoModule, n, strings.Join(all, ", "))
		}
	}
	return nil
}

// asksElsewhere tells whether these modules have their catalog in another deployment.
func asksElsewhere(cfg config.Config, names []string) bool {
	return cfg.Catalog.URL != "" && !slices.Contains(names, "catalog")
}

// peopleElsewhere lets in who has signed in at another deployment. trust is how this process
// knows it.
func peopleElsewhere(cfg config.Config, names []string, trust *tls.Config) []httpx.Authenticator {
	if cfg.Identity.URL == "" || slices.Contains(names, "identity") {
		return nil
	}
	return []httpx.Authenticator{identityclient.New(cfg.Identity.URL, cfg.Service.Key.Reveal(), trust, clock.System)}
}

// reads are the modules whose data others read through their interfaces.
var reads = map[string][]string{
	"catalog": {"orders", "groupbuy", "pricing", "shipping", "checkout"}, // what products cost
}

// withData adds the modules whose data these read: they need not run in this process, but
// their schema has to be there.
func withData(cfg config.Config, names []string) []string {
	return slices.DeleteFunc(moduleNames(), func(n string) bool {
		read := slices.ContainsFunc(names, func(m string) bool { return slices.Contains(reads[n], m) })
		if n == "catalog" && asksElsewhere(cfg, names) {
			read = false
		}
		return !read && !slices.Contains(names, n)
	})
}

// selected is the part of the modules that a process runs. trust is how it knows other
// deployments.
func selected(cfg config.Config, names []string, trust *tls.Config) func(app.Kit) []app.Module {
	var other elsewhere
	if asksElsewhere(cfg, names) {
		other = catalogclient.New(cfg.Catalog.URL, cfg.Service.Key.Reveal(), trust)
	}
	return func(k app.Kit) []app.Module {
		return acquainted(slices.DeleteFunc(modules(k, other, cfg), func(m app.Module) bool { return !slices.Contains(names, m.Name()) }))
	}
}
