package orders

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = DescribeTable("an order that does not cost what it is made of is not kept", Label("db"), func(change func(*ordersapi.Placement), constraint string) {
	svc, ctx := replica(&shelf{}), testkit.As(testkit.NewTenant(testkit.Shared()))
	p := quoted()
	change(&p)
	err := svc.db.InTx(ctx, func(tx *db.Tx) error {
		_, err := (&Module{svc}).Place(ctx, tx, p, true)
		return err
	})
	if constraint == "" {
		Expect(err).NotTo(HaveOccurred())
		return
	}
	Expect(db.Violates(err, constraint)).To(BeTrue(), "%v", err)
},
	Entry("but one that does", func(*ordersapi.Placement) {}, ""),
	Entry("but one on whose prices tax comes", func(p *ordersapi.Placement) {
		p.TaxIncluded, p.Total, p.Lines[0].Total, p.Shipping.Total = false, eur(4140+774), eur(3650+683), eur(490+91)
	}, ""),
	Entry("more", func(p *ordersapi.Placement) { p.Total = eur(4141) }, "orders_total_check"),
	Entry("tax that its prices have in them", func(p *ordersapi.Placement) { p.Total = eur(4140 + 774) }, "orders_total_check"),
	Entry("less for its discount than it is", func(p *ordersapi.Placement) { p.DiscountTotal = eur(101) }, "orders_total_check"),
	Entry("shipping that is not its own", func(p *ordersapi.Placement) { p.Shipping.Total = eur(489) }, "orders_shipping_check"),
)
