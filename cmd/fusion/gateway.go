package main

import (
	"net/netip"

	"github.com/fusioncommerce/fusion/internal/platform/config"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

func gatewayOf(cfg config.Config) httpx.Gateway {
	return httpx.Gateway{TrustedProxies: networks(cfg.HTTP.TrustedProxies)}
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
