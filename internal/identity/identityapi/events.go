// Package identityapi is the published language of the accounts: the only part of them
// that other modules may import. Fields are only ever added. Facts name people by id only.
package identityapi

import "embed"

// Schemas holds the JSON Schema of each event type, <type>.v<version>.json.
//
//go:embed schemas/*.json
var Schemas embed.FS
