package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/orders"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

func (p *program) ordersCommand() *cli.Command {
	return group("orders", "See what became of an order",
		leaf("show", "Show an order with its lines, its money, its shipments and each step it took", "NUMBER", p.showOrder, tenantFlag(), jsonFlag(), databaseSettings()),
	)
}

func (p *program) showOrder(ctx context.Context, cmd *cli.Command) error {
	number, err := strconv.ParseInt(cmd.Args().First(), 10, 64)
	if err != nil || number < 1 {
		return usageError("fusion orders show takes the number of an order, such as 1001")
	}
	return p.asOwner(ctx, cmd, func(ctx context.Context, pool *db.DB) error {
		placed := orders.New(app.Kit{DB: pool, Events: event.NewLog(), Clock: clock.System}, nil, ordersapi.Rules{})
		j, err := placed.Journey(ctx, number)
		if errors.Is(err, httpx.ErrNotFound) {
			return fmt.Errorf("there is no order %d", number)
		}
		if err != nil {
			return err
		}
		return p.show(cmd, j, func(w io.Writer) { writeJourney(w, j) })
	})
}

func writeJourney(w io.Writer, j ordersapi.Journey) {
	o := j.Order
	table(w, "", [][]string{
		{"status", strings.TrimSpace(o.Status + "  " + cmp.Or(o.Reason, o.HeldFor))},
		{"money", fmt.Sprintf("%s; %s of %s %s paid, %s cancelled, %s returned, %s refunded", o.PaymentStatus, o.Captured, o.Total, o.Currency, o.CancelledTotal, o.ReturnedTotal, o.Refunded)},
		{"on its way", o.FulfillmentStatus},
		{"comes back", strings.ReplaceAll(o.ReturnStatus, "_", " ")},
		{"placed", when(o.CreatedAt)},
	}, "order "+strconv.FormatInt(o.Number, 10), o.ID)
	var lines, parcels, steps [][]string
	units := func(n int64) string { return strconv.FormatInt(n, 10) }
	for _, l := range o.Items {
		lines = append(lines, []string{l.SKU, units(l.Quantity), units(l.Cancelled), units(l.Consigned), units(l.Shipped), units(l.Delivered), units(l.Returned), l.Total, l.Name})
	}
	_, _ = fmt.Fprintln(w)
	table(w, "", lines, "SKU", "ORDERED", "CANCELLED", "IN PARCELS", "SHIPPED", "DELIVERED", "RETURNED", "TOTAL", "NAME")
	for _, s := range j.Shipments {
		parcels = append(parcels, []string{s.ID, s.Direction, s.Status, units(s.Units), s.Carrier, s.TrackingNumber})
	}
	_, _ = fmt.Fprintln(w)
	table(w, "No shipments.", parcels, "SHIPMENT", "DIRECTION", "STATUS", "UNITS", "CARRIER", "TRACKING NUMBER")
	for _, st := range j.Steps {
		steps = append(steps, []string{when(st.At), st.Status, whatHappened(st), st.Actor})
	}
	_, _ = fmt.Fprintln(w)
	table(w, "", steps, "AT", "STATUS", "WHAT HAPPENED", "BY")
}

// whatHappened is a step in a few words.
func whatHappened(st ordersapi.StepView) string {
	var said []string
	if st.PaymentStatus != "" {
		said = append(said, "money: "+st.PaymentStatus)
	}
	if st.ShipmentID != "" {
		said = append(said, "shipment …"+st.ShipmentID[len(st.ShipmentID)-8:]+" "+st.ShipmentStatus)
	}
	if st.ReturnID != "" {
		said = append(said, "return …"+st.ReturnID[len(st.ReturnID)-8:]+" "+st.ReturnStatus)
	}
	for _, c := range st.Cancelled {
		said = append(said, fmt.Sprintf("%d of %s cancelled", c.Quantity, c.SKU))
	}
	switch st.Hold {
	case "":
	case "released":
		said = append(said, "goes on")
	default:
		said = append(said, "held back: "+st.Hold)
	}
	if st.Reason != "" {
		said = append(said, oneLine(st.Reason, 60))
	}
	return strings.Join(said, ", ")
}
