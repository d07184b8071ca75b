package main

import (
	"cmp"
	"net/netip"

	"github.com/fusioncommerce/fusion/internal/platform/config"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

// gatewayOf is how the program deals with the network around it, by its settings.
func gatewayOf(cfg config.Config) httpx.Gateway {
	return httpx.Gateway{
		TrustedProxies: networks(cfg.HTTP.TrustedProxies),
		Origins:        cfg.HTTP.CORSOrigins,
		Limits:         httpx.Limits{Requests: cfg.Limits.RequestsPerMinute, Logins: cfg.Limits.LoginsPerMinute, Checkouts: cfg.Limits.CheckoutsPerMinute},
		Concurrency:    cmp.Or(cfg.Limits.Concurrency, 16*cfg.Database.APIConnections),
		MaxConnections: cfg.HTTP.MaxConnections, ServiceByCertificate: cfg.HTTP.TLSClientCA != "",
	}
}

func networks(list []string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range list {
		if n, err := config.Network(text); err == nil { // the configuration was checked
			all = append(all, n)
		}
	}
	return all
}
