// Command eventdocs renders docs/events.md from the schemas of the events and their
// goldens. It runs in the root of the repository and writes to the file that it is
// given, or else prints:
//
//	go run ./internal/tools/eventdocs docs/events.md
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/checkout/checkoutapi"
	"github.com/fusioncommerce/fusion/internal/groupbuy/groupbuyapi"
	"github.com/fusioncommerce/fusion/internal/identity/identityapi"
	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/payments/paymentsapi"
	"github.com/fusioncommerce/fusion/internal/platform/eventschema"
	"github.com/fusioncommerce/fusion/internal/platform/tenantapi"
	"github.com/fusioncommerce/fusion/internal/pricing/pricingapi"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

// modules stand in the order in which a purchase meets them.
var modules = []eventschema.Module{
	{Name: "catalog", Schemas: catalogapi.Schemas},
	{Name: "checkout", Schemas: checkoutapi.Schemas},
	{Name: "pricing", Schemas: pricingapi.Schemas},
	{Name: "orders", Schemas: ordersapi.Schemas},
	{Name: "inventory", Schemas: inventoryapi.Schemas},
	{Name: "groupbuy", Schemas: groupbuyapi.Schemas},
	{Name: "payments", Schemas: paymentsapi.Schemas},
	{Name: "shipping", Schemas: shippingapi.Schemas},
	{Name: "identity", Schemas: identityapi.Schemas},
	{Name: "platform", Schemas: tenantapi.Schemas},
}

// contracts are the folders in which the modules keep their schemas and goldens.
var contracts = map[string]string{"platform": "platform/tenantapi"}

func contractOf(m eventschema.Module) string {
	if folder, ok := contracts[m.Name]; ok {
		return filepath.Join("internal", folder)
	}
	return filepath.Join("internal", m.Name, m.Name+"api")
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "eventdocs:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	page, err := render(".")
	if err != nil {
		return err
	}
	if len(args) == 0 {
		_, err = os.Stdout.WriteString(page)
		return err
	}
	// A redirect would leave an empty page behind when rendering fails.
	return os.WriteFile(args[0], []byte(page), 0o644) //nolint:gosec // a page that everybody may read
}

// render gives the page; root is the root of the repository, where the goldens lie.
func render(root string) (string, error) {
	facts, err := eventschema.Load(modules...)
	if err != nil {
		return "", err
	}
	goldens := make([]fs.FS, len(modules))
	for i, m := range modules {
		goldens[i] = os.DirFS(filepath.Join(root, contractOf(m), "testdata"))
	}
	return facts.Markdown(goldens...), nil
}
