// Package internal holds the modules and the platform that they stand on.
package internal

//go:generate go run -C .. ./internal/tools/eventdocs docs/events.md
//go:generate go run -C .. ./internal/tools/configdocs docs/configuration.md
//go:generate sh -c "go run -C .. ./cmd/fusion openapi > ../docs/openapi.json"
//go:generate sh -c "go run -C .. ./cmd/fusion permissions > ../docs/permissions.md"
