package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/payments/stripesim"
	"github.com/fusioncommerce/fusion/internal/shipping/carriersim"
)

func (p *program) simCommand() *cli.Command {
	stripe := leaf("stripe", "Run a Stripe without an account or money, to build a shop against", "", p.simStripe, []cli.Flag{
		&cli.StringFlag{Name: "addr", Usage: "`ADDRESS` to listen on", Value: "127.0.0.1:12111"},
		&cli.StringFlag{Name: "webhook", Usage: "`URL` that gets the events of all accounts", DefaultText: "none"},
		&cli.StringFlag{Name: "secret", Usage: "What they are signed with, such as `whsec_…`", Value: "whsec_simulator"},
		&cli.Uint64Flag{Name: "seed", Usage: "The same `NUMBER` makes the same ids and the same bad luck"},
		&cli.DurationFlag{Name: "search-lag", Usage: "How long a new payment is not found by search: a `DURATION`"},
	})
	stripe.Description = "It remembers payments until it stops, asks at a page of its own where a bank would, and breaks what it is told to break.\n" +
		"Each key is an account: sk_test_anna and pk_test_anna belong together. What it can do: docs/stripe-simulator.md"
	carrier := leaf("carrier", "Run an EasyPost and a Shippo without an account or parcels", "", p.simCarrier, []cli.Flag{
		&cli.StringFlag{Name: "addr", Usage: "`ADDRESS` to listen on", Value: "127.0.0.1:12112"},
		&cli.StringFlag{Name: "easypost-webhook", Usage: "`URL` that gets the events of all accounts of EasyPost", DefaultText: "none"},
		&cli.StringFlag{Name: "shippo-webhook", Usage: "`URL` that gets the events of all accounts of Shippo", DefaultText: "none"},
		&cli.StringFlag{Name: "secret", Usage: "What they are signed with", Value: "whsec_simulator"},
		&cli.Uint64Flag{Name: "seed", Usage: "The same `NUMBER` makes the same ids and the same bad luck"},
	})
	carrier.Description = "It remembers labels until it stops, moves parcels when it is told to, and breaks what it is told to break.\n" +
		"Each key is an account: EZTKanna of EasyPost, shippo_test_anna of Shippo. What it can do: docs/carrier-simulator.md"
	return group("sim", "Play the part of others, to build against without them", stripe, carrier)
}

func (p *program) simStripe(ctx context.Context, cmd *cli.Command) error {
	ln, err := listen(ctx, cmd.String("addr"))
	if err != nil {
		return err
	}
	sim := stripesim.New(ctx, stripesim.Options{
		Seed: cmd.Uint64("seed"), Webhook: cmd.String("webhook"), Secret: cmd.String("secret"), SearchLag: cmd.Duration("search-lag"),
		Log: slog.New(slog.NewTextHandler(p.stderr, nil)),
	})
	defer sim.Close()
	url := "http://" + ln.Addr().String()
	webhooks := "POST /v1/webhook_endpoints, or start with --webhook"
	if to := cmd.String("webhook"); to != "" {
		webhooks = to + ", signed with " + cmd.String("secret")
	}
	if _, err := fmt.Fprint(p.stdout, strings.NewReplacer("{url}", url, "{webhooks}", webhooks).Replace(`
  Stripe    {url}
  Key       sk_test_anna, or any that begins with sk_test_
  Webhooks  {webhooks}
  Ledger    {url}/_sim/ledger

  Try:
    curl -s {url}/v1/payment_intents -u sk_test_anna: -d amount=1299 -d currency=eur -d payment_method=pm_card_visa \
      -d confirm=true -d return_url=http://localhost:3000 -d 'metadata[order]=1001'
    curl -s {url}/_sim/faults -d '{"kind":"drop","call":"POST /v1/payment_intents","times":1}'

  Stop: Ctrl-C

`)); err != nil {
		return errors.Join(err, ln.Close())
	}
	return play(ctx, ln, sim)
}

func (p *program) simCarrier(ctx context.Context, cmd *cli.Command) error {
	ln, err := listen(ctx, cmd.String("addr"))
	if err != nil {
		return err
	}
	sim := carriersim.New(ctx, carriersim.Options{
		Seed: cmd.Uint64("seed"), EasyPostWebhook: cmd.String("easypost-webhook"), ShippoWebhook: cmd.String("shippo-webhook"), Secret: cmd.String("secret"),
		Log: slog.New(slog.NewTextHandler(p.stderr, nil)),
	})
	defer sim.Close()
	webhooks := "none: start with --easypost-webhook or --shippo-webhook"
	if to := strings.TrimSpace(cmd.String("easypost-webhook") + " " + cmd.String("shippo-webhook")); to != "" {
		webhooks = to + ", signed with " + cmd.String("secret")
	}
	if _, err := fmt.Fprint(p.stdout, strings.NewReplacer("{url}", "http://"+ln.Addr().String(), "{webhooks}", webhooks).Replace(`
  EasyPost  {url}   Key EZTKanna, or any that begins with EZTK
  Shippo    {url}   Key shippo_test_anna, or any that begins with shippo_test_
  Webhooks  {webhooks}
  Ledger    {url}/_sim/labels

  Try:
    curl -s {url}/v2/shipments -u EZTKanna: -d '{"shipment":{"reference":"1001","parcel":{"weight":42.4},
      "from_address":{"name":"Shop","street1":"Rua das Flores 1","city":"Porto","country":"PT"},
      "to_address":{"name":"Anna","street1":"Avenida da Liberdade 2","city":"Lisboa","country":"PT"}}}'
    curl -s {url}/_sim/faults -d '{"kind":"drop","call":"POST /v2/shipments/{id}/buy","times":1}'

  Stop: Ctrl-C

`)); err != nil {
		return errors.Join(err, ln.Close())
	}
	return play(ctx, ln, sim)
}

// play a part until the context ends.
func play(ctx context.Context, ln net.Listener, part http.Handler) error {
	server := &http.Server{Handler: part, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })() // nobody waits for a simulator
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
